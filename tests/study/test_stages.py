"""The table of stages agrees with itself and with the package."""

import re
from pathlib import Path

import pytest

from unblind.cli import app
from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import jobs
from unblind.study.code import source_files
from unblind.study.jobs import Job
from unblind.study.stages import BASES, REQUESTS, STAGES, request_of, rule_of

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
SCALES = {
    name: load(FOLDER / f"{name}.yaml") for name in ("mini", "smoke", "paper", "twin", "study")
}
SCALES["rebuilt"] = load(FOLDER / "mini.yaml", {"rebuild_base": True})


@pytest.mark.parametrize("name", STAGES)
def test_modules_exist_and_inputs_come_before(name):
    source_files(STAGES[name].modules)
    earlier = list(STAGES)[: list(STAGES).index(name)]
    for needed in (*STAGES[name].inputs, *STAGES[name].after):
        assert needed.stage == "base" or needed.stage in earlier


@pytest.mark.parametrize("name", STAGES)
def test_every_command_is_one_of_the_command_line(name):
    from typer.main import get_command

    command, words = get_command(app), STAGES[name].command.split()
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert all(word in options for word in words if word.startswith("--"))
    assert STAGES[name].processes == 1 or "--workers" in options


@pytest.mark.parametrize("scale", SCALES)
def test_each_file_is_made_by_one_job_and_each_input_by_an_earlier_one(scale):
    config, made = SCALES[scale], {}
    for job in jobs.of_study(config):
        assert {path for path in job.inputs if path not in made} == set()
        for path in (*job.outputs, *job.beside):
            assert made.setdefault(path, job.name) == job.name
        assert not re.search(r"[{}]", " ".join(map(str, job.outputs)))


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


def test_what_is_not_local_may_ask_a_cluster_for_something():
    assert {request_of(name) for name in STAGES if not STAGES[name].is_local} == set(REQUESTS)
    assert rule_of("rollout_scripted") == "rollout" and "rollout_scripted" in REQUESTS
    assert not {"pull", "fetch", "answerer"} & set(REQUESTS)


def test_models_answer_once_for_each_seed_that_makes_a_difference():
    """Trained runs for each seed, the base and the VLM before robot pretraining once."""
    study = load(FOLDER / "study.yaml")
    asked = [(job.run, job.seed_of_run) for job in jobs.of_study(study) if job.name == "answers"]
    trained = [(run, seed) for run in ("default", "freeze", "align") for seed in (0, 1, 2)]
    assert sorted(asked) == sorted([*trained, ("vlm", 0), ("base", 0)])
    read = {run: {p.name for p in Job(study, "answers", run, 0).inputs} for run, _ in asked}
    assert "adapter_model.safetensors" in read["align"] and "vlm.safetensors" in read["vlm"]
    assert not {"adapter_model.safetensors", "vlm.safetensors"} & read["base"]
    (rebuilt,) = (p for p in Job(SCALES["rebuilt"], "answers", "vlm", 0).inputs if "vlm" in p.name)
    assert rebuilt == Path("results/rebuilt-base/vlm.safetensors")


def test_what_models_are_compared_with_is_asked_without_a_row_of_its_own():
    few = load(FOLDER / "mini.yaml", {"table1.rows": ["align"]})
    assert jobs.needed_runs(few, "answers") == ["align", "vlm", "base"]
    assert jobs.needed_runs(few, "rollout") == jobs.needed_runs(few, "training") == ["align"]
    scripted = load(FOLDER / "mini.yaml", {"table1.rows": ["oracle"], "results": "nowhere"})
    assert not [job for job in jobs.of_study(scripted) if job.name in ("held_out", "answers")]


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


def test_the_landscape_reads_two_runs_of_the_first_seed():
    """Of three methods and three seeds; without both runs there is none, nor at other scales."""
    job = Job(load(FOLDER / "study.yaml"), "landscape")
    adapters = [path for path in job.inputs if path.name == "adapter_model.safetensors"]
    runs = ("default", "align")
    assert adapters == [Path(f"results/training/{run}/0/{adapters[0].name}") for run in runs]
    followed = {job.name for job in jobs.of_study(SCALES["mini"])}
    assert {"drift", "forgetting", "landscape", "figure2c", "features_teacher"} <= followed
    few = load(FOLDER / "mini.yaml", {"table1.rows": ["default", "base"], "results": "nowhere"})
    left = {job.name for job in jobs.of_study(few)} & {
        "drift",
        "forgetting",
        "landscape",
        "figure2c",
    }
    assert left == {"drift", "forgetting"}
    published = {job.name for job in jobs.of_study(SCALES["paper"])}
    assert not published & {"drift", "forgetting", "landscape", "figure2c"}
