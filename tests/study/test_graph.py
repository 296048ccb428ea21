"""A study has the jobs that its rows and pages need, each file made once."""

import re
from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import graph, selection
from unblind.study.jobs import Job

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
SCALES = {
    name: load(FOLDER / f"{name}.yaml") for name in ("mini", "smoke", "paper", "twin", "study")
}
#: Runs of ablations.yaml whose teachers are not the study's.
TEACHERS = {"teacher-lite0", "teacher-random", "teacher-contrastive"}
SCALES["rebuilt"] = load(FOLDER / "mini.yaml", {"rebuild_base": True})


@pytest.mark.parametrize("scale", SCALES)
def test_each_file_is_made_by_one_job_and_each_input_by_an_earlier_one(scale):
    config, made = SCALES[scale], {}
    for job in graph.of_study(config):
        assert {path for path in job.inputs if path not in made} == set()
        for path in (*job.outputs, *job.beside):
            assert made.setdefault(path, job.name) == job.name
        assert not re.search(r"[{}]", " ".join(map(str, job.outputs)))


def test_models_answer_once_for_each_seed_that_makes_a_difference():
    """Trained runs for each seed, the base and the VLM before robot pretraining once."""
    study = load(FOLDER / "study.yaml")
    asked = [(job.run, job.seed_of_run) for job in graph.of_study(study) if job.name == "answers"]
    trained = [(run, seed) for run in ("default", "freeze", "align") for seed in (0, 1, 2)]
    assert sorted(asked) == sorted([*trained, ("vlm", 0), ("base", 0)])
    read = {run: {p.name for p in Job(study, "answers", run, 0).inputs} for run, _ in asked}
    assert "adapter_model.safetensors" in read["align"] and "vlm.safetensors" in read["vlm"]
    assert not {"adapter_model.safetensors", "vlm.safetensors"} & read["base"]
    (rebuilt,) = (p for p in Job(SCALES["rebuilt"], "answers", "vlm", 0).inputs if "vlm" in p.name)
    assert rebuilt == Path("results/rebuilt-base/vlm.safetensors")


def test_the_landscape_reads_two_runs_of_the_first_seed():
    """Of three methods and three seeds; without both runs there is none, nor at other scales."""
    job = Job(load(FOLDER / "study.yaml"), "landscape")
    adapters = [path for path in job.inputs if path.name == "adapter_model.safetensors"]
    runs = ("default", "align")
    assert adapters == [Path(f"results/training/{run}/0/{adapters[0].name}") for run in runs]
    followed = {job.name for job in graph.of_study(SCALES["mini"])}
    assert {"drift", "forgetting", "landscape", "figure2c", "features_teacher"} <= followed
    few = load(FOLDER / "mini.yaml", {"table1.rows": ["default", "base"], "results": "nowhere"})
    left = {job.name for job in graph.of_study(few)} & {
        "drift",
        "forgetting",
        "landscape",
        "figure2c",
    }
    assert left == {"drift", "forgetting"}
    published = {job.name for job in graph.of_study(SCALES["paper"])}
    assert not published & {"drift", "forgetting", "landscape", "figure2c"}


def test_rows_of_vl_think_may_be_fewer_than_those_that_answer():
    few = load(FOLDER / "mini.yaml", {"think.rows": ["base"], "results": "nowhere"})
    acting = {job.run for job in graph.of_study(few) if job.name in ("think", "think_scripted")}
    assert acting == {"base", "oracle", "always_left"}
    asked = {job.run for job in graph.of_study(few) if job.name == "think_answers"}
    assert {"default", "freeze", "align", "base", "vlm"} == asked
    assert selection.needed_runs(few, "think") == ["base"]
    with pytest.raises(UnblindError, match=r"think\.rows names no row of Table 1: 'bsae'.*base"):
        load(FOLDER / "mini.yaml", {"think.rows": ["bsae"]})


def test_a_study_of_certain_pages_makes_nothing_else():
    config = load(FOLDER / "mini.yaml", {"pages": ["table3"], "results": "nowhere"})
    assert selection.pages(config) == ["table3"]
    made = {job.name for job in graph.of_study(config)}
    assert {"training", "probe", "probe_pictures", "probe_references", "table3"} <= made
    assert not made & {"rollout", "replay", "landscape", "frames", "table1", "audit", "drift"}


@pytest.mark.parametrize(("page", "made"), [("table13", set()), ("table11", TEACHERS)])
def test_teachers_of_rows_that_no_page_shows_are_not_made(page, made):
    config = load(FOLDER / "ablations.yaml", {"pages": [page], "results": "nowhere"})
    jobs = list(graph.of_study(config))
    of_runs = {job.run for job in jobs if job.name == "features_teacher"}
    assert of_runs == made | {None}
    assert ("contrastive" in {job.name for job in jobs}) == bool(made)
