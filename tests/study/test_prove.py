"""Proofs on toy stages: what is equal is entered, everything else is refused, with its reason."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from unblind.config.files import read
from unblind.errors import UnblindError
from unblind.study import code, prove
from unblind.study.counts import COUNTS
from unblind.study.probe import BASE_STEPS, RUN_STEPS, Step, Tree, settings

ROOT = Path(__file__).parents[2]
#: A stage's module before, and after each kind of change.
BEFORE = """
START = 1e16


def scaled(number, factor=2.0):
    return number * factor


def work(numbers):
    total = START
    for number in numbers:
        total += scaled(number)
    return total - START
"""
CHANGES = {
    "same": BEFORE,
    "renamed": BEFORE.replace("total", "sum_of_all"),
    "refusing": BEFORE.replace(
        "    total = START\n",
        "    if not numbers:\n        raise ValueError(numbers)\n    total = START\n",
    ),
    "constant": BEFORE.replace("1e16", "1e15"),
    "default": BEFORE.replace("factor=2.0", "factor=3.0"),
    "reordered": BEFORE.replace("in numbers", "in reversed(numbers)"),
    "unseen": BEFORE.replace(
        "    return total", "    if total < 0:\n        total = 0.0\n    return total"
    ),
}
#: What stands in the place of the simulator: each stage is its module's sum, in a record.
STUDY = f"""
import importlib
import os
import time

from unblind.files import write_text
from unblind.study import jobs
from unblind.study.provenance import record


def collect(config, out, workers, which):
    started = out / "started"
    if "COVERAGE_RCFILE" in os.environ and not started.exists():  # then it will be killed
        write_text(started, "")
        time.sleep(60)
    for name in {sorted(CHANGES)}:
        module = f"unblind.sim.toy_{{name}}"
        path = out / name / "sum.txt"
        with record(path, config=jobs.settings(config, "demos"), code=(module,), seed=0):
            total = importlib.import_module(module).work([1.0, 3.0, 5.0, 7.5])
            write_text(path, f"{{total!r}}\\n")
    started.unlink(missing_ok=True)
"""
STEPS = (Step(("demos",), killed_by="demos/started", workers=True),)


def git(folder, *words):
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run([*command, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository whose second commit changes the toy stages."""
    folder = tmp_path_factory.mktemp("toy") / "repository"
    for name in ("src", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "workflow" / "equivalent.tsv").unlink(missing_ok=True)
    (folder / "requirements.lock").write_text("a==1\n")
    (folder / "Snakefile").write_text("")
    package = folder / "src" / "unblind"
    sim = package / "sim"
    (package / "demos" / "collect.py").write_text(STUDY)
    git(folder.parent, "init", "-q", str(folder))
    for modules in (dict.fromkeys(CHANGES, BEFORE), CHANGES):
        for name, text in modules.items():
            (sim / f"toy_{name}.py").write_text(text.lstrip("\n"))
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "commit")
    return folder


@pytest.fixture(scope="module")
def verdicts(repository):
    ledger = repository.parent / "equivalent.tsv"
    steps = prove.prove("HEAD~1", repository, ledger, STEPS, rebuild_base=True)
    return {verdict.results.split("/")[1]: verdict for verdict in steps}


def test_equal_results_of_changed_code_are_proved(verdicts):
    assert {name for name, verdict in verdicts.items() if verdict.proof} == {"renamed", "refusing"}
    assert verdicts.keys() == CHANGES.keys()
    assert (verdicts["same"].reason, verdicts["same"].refused) == ("the same code", False)


@pytest.mark.parametrize("name", ["constant", "default", "reordered"])
def test_other_results_are_refused(verdicts, name):
    assert verdicts[name].refused
    assert verdicts[name].reason == f"demos/{name}/sum.txt differs"


def test_a_line_that_never_ran_is_refused_and_named(verdicts):
    line = CHANGES["unseen"].lstrip("\n").splitlines().index("        total = 0.0") + 1
    assert verdicts["unseen"].refused
    assert verdicts["unseen"].reason == f"never ran: sim/toy_unseen.py:{line}"


def test_a_proof_names_both_commits_and_what_was_compared(repository, verdicts):
    rows = code.read(repository.parent / "equivalent.tsv")
    assert rows == [verdicts[name].proof for name in ("refusing", "renamed")]
    assert {row.old for row in rows}.isdisjoint(row.new for row in rows)
    for row in rows:
        assert row.new_commit == git(repository, "rev-parse", "HEAD")
        assert row.old_commit == git(repository, "rev-parse", "HEAD~1")
        assert row.machine and len(row.lock) == len(row.outputs) == 64


def test_nothing_is_left_of_the_work_trees(repository, verdicts):
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_what_is_not_committed_is_not_proved(repository):
    path = repository / "src" / "unblind" / "sim" / "toy_same.py"
    path.write_text(BEFORE)
    try:
        with pytest.raises(UnblindError, match="changed and not committed"):
            list(prove.prove("HEAD~1", repository, repository / "x", STEPS, rebuild_base=True))
    finally:
        git(repository, "checkout", "-q", "--", "src")
    with pytest.raises(UnblindError, match="no commit no-such"):
        list(prove.prove("no-such", repository, repository / "x", STEPS, rebuild_base=True))


# ---- the probe study ----------------------------------------------------------------------------


def test_the_probe_study_is_mini_with_counts_cut_and_nothing_else(tmp_path):
    def flat(value, key=""):
        if isinstance(value, dict):
            for name, part in value.items():
                yield from flat(part, f"{key}.{name}" if key else name)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for part in value:
                yield from flat(part, key)
        else:
            yield key, value

    mini = list(flat(read(ROOT / "workflow" / "config" / "mini.yaml")))
    probe = list(flat(settings(Tree(ROOT, tmp_path), rebuild_base=True)))
    assert [key for key, _ in mini] == [key for key, _ in probe]
    changed = {key for (key, old), (_, new) in zip(mini, probe, strict=True) if old != new}
    assert changed == COUNTS.keys() - {"images", "heldout"} | {"results", "rebuild_base"}
    assert yaml.safe_load(yaml.safe_dump(settings(Tree(ROOT, tmp_path), False)))


def test_the_probe_study_calls_every_stage_and_run_of_mini():
    words = [step.words for step in (*BASE_STEPS, *RUN_STEPS)]
    runs = read(ROOT / "workflow" / "config" / "mini.yaml")["runs"]
    asked, probed = ({w[2] for w in words if w[0] == name} for name in ("answers", "probe"))
    assert (
        asked == probed == {run for run, about in runs.items() if about["policy"] in ("vla", "vlm")}
    )
    trained = {run for run, about in runs.items() if about["method"]}
    assert {w[2] for w in words if w[0] == "drift"} == trained and ("landscape",) in words
    assert {w[2] for w in words if w[0] == "collapse"} == asked
    assert {w[2] for w in words if w[0] == "think-answers" and w[1] == "--run"} == asked
    assert {w[2] for w in words if w[0] == "attention"} == asked - {"vlm"}
    assert {w[2] for w in words if w[0] == "rollout"} == runs.keys() - {"vlm", "always_left"}
    assert {w[2] for w in words if w[0] == "train"} == trained


def test_a_command_that_fails_is_quoted_and_nothing_is_entered(repository):
    """The toy repository has no published base to pull."""
    ledger = repository.parent / "other.tsv"
    with pytest.raises(
        UnblindError, match=r"unblind base pull failed in .*: error: the pointer .*fix that"
    ):
        list(prove.prove("HEAD~1", repository, ledger, STEPS, rebuild_base=False))
    assert not ledger.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
