"""Records in which a model is told something else have names of their own."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import graph, jobs, record_names

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
STUDY = MINI.with_name("study.yaml")
OTHER = ("multi_carrot_told_other", "multi_plate_told_other")
WORDS = ("told_nothing", "told_shuffled", "told_paraphrase")
MORE = {f"rollout.arms.{arm}": ["in_distribution", "instruct"] for arm in WORDS}


def test_a_study_has_the_arms_that_it_names():
    assert tuple(record_names.arms(load(STUDY))) == OTHER
    job = jobs.Job(load(STUDY, MORE), "arms", "base", 0)
    names = [path.stem for path in job.outputs]
    assert names == [
        *OTHER,
        *(f"{c}_{arm}" for arm in WORDS for c in ("in_distribution", "instruct")),
    ]
    assert {record_names.condition_of(name) for name in names[2:]} == {
        "in_distribution",
        "instruct",
    }
    assert not [job for job in graph.of_study(load(MINI)) if job.name == "arms"]


@pytest.mark.parametrize(
    ("condition", "cause"),
    [("carrot", "names carrot, where nothing else could be meant"), ("carot", "unknown condition")],
)
def test_an_arm_that_means_nothing_is_refused(condition, cause):
    with pytest.raises(UnblindError, match=cause):
        record_names.arms(load(STUDY, {"rollout.arms.told_other": [condition]}))
