"""The workflow as a whole, in a copy of the repository whose simulator is replaced by fakes.

The fakes write made-up records in no time; everything else (Snakefile, profile, command line,
table) is real, started with an empty environment as in a plain shell on a bare machine.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAKES = {
    "sim/demos.py": "def collect(config, out, workers):\n    synthetic.write_demos(config, out)\n",
    "rollout/replay.py": (
        "def replay(config, demos, out, workers):\n    synthetic.write_replay(config, out)\n"
    ),
    "rollout/run.py": (
        "def rollout(config, run, seed, out, conditions, workers):\n"
        "    finals = {'carrot': 2} if run == 'oracle' else {}\n"
        "    synthetic.write_records(config, run, seed, out, finals)\n"
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository in a folder whose name needs quoting, with fakes in place of the simulator."""
    folder = tmp_path_factory.mktemp("a project's copy")
    for name in ("src", "workflow", "profiles", "paper"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    for name, text in FAKES.items():
        (folder / "src" / "unblind" / name).write_text(f"import synthetic\n\n\n{text}")
    return folder


def environment(project):
    """Nothing but the place of the fakes."""
    return {"PYTHONPATH": f"{project / 'src'}:{ROOT / 'tests'}"}


def snakemake(project, *words):
    command = [sys.executable, "-m", "snakemake", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=project, env=environment(project), text=True, **pipes)


@pytest.fixture(scope="module")
def first(project):
    """The first run, from nothing to the table, at the smallest scale."""
    words = ("--configfile", "workflow/config/smoke.yaml")
    return snakemake(project, "--cores", "2", "results/table1.md", *words)


def contents(folder):
    records = sorted((folder / "results").rglob("*.parquet"))
    return {path.name + str(path.parent): path.read_bytes() for path in records}


def test_a_plain_call_builds_everything(project, first):
    assert first.returncode == 0, first.stdout
    assert len(list((project / "results").glob("rollouts/*/0/*.parquet"))) == 3 * 14
    text = (project / "results" / "table1.md").read_text()
    assert "| 0/2 | 2/2 | 0/2 |" in text
    logs = {path.stem for path in (project / "results" / "logs").iterdir()}
    rollouts = {f"rollout-{run}-0" for run in ("oracle", "random", "noop")}
    assert logs == {"demos", "replay", "table1"} | rollouts
    assert {path.stem for path in (project / "results" / "benchmarks").iterdir()} == logs


def test_the_logged_command_can_be_pasted_and_run(project, first):
    log = project / "results" / "logs" / "table1.log"
    command = log.read_text().splitlines()[0]
    assert "-m unblind.cli table1 --config workflow/config/smoke.yaml" in command
    table = project / "results" / "table1.md"
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
    files = ("--configfile", "workflow/config/smoke.yaml", "label.yaml")
    done = snakemake(project, "--cores", "2", "results/table1.md", *files)
    assert done.returncode == 0, done.stdout
    changed = {
        path.name.split(".")[0] for path, time in times.items() if path.stat().st_mtime_ns != time
    }
    assert changed == {"plate"}
    assert contents(project) == before
    assert "The planner" in (project / "results" / "table1.md").read_text()
    assert "rule demos" not in done.stdout
    assert "rollout-random" not in done.stdout


def test_a_dry_run_of_another_scale_lists_every_job(project, first):
    # mini.yaml differs in picture and sizes: all that stands is outdated, by its parameters.
    done = snakemake(project, "-n", "--quiet", "rules")
    counts = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    expected = {"demos": "1", "replay": "1", "rollout": "3", "table1": "1", "all": "1"}
    assert expected.items() <= counts.items(), done.stdout


def test_without_the_profile_nothing_starts(project):
    done = snakemake(project, "-n", "--workflow-profile", "none")
    assert done.returncode == 1
    assert "profiles/default is not in force" in done.stdout


def test_a_misspelt_key_stops_the_workflow(project):
    done = snakemake(project, "-n", "--config", "sead=1")
    assert done.returncode == 1
    assert "unknown key 'sead', did you mean 'seed'" in done.stdout
