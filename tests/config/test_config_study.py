"""Runs with values of their own, and what sections may not ask of each other."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import graph, jobs, selection
from unblind.study.rows import scope

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
MINI = FOLDER / "mini.yaml"
LONG = {"policy": "vla", "label": "Long", "method": "default"}


def test_the_published_model_needs_a_transformer_as_teacher():
    with pytest.raises(UnblindError, match=r"must be a vision transformer \(c-radio.*not 'lite2'"):
        load(FOLDER / "paper.yaml", {"training.align.teacher": "lite2"})


def test_what_published_models_alone_know_is_refused_without_one():
    with pytest.raises(UnblindError, match=r"base\.unnorm_key is of published models"):
        load(MINI, {"base.unnorm_key": "bridge_orig"})
    assert load(MINI, {"rollout.temperature": None}).rollout.temperature is None


def test_an_unknown_run_is_named():
    with pytest.raises(UnblindError, match="unknown run 'orakle', did you mean 'oracle'"):
        load(MINI).run("orakle")


def test_a_run_may_have_its_own_values_of_training():
    own = {"schedule": {"steps": 8}, "align": {"lambda": 0.5}}
    config = load(MINI, {"runs.long": LONG | {"training": own}, "runs.other": LONG})
    assert config.of("long").training.align.lambda_ == 0.5
    assert config.of("long").training.rank == config.training.rank
    assert config.of("other") is config
    expected = jobs.settings(load(MINI), "training", "default")
    assert jobs.settings(config, "training", "default") == expected
    expected["training"]["schedule"]["steps"] = 8
    assert jobs.settings(config, "training", "long") == expected, "lambda is of the method Align"
    assert jobs.Job(config, "training", "long", 0).settings == expected


def test_a_run_may_have_fewer_seeds_and_episodes():
    few = {"seeds": [1], "rollout": {"episodes": 4}}
    config = load(MINI, {"seeds": [0, 1, 2], "runs.few": LONG | few, "runs.long": LONG})
    asked = {run: jobs.of_run(config, "rollout", run) for run in ("few", "long")}
    assert [job.seed_of_run for job in asked["few"]] == [1]
    assert [job.seed_of_run for job in asked["long"]] == [0, 1, 2]
    of_few, of_long = (asked[run][0].settings["rollout"] for run in ("few", "long"))
    assert of_few == of_long | {"episodes": 4}
    # They are the same training, which is done once.
    assert selection.first_of(config)["few"] == "default"


def test_a_run_may_have_a_teacher_of_its_own_whose_features_are_made_once():
    own = {"training": {"align": {"teacher": "lite1"}}}
    align = LONG | {"method": "align"}
    runs = {"one": align | own, "two": align | own, "other": LONG | own}
    rows = {"table1.rows": ["default", "align", "two"]}
    config = load(MINI, {f"runs.{name}": run for name, run in runs.items()} | rows)
    assert scope.teachers(config) == {"lite2": None, "lite1": "one"}
    made = [job for job in graph.of_study(config) if job.name == "features_teacher"]
    assert [job.outputs[0].name for job in made] == ["lite2.npy", "lite1.npy"]
    assert [job.call for job in made] == [
        "unblind features teacher",
        "unblind features teacher --run one",
    ]
    read = {run: jobs.Job(config, "training", run, 0).inputs for run in ("align", "one", "two")}
    assert [path.name for path in read["align"] if path.parent.name == "features"][1:] == [
        "lite2.npy"
    ]
    for run in ("one", "two"):
        assert made[1].outputs[0] in read[run] and made[0].outputs[0] not in read[run]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (LONG | {"training": {"schedule": {"stepps": 8}}}, "unknown key 'schedule.stepps'.*steps"),
        (LONG | {"training": {"rank": 0}}, "'rank'.*greater than"),
        (LONG | {"training": {"schedule": {"batch": 1}}}, "at least 2"),
        (LONG | {"training": {"device": "cuda"}}, "'device' is the same for all runs"),
        (
            LONG | {"training": {"align": {"teacher": "lite9"}}},
            "no such teacher, did you mean 'lite2'",
        ),
        (LONG | {"training": {"align": {"interpolate": True}}}, "same for all runs.*'lite2'"),
        (LONG | {"method": None, "training": {"rank": 8}}, "needs a method"),
        (LONG | {"seeds": [0, 3]}, "seeds names 3, no seed of the study"),
        (LONG | {"seeds": [0, 0]}, "names a value twice"),
        (LONG | {"rollout": {"temperature": 1.0}}, "rollout.*temperature"),
    ],
)
def test_wrong_values_of_a_run_are_refused(run, message):
    with pytest.raises(UnblindError, match=rf"runs\.long.*{message}"):
        load(MINI, {"runs.long": run})
