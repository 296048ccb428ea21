import json
from pathlib import Path

import jsonschema
import pytest

from unblind.config import digest, load, schema
from unblind.config.files import read
from unblind.errors import UnblindError
from unblind.study import jobs

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
MINI = FOLDER / "mini.yaml"
ROUND = {
    "steps": 8,
    "batch": 4,
    "rate": 0.1,
    "warm_up": 1,
    "weight_decay": 0.0,
    "pictures_with_questions": 0,
}

PLAIN = {
    "action_width": 0.0,
    "location_width": 0.0,
    "gripper_reach": 1.0,
    "gripper_lift": 1.0,
    "still_motion": 1.0,
}


@pytest.mark.parametrize("scale", ["mini", "paper", "smoke", "twin"])
def test_every_shipped_file_is_valid_for_classes_and_schema(scale):
    path = FOLDER / f"{scale}.yaml"
    assert load(path).scale == scale
    jsonschema.validate(read(path), schema())


def test_the_committed_schema_is_the_generated_one():
    # Make it again with: unblind schema --write
    assert json.loads((FOLDER / "schema.json").read_text()) == schema()


def test_every_key_is_described():
    def properties(node):
        if isinstance(node, dict):
            yield from node.get("properties", {}).items()
            for value in node.values():
                yield from properties(value)

    undescribed = [key for key, value in properties(schema()) if "description" not in value]
    assert undescribed == []


def test_the_papers_sizes():
    paper = load(FOLDER / "paper.yaml")
    assert (paper.render.width, paper.render.height) == (640, 480)
    assert paper.demos.successes == 1400
    assert paper.base.warm_up_episodes == 140
    schedule = {"steps": 60000, "batch": 8, "rate": 5e-4, "warm_up": 1, "weight_decay": 0.01}
    assert paper.training.schedule.model_dump() == schedule
    assert (paper.training.rank, paper.training.alpha) == (32, 16)
    align = paper.training.align.model_dump()
    assert align == align | {
        "teacher": "c-radiov3-l",
        "teacher_weights": None,
        "interpolate": False,
        "layers": [16],
        "lambda": 0.2,
        "projector": "mlp",
        "projector_width": 2048,
        "frozen": True,
        "loss": "cosine",
    }
    for loss in (paper.base.loss, paper.training.loss):
        assert loss.model_dump() == PLAIN
    assert paper.rollout.episodes == 128
    assert paper.rollout.max_steps == 80
    assert paper.seeds == [0, 1, 2, 4, 5, 6, 7, 8]
    assert load(MINI).demos.successes % 16 == 0  # as many for every object


def test_a_section_that_is_null_can_be_given_key_by_key():
    paper = load(FOLDER / "paper.yaml").training.augmentation.model_dump()
    given = {f"training.augmentation.{key}": value for key, value in paper.items()}
    twin = FOLDER / "twin.yaml"
    bare = {"training.augmentation": None}
    assert load(twin, bare).training.augmentation is None
    assert load(twin, bare | given).training.augmentation.model_dump() == paper
    with pytest.raises(UnblindError, match=r"missing key 'training\.augmentation\.contrast'"):
        load(MINI, {"training.augmentation.hue": 0.1})


def test_a_published_models_evaluation_depends_on_how_it_is_asked():
    paper = load(FOLDER / "paper.yaml")
    changed = load(FOLDER / "paper.yaml", {"rollout.temperature": None})
    assert jobs.settings(paper, "rollout", "align") != jobs.settings(changed, "rollout", "align")
    scripted = [jobs.settings(config, "rollout_scripted", "oracle") for config in (paper, changed)]
    assert scripted[0] == scripted[1]
    speed = {"training.gpus": 2, "training.checkpoint_steps": 5, "training.device": "cpu"}
    same = load(FOLDER / "paper.yaml", speed)
    assert jobs.settings(same, "training", "align") == jobs.settings(paper, "training", "align")


def test_missing_keys_and_files(tmp_path):
    with pytest.raises(UnblindError, match=r"cannot read .*absent\.yaml"):
        load(tmp_path / "absent.yaml")
    path = tmp_path / "partial.yaml"
    path.write_text("scale: mini\n")
    with pytest.raises(UnblindError, match="missing key 'seed'; missing key 'results'"):
        load(path)
    path.write_text("a: [1\n")
    with pytest.raises(UnblindError, match="is not YAML"):
        load(path)
    path.write_text("- 1\n")
    with pytest.raises(UnblindError, match="is not a mapping"):
        load(path)


def test_a_part_holds_what_a_stage_depends_on_and_no_more():
    def hashes(override=None):
        config = load(MINI, override)
        stages = ("demos", "replay", "table1")
        found = {stage: digest(jobs.settings(config, stage)) for stage in stages}
        return found | {"rollout": digest(jobs.settings(config, "rollout", "oracle"))}

    def changed(override):
        return {stage for stage, value in hashes(override).items() if value != hashes()[stage]}

    assert changed({"rollout.workers": 1, "rollout.scenes": 3}) == {"table1"}
    stop = {"rollout.stop_early": {"against": "default", "alpha": 0.05}}
    assert changed(stop) == {"table1"}, "whole records stay what they are"
    assert changed({"rollout.episodes": 8}) == {"rollout", "table1"}
    assert changed({"runs.oracle.label": "Planner"}) == {"table1"}
    assert changed({"demos.successes": 256}) == {"demos", "replay"}
    assert changed({"replay.episodes": 8}) == {"replay"}
    assert changed({"fidelity": "released"}) == {"demos", "replay", "rollout"}
    assert changed({"catalog_missing": "skip"}) == set(), "the built-in catalog is whole"
    of_folder = [hashes({"catalog": "assets", "catalog_missing": do}) for do in ("stop", "skip")]
    differ = {stage for stage in of_folder[0] if of_folder[0][stage] != of_folder[1][stage]}
    assert differ == {"demos", "replay", "rollout"}


LEARNING = ("questions", "tower", "vlm", "robot", "warm_up", "features_low", "features_teacher")
RUNS = ("default", "align", "base")


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ({"base.questions.images": 8}, {"questions"}),
        ({"base.questions.turns": 2}, {"robot"}),
        ({"base.vlm.turns": 2}, {"vlm"}),
        ({"base.jittered_copies": 3}, {"robot"}),
        ({"base.model.layers": 4}, {"tower"}),
        ({"base.tower.loss": "clip"}, {"tower"}),
        ({"base.warm_up.steps": 8}, {"warm_up"}),
        ({"training.rank": 8}, {"warm_up", "training default", "training align"}),
        ({"training.schedule.steps": 8}, {"training default", "training align"}),
        ({"training.align.lambda": 0.5}, {"training align"}),
        ({"training.align.teacher": "lite1"}, {"features_teacher", "training align"}),
        ({"demos.noop_filter": "none"}, {"robot", "warm_up", "features_low", "features_teacher"}),
        ({"seed": 5}, {"questions", "tower", "vlm", "robot", "warm_up"}),
        ({"rollout.episodes": 3}, {f"rollout {run}" for run in RUNS}),
        ({"rollout.in_distribution_episodes": 3}, {f"rollout {run}" for run in RUNS}),
        ({"base.robot": [ROUND]}, {"robot"}),
    ],
)
def test_which_steps_of_learning_a_setting_changes(override, stages):
    def hashes(override=None):
        config = load(MINI, override)
        found = {stage: jobs.settings(config, stage) for stage in LEARNING}
        found |= {f"training {run}": jobs.settings(config, "training", run) for run in RUNS[:2]}
        return found | {f"rollout {run}": jobs.settings(config, "rollout", run) for run in RUNS}

    before, after = hashes(), hashes(override)
    changed = {stage for stage in before if before[stage] != after[stage]}
    if "demos.noop_filter" in override:
        stages = stages | {"training default", "training align"}
    assert changed == stages


@pytest.mark.parametrize("key", ["results", "catalog"])
@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_can_name_no_file_is_refused(key, name):
    with pytest.raises(UnblindError, match=f"'{key}'"):
        load("workflow/config/mini.yaml", {key: name})
