"""A job knows what it reads and writes, by its run and by the study's scale."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import jobs
from unblind.study.jobs import Job
from unblind.study.stages import BASES

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
SCALES = {
    name: load(FOLDER / f"{name}.yaml") for name in ("mini", "smoke", "paper", "twin", "study")
}
SCALES["rebuilt"] = load(FOLDER / "mini.yaml", {"rebuild_base": True})


def test_a_base_has_one_maker():
    makers = {scale: jobs.base_stage(config) for scale, config in SCALES.items()}
    assert makers == {
        **{"mini": "pull", "smoke": "pull", "study": "pull", "rebuilt": "warm_up"},
        **dict.fromkeys(("paper", "twin"), "published_warm_up"),
    }
    assert set(makers.values()) <= set(BASES)
    assert jobs.record(SCALES["mini"]) is None
    assert jobs.base_weights(SCALES["mini"]) == Path("results/base/model.safetensors")
    assert jobs.record(SCALES["twin"]) == Path("results-twin/rebuilt-base/base.json")


def test_only_aligned_runs_read_the_teacher_and_keep_a_projector():
    mini = SCALES["mini"]
    for run in ("default", "freeze", "align"):
        job, aligned = Job(mini, "training", run, 0), run == "align"
        assert (Path("results/features/lite2.npy") in job.inputs) == aligned
        assert (Path(f"results/training/{run}/0/projector.safetensors") in job.beside) == aligned
        assert ("align" in job.settings["training"]) == aligned


def test_a_published_model_trains_on_pictures_and_keeps_its_statistics():
    job = Job(SCALES["twin"], "training", "align", 0)
    assert [path.name for path in job.inputs] == ["base.json", "manifest.json", "pictures.npy"]
    assert job.beside[-2].name == "dataset_statistics.json"
    assert Job(SCALES["mini"], "training", "align", 0).beside[-2].name == "training.jsonl"


def test_an_evaluation_is_of_a_model_or_scripted():
    mini = SCALES["mini"]
    assert jobs.rollout_stage(mini, "align") == "rollout"
    assert jobs.rollout_stage(mini, "oracle") == "rollout_scripted"
    oracle, base = Job(mini, "rollout_scripted", "oracle", 3), Job(mini, "rollout", "base", 3)
    assert (oracle.inputs, oracle.seed, len(oracle.outputs)) == ([], 3, 14)
    assert [path.name for path in base.inputs][:2] == ["config.json", "model.safetensors"]
    assert oracle.call == "unblind rollout --run oracle --seed 3"


def test_a_run_that_does_not_act_is_not_evaluated():
    mini = SCALES["mini"]
    with pytest.raises(UnblindError, match="nothing to do for run 'vlm'") as caught:
        jobs.rollout_stage(mini, "vlm")
    assert caught.value.remedy.startswith("runs for rollout: default, freeze, align, base, oracle")
    with pytest.raises(UnblindError, match=r"table1\.rows names 'vlm'"):
        load(FOLDER / "mini.yaml", {"table1.rows": ["default", "vlm"]})
    with pytest.raises(UnblindError, match=r"answers\.pictures \(1001\) is more than"):
        load(FOLDER / "mini.yaml", {"answers.pictures": 1001})


@pytest.mark.parametrize("seed", [0, 7])
def test_published_answers_are_about_other_pictures_than_a_recipe_is_chosen_by(seed):
    study = load(FOLDER / "mini.yaml", {"rebuild_base": True, "seed": seed})
    chosen_by, published = Job(study, "questions"), Job(study, "held_out")
    assert chosen_by.seed == seed
    assert published.seed != chosen_by.seed
    assert published.stage.modules == chosen_by.stage.modules, "drawn by the same code"
