"""The workflow as a whole, on the toy study."""

import os
import subprocess

import pytest
import toy_study
from toy_study import SMOKE, TABLE, environment, jobs, snakemake

from unblind.study.provenance import source_hash
from unblind.study.stages import STAGES


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository in a folder whose name needs quoting, with fakes and a published base."""
    return toy_study.make(tmp_path_factory.mktemp("a project's copy"))


@pytest.fixture(scope="module")
def first(project):
    """The first run, from nothing to the table, at the smallest scale."""
    wanted = jobs(project, *SMOKE)
    return wanted, snakemake(project, "--cores", "2", TABLE, *SMOKE)


OF_ONE_RUN = {"training": 1, "rollout": 1, "arms": 1, "answers": 1}


def contents(folder):
    records = sorted((folder / "results").rglob("*.parquet"))
    return {path.name + str(path.parent): path.read_bytes() for path in records}


def test_a_plain_call_builds_everything(project, first):
    wanted, done = first
    assert done.returncode == 0, done.stdout
    once = dict.fromkeys(("pull", "demos", "replay", "features_low", "training", "table1"), 1)
    assert wanted == {**once, "rollout": 5, "arms": 2, "held_out": 1, "answers": 3}
    assert len(list((project / "results").glob("rollouts/*/0/*.parquet"))) == 5 * 14 + 2 * 2
    text = (project / TABLE).read_text()
    assert "| 0/2 | 2/2 | 0/2 |" in text
    logs = {path.stem for path in (project / "results" / "logs").iterdir()}
    rollouts = {f"rollout-{run}-0" for run in ("default", "base", "oracle", "random", "noop")}
    others = {"pull", "demos", "replay", "features_low", "training-default-0", "table1"}
    others |= {"held_out", *(f"answers-{run}-0" for run in ("vlm", "base", "default"))}
    others |= {f"arms-{run}-0" for run in ("base", "default")}
    assert logs == others | rollouts
    assert {path.stem for path in (project / "results" / "benchmarks").iterdir()} == logs


def test_the_logged_command_can_be_pasted_and_run(project, first):
    log = project / "results" / "logs" / "table1.log"
    command = log.read_text().splitlines()[0]
    _, _, told = command.partition(" -m unblind.cli ")
    assert told.split() == ["table1", "--config", "workflow/config/smoke.yaml"]
    table = project / TABLE
    before = table.read_bytes()
    table.unlink()
    subprocess.run(["bash", "-c", command], cwd=project, env=environment(project), check=True)
    assert table.read_bytes() == before


def test_one_deleted_record_is_made_again_and_no_other(project, first):
    records = project / "results" / "rollouts" / "oracle" / "0"
    before = contents(project)
    # Snakemake touches all files of a job; a sidecar's time tells when its record was written.
    times = {path: path.stat().st_mtime_ns for path in records.glob("*.meta.json")}
    (records / "plate.parquet").unlink()
    # A label is no part of any record: it changes the table alone.
    extra = project / "label.yaml"
    extra.write_text("runs: {oracle: {label: The planner}}\n")
    done = snakemake(project, "--cores", "2", TABLE, *SMOKE, "label.yaml")
    assert done.returncode == 0, done.stdout
    changed = {
        path.name.split(".")[0] for path, time in times.items() if path.stat().st_mtime_ns != time
    }
    assert changed == {"plate"}
    assert contents(project) == before
    assert "The planner" in (project / TABLE).read_text()
    assert "rule demos" not in done.stdout
    assert "rollout-random" not in done.stdout


# ---- what runs again -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(project, first):
    """The project with everything up to date."""
    assert snakemake(project, "--cores", "2", TABLE, *SMOKE).returncode == 0
    return project


@pytest.fixture
def change(study):
    """Write to or delete files of the project until the test is over."""
    kept = {}

    def apply(name, text=None):
        path = study / name
        kept[path] = (path.read_bytes(), path.stat())
        if text is None:
            path.unlink()
        else:
            path.write_text(path.read_text() + text)

    yield apply
    for path, (data, stat) in kept.items():
        path.write_bytes(data)

        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_after_a_complete_run_there_is_nothing_to_do(study):
    assert jobs(study, *SMOKE) == {}


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (
            "{table1: {rows: [default, align]},"
            " runs: {align: {policy: vla, label: Align, method: align}}}",
            {"features_teacher": 1, **OF_ONE_RUN},
        ),
        (
            "{table1: {rows: [default, a, b]}, runs: {"
            "a: {policy: vla, label: A, method: align},"
            " b: {policy: vla, label: B, method: align, training: {align: {teacher: lite1}}}}}",
            {"features_teacher": 2, **{rule: 2 * n for rule, n in OF_ONE_RUN.items()}},
        ),
        ("runs: {default: {method: freeze}}", OF_ONE_RUN),
        # Default knows nothing of what Align adds; no training knows how it will be evaluated.
        (
            "{training: {align: {lambda: 0.3}}, rollout: {max_steps: 70}}",
            {"rollout": 5, "arms": 2},
        ),
        (
            "demos: {successes: 3}",
            {"demos": 1, "replay": 1, "features_low": 1, **OF_ONE_RUN},
        ),
        ("answers: {pictures: 2}", {"answers": 3}),
        ("base: {questions: {held_out: 5}}", {"held_out": 1, "answers": 3}),
    ],
)
def test_changed_settings(study, tmp_path, settings, wanted):
    (tmp_path / "changed.yaml").write_text(f"{settings}\n")
    found = jobs(study, *SMOKE, str(tmp_path / "changed.yaml"))
    assert found.pop("table1") == 1
    assert found == wanted


@pytest.mark.parametrize(
    ("modules", "wanted"),
    [
        (
            ("vla/decode.py",),
            {"features_low": 1, "training": 1, "rollout": 2, "arms": 2, "answers": 3},
        ),
        # Icons are drawn for a base, and for what it is asked.
        (("pictures/icons.py",), {"held_out": 1, "answers": 3}),
        (("training/evaluate.py",), {"answers": 3}),
        (("align/losses.py",), OF_ONE_RUN),
        (("rollout/loop.py",), {"replay": 1, "rollout": 5, "arms": 2}),
    ],
)
def test_changed_code(study, change, modules, wanted):
    for name in modules:
        change(f"src/unblind/{name}", "# changed\n")
    found = jobs(study, *SMOKE)
    assert found.pop("table1") == 1
    assert found == wanted


def test_a_lost_adapter_is_trained_again_when_a_record_needs_it(study, change):
    change("results/training/default/0/adapter_model.safetensors")
    again = ("--forcerun", "table1", *SMOKE)  # as `make table1` does
    assert jobs(study, *again) == {"table1": 1}
    change("results/rollouts/default/0/plate.parquet")
    assert jobs(study, *again) == {
        "training": 1,
        "rollout": 1,
        "answers": 1,
        "arms": 1,
        "table1": 1,
    }


def test_another_scale_makes_everything_but_the_base(study):
    # mini.yaml differs in picture and sizes: all that stands is outdated, by its parameters.
    once = dict.fromkeys(("demos", "replay", "features_low", "features_teacher", "table1"), 1)
    runs = {"training": 3, "rollout": 7, "answers": 5}
    assert jobs(study) == {**once, "held_out": 1, **runs}


def test_a_rebuilt_base_has_its_own_rules(study):
    found = jobs(study, *SMOKE, "--config", "rebuild_base=True")
    made = dict.fromkeys(
        ("questions", "pretraining_demos", "tower", "vlm", "robot", "warm_up_demos"), 1
    )
    made["warm_up"] = 1
    outdated = {"features_low": 1, "training": 1, "rollout": 2, "arms": 2, "answers": 3}
    assert found == {**made, **outdated, "table1": 1}


# ---- refusals --------------------------------------------------------------------------------


def test_without_a_published_base_the_remedy_is_told(study, change):
    change("results/base.dvc")
    done = snakemake(study, "-n", TABLE, *SMOKE, "--forcerun", "pull")
    assert done.returncode == 1
    assert "results/base.dvc is missing ('rebuild_base: true' makes it instead)" in done.stdout


def test_without_the_profile_nothing_starts(project):
    done = snakemake(project, "-n", "--workflow-profile", "none")
    assert done.returncode == 1
    assert "profiles/default is not in force" in done.stdout


def test_a_misspelt_key_stops_the_workflow(project):
    done = snakemake(project, "-n", "--config", "sead=1")
    assert done.returncode == 1
    assert "unknown key 'sead', did you mean 'seed'" in done.stdout


def test_tables_are_not_made_of_rollouts_that_may_stop(project, tmp_path):
    stop = tmp_path / "stop.yaml"
    stop.write_text("rollout: {stop_early: {against: default, alpha: 0.05}}")
    done = snakemake(project, "-n", TABLE, *SMOKE, str(stop))
    assert done.returncode == 1
    assert "rollout.stop_early is set, and tables need whole records" in done.stdout


def test_scripted_policies_know_nothing_of_the_model():
    scripted, model = STAGES["rollout_scripted"].modules, STAGES["rollout"].modules
    assert set(scripted) < set(model)
    assert not [name for name in scripted if "vla" in name or name == "unblind.rollout"]
    assert source_hash(*scripted) != source_hash(*model)
