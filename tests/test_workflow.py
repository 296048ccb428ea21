"""The workflow as a whole, in a copy of the repository whose simulator and learning are fakes.

The fakes write made-up artifacts in no time; everything else (Snakefile, profile, command line,
store, table) is real, started with an empty environment as in a plain shell on a bare machine.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic

from unblind import base
from unblind.provenance import CODE, code_hash

ROOT = Path(__file__).parents[1]
FAKES = {
    "sim/demos.py": "def collect(config, out, workers, which):\n    write_demos(config, out)\n",
    "rollout/replay.py": (
        "def replay(config, demos, out, workers):\n    write_replay(config, out)\n"
    ),
    "rollout/run.py": (
        "def rollout(config, run, seed, out, conditions, workers):\n"
        "    finals = {'carrot': 2} if run == 'oracle' else {}\n"
        "    write_records(config, run, seed, out, finals)\n"
    ),
    "steps/finetuning.py": (
        "from unblind import files, places\n\n\n"
        "def low(config):\n    files.write_text(places.features_low(config), 'low')\n\n\n"
        "def teacher(config):\n    files.write_text(places.features_teacher(config), 'teacher')\n"
        "\n\ntrain = write_adapter\n"
    ),
}
SMOKE = ("--configfile", "workflow/config/smoke.yaml")
TABLE = "results/table1.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository in a folder whose name needs quoting, with fakes and a published base."""
    folder = tmp_path_factory.mktemp("a project's copy")
    for name in ("src", "workflow", "profiles", "paper"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", ".dvcignore", ".dvc/config", "dvcstore/.gitattributes"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name, text in FAKES.items():
        (folder / "src" / "unblind" / name).write_text(f"from synthetic import *\n\n\n{text}")
    synthetic.write_base(folder / "made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        base.promote("made")
    shutil.rmtree(folder / "results" / "base")
    return folder


def environment(project):
    """Nothing but the place of the fakes."""
    return {"PYTHONPATH": f"{project / 'src'}:{ROOT / 'tests'}"}


def snakemake(project, *words):
    command = [sys.executable, "-m", "snakemake", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=project, env=environment(project), text=True, **pipes)


def jobs(project, *words):
    """Return how many jobs of each rule a call would run."""
    done = snakemake(project, "-n", TABLE, "--quiet", "host", *words)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.partition("Job stats:")[2].partition("\n\n")[0].splitlines()
    counts = [line.split() for line in lines[3:]]
    return {rule: int(count) for rule, count in counts if rule != "total"}


@pytest.fixture(scope="module")
def first(project):
    """The first run, from nothing to the table, at the smallest scale."""
    wanted = jobs(project, *SMOKE)
    return wanted, snakemake(project, "--cores", "2", TABLE, *SMOKE)


def contents(folder):
    records = sorted((folder / "results").rglob("*.parquet"))
    return {path.name + str(path.parent): path.read_bytes() for path in records}


def test_a_plain_call_builds_everything(project, first):
    wanted, done = first
    assert done.returncode == 0, done.stdout
    once = dict.fromkeys(("pull_base", "demos", "replay", "features_low", "train", "table1"), 1)
    assert wanted == {**once, "rollout": 5}
    assert len(list((project / "results").glob("rollouts/*/0/*.parquet"))) == 5 * 14
    text = (project / TABLE).read_text()
    assert "| 0/2 | 2/2 | 0/2 |" in text
    logs = {path.stem for path in (project / "results" / "logs").iterdir()}
    rollouts = {f"rollout-{run}-0" for run in ("default", "base", "oracle", "random", "noop")}
    others = {"pull_base", "demos", "replay", "features-low", "train-default-0", "table1"}
    assert logs == others | rollouts
    assert {path.stem for path in (project / "results" / "benchmarks").iterdir()} == logs


def test_the_logged_command_can_be_pasted_and_run(project, first):
    log = project / "results" / "logs" / "table1.log"
    command = log.read_text().splitlines()[0]
    assert "-m unblind.cli table1 --config workflow/config/smoke.yaml" in command
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
        ("table1: {rows: [default, align]}", {"features_teacher": 1, "train": 1, "rollout": 1}),
        ("runs: {default: {method: freeze}}", {"train": 1, "rollout": 1}),
        # Default knows nothing of what Align adds; no training knows how it will be evaluated.
        ("{training: {align: {coefficient: 0.3}}, rollout: {max_steps: 70}}", {"rollout": 5}),
        (
            "demos: {successes: 3}",
            {"demos": 1, "replay": 1, "features_low": 1, "train": 1, "rollout": 1},
        ),
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
        # Only the making of a base draws icons.
        (
            ("vla/decode.py", "training/icons.py"),
            {"features_low": 1, "train": 1, "rollout": 2},
        ),
        (("align/losses.py",), {"train": 1, "rollout": 1}),
        (("rollout/loop.py",), {"replay": 1, "rollout": 5}),
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
    assert jobs(study, *again) == {"train": 1, "rollout": 1, "table1": 1}


def test_another_scale_makes_everything_but_the_base(study):
    # mini.yaml differs in picture and sizes: all that stands is outdated, by its parameters.
    once = dict.fromkeys(("demos", "replay", "features_low", "features_teacher", "table1"), 1)
    assert jobs(study) == {**once, "train": 3, "rollout": 7}


def test_a_rebuilt_base_has_its_own_rules(study):
    found = jobs(study, *SMOKE, "--config", "rebuild_base=True")
    made = {"base_questions": 1, "base_demos": 2, "base_vlm": 1, "base_robot": 1, "base_warm_up": 1}
    outdated = {"features_low": 1, "train": 1, "rollout": 2, "table1": 1}
    assert found == {**made, **outdated}


# ---- refusals --------------------------------------------------------------------------------


def test_without_a_published_base_the_remedy_is_told(study, change):
    change("results/base.dvc")
    done = snakemake(study, "-n", TABLE, *SMOKE, "--forcerun", "pull_base")
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


def test_scripted_policies_know_nothing_of_the_model():
    scripted, model = CODE["rollout"], CODE["rollout_vla"]
    assert set(scripted) < set(model)
    assert not [name for name in scripted if "vla" in name or name == "unblind.rollout"]
    assert code_hash(*scripted) != code_hash(*model)
