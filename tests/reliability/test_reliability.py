"""The suite's own pieces, and what is quick enough to be asserted at every test run."""

import json
import subprocess
import sys
import time
from pathlib import Path

import config_fuzz
import findings
import kill_chains
import leftovers
import project_trees as trees
import psutil
import pytest
import reliability
import reliability_page
import yaml
from project_trees import ROOT

from unblind import locks
from unblind.config import files, schema

TEXT = yaml.safe_dump(files.read(ROOT / trees.SMOKE), sort_keys=False)


# ---- configurations with a mistake -----------------------------------------------------------


def test_a_hundred_mistakes_are_taken_or_refused_in_one_line(tmp_path):
    known = schema()
    for i, mutation in enumerate(config_fuzz.mutations(TEXT, 100, seed=0)):
        verdict = config_fuzz.judge(mutation, tmp_path / f"case-{i}.yaml", known)
        assert verdict.good, (mutation.kind, mutation.key, verdict)


def test_mistakes_are_the_same_for_a_seed():
    first, again = (config_fuzz.mutations(TEXT, 100, 3) for _ in range(2))
    assert first == again != config_fuzz.mutations(TEXT, 100, 4)
    assert len(first) == 100
    kinds = {mutation.kind.split(":")[0].split(" ")[0] for mutation in first}
    assert kinds == {"broken", "key", "unknown", "value"}


@pytest.mark.parametrize(
    ("data", "key", "outcome"),
    [
        (TEXT.replace("seed: 0", "seed: 1"), "seed", "valid"),
        (TEXT.replace("seed: 0", "sead: 0"), "sead", "one error"),
        (TEXT.replace("seed: 0", "sead: 0"), "other", "does not name other"),
    ],
)
def test_the_judge_tells_apart(data, key, outcome, tmp_path):
    mutation = config_fuzz.Mutation("made here", key, data.encode())
    assert config_fuzz.judge(mutation, tmp_path / "a.yaml", schema()).outcome == outcome


def test_the_judge_notices_a_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr("unblind.cli.app", lambda: 1 / 0)
    mutation = config_fuzz.Mutation("made here", "seed", TEXT.encode())
    verdict = config_fuzz.judge(mutation, tmp_path / "a.yaml", schema())
    assert not verdict.good and "ZeroDivisionError" in verdict.outcome


# ---- what stands in a tree -------------------------------------------------------------------


def write(folder: Path, name: str, text: str, **told) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    meta = {"sha256": trees.sha256(path), "wall_s": 1.0, "seed": 0} | told
    path.with_name(path.name + ".meta.json").write_text(json.dumps(meta))
    return path


def test_lost_damaged_and_different(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, wall in ((first, 1.0), (second, 2.0)):
        write(folder, "x/record", "bytes", wall_s=wall)
        (folder / "logs").mkdir()
        (folder / "logs" / "x.log").write_text(str(wall))
    before = trees.finished(first)
    assert list(before) == ["x/record"]
    write(first, "table1.md", "rendered")
    assert list(trees.finished(first)) == ["x/record"], "pages are rendered anew"
    (first / "table1.md").write_text("damaged")
    assert trees.damaged(first) == ["table1.md.meta.json"]
    for name in ("table1.md", "table1.md.meta.json"):
        (first / name).unlink()
    assert trees.differences(trees.contents(first), trees.contents(second)) == []
    assert trees.lost(before, first) == []
    assert trees.lost(before, second) == ["x/record"], "made again"
    write(second, "x/record", "bytes", seed=1)
    assert trees.differences(trees.contents(first), trees.contents(second)) == [
        "x/record.meta.json"
    ]
    (first / "x" / "record").write_text("other")
    (first / "x" / ".record.0000.tmp").write_text("half")
    assert trees.lost(before, first) == ["x/record"], "damaged"
    assert trees.damaged(first) == ["x/record.meta.json"]
    assert trees.debris(first) == ["x/.record.0000.tmp"]


def test_a_kill_takes_everything_that_was_started(tmp_path):
    program = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('ready', 'w').close(); time.sleep(60)\n"
    )
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "waits.py").write_text(program)
    tree = trees.Tree(tmp_path / "tree", path=(tmp_path / "tree",))
    process = tree.start(module="waits")
    assert trees.kill_when(process, (tree.folder / "ready").exists)
    assert process.returncode == -9
    begin = time.monotonic()
    assert not trees.kill_when(tree.start("-x", module="absent"), lambda: False)
    assert time.monotonic() - begin < 30


def test_a_random_moment_waits_for_jobs_files_and_some_seconds(tmp_path):
    tree = trees.Tree(tmp_path / "tree")
    write(tree.results, "x/record", "bytes")  # and its sidecar: two files
    said = tmp_path / "tree-output.txt"
    said.write_text("Building DAG of jobs...")
    early, now = kill_chains._when(3, 1.0), kill_chains._when(2, 1.0)
    assert not now(0.0, tree), "no job yet"
    said.write_text("Execute 1 jobs...")
    assert [now(at, tree) for at in (5.0, 5.9, 6.0)] == [False, False, True]
    assert [early(at, tree) for at in (5.0, 9.0)] == [False, False], "too few files"


def test_a_step_stops_once_at_its_boundary(tmp_path):
    (tmp_path / "stops").mkdir()
    (tmp_path / "tree" / "src").mkdir(parents=True)
    tree = trees.Tree(tmp_path / "tree", path=(ROOT / "src",))
    words = ("conditions", "--config", "x")
    for moment in ("start", "end"):
        variables = {"UNBLIND_STOP": f"{moment}:{tmp_path / 'stops'}"}
        place = tmp_path / "stops" / "conditions"
        process = tree.start(*words, module="unblind.cli", **variables)
        assert trees.kill_when(process, place.exists)
        said = tree.run(*words, module="unblind.cli", **variables)
        assert said.code == 2, "goes on the second time: wrong usage"
        place.unlink()


# ---- what a killed call of the suite leaves ----------------------------------------------------


def test_only_one_call_at_a_time(tmp_path):
    place = tmp_path / "made" / "place"
    with leftovers.alone(place), pytest.raises(SystemExit, match="another call works in"):
        leftovers.alone(place).__enter__()
    with leftovers.alone(place):
        pass


def test_studies_that_still_run_are_ended_and_nothing_else(tmp_path):
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sleeps.py").write_text("import time; time.sleep(60)")
    (tmp_path / "other").mkdir()
    mine, other = (
        trees.Tree(tmp_path / name, path=(tmp_path / "mine",)).start(module="sleeps")
        for name in ("mine", "other")
    )
    shell = subprocess.Popen(sleep, cwd=tmp_path / "mine")
    try:
        leftovers.clear(tmp_path / "mine")
        assert mine.wait(10) == -9
        assert other.poll() is None and shell.poll() is None
    finally:
        other.kill()
        shell.kill()
        other.wait(), shell.wait()


def test_a_disk_that_stayed_mounted_is_unmounted(small_disk):
    leftovers.clear(small_disk.parent)
    assert not small_disk.is_mount()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(small_disk)], check=True)  # for its end


def test_the_dead_that_nobody_collects_are_gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    leftovers.wait_gone([psutil.Process(process.pid)], 20)  # a zombie until it is waited for
    assert process.wait() == 0
    with pytest.raises(TimeoutError, match="nothing happened"):
        leftovers.wait_gone([psutil.Process()], 0.05)


def test_a_case_that_breaks_off_is_a_problem_and_is_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(reliability, "PLACE", tmp_path)
    found = reliability.measured("two_calls", lambda: 1 / 0)
    assert found["problems"] == ["broke off: ZeroDivisionError: division by zero"]
    with pytest.raises(ZeroDivisionError):
        reliability.measured("reference", lambda: 1 / 0)
    state = tmp_path / "state.json"
    stamps = reliability.known(state, short=False)
    state.write_text(json.dumps(stamps | {"two_calls": found, "times": {"problems": []}}))
    assert list(reliability.known(state, short=False)) == ["stamps", "times"]
    state.write_text(json.dumps(stamps | {"toy": {}, "times": {"problems": []}}))
    assert list(reliability.known(state, short=True)) == ["stamps", "toy"], "another suite"


# ---- what is told ----------------------------------------------------------------------------


def test_messages_of_the_command_line_and_of_snakemake():
    log = "Error in rule demos:\n    error: disk full while writing x (free space)\nError...\n"
    assert findings.messages(log) == ["error: disk full while writing x (free space)"]
    block = 'WorkflowError in file "common.smk", line 3:\nbad configuration: x (see y)\n\n'
    assert findings.messages(block) == ["bad configuration: x (see y)"]


def test_the_page_is_written_between_its_markers(tmp_path):
    chain = vars(kill_chains.Chain(kills=3, kept=[1])) | {"problems": [], "steps": 3}
    found = vars(findings.Finding("a | b", ["error: x (y)"], [1], "went on"))
    state = {name: found for name in reliability_page._FAULTS}
    state |= {name: chain for name in reliability_page._MOMENTS}
    state["reference"] = {"jobs": 12, "files": 9, "bytes": 1e6, "seconds": 60}
    state["toy"] = {"jobs": 11, "files": 9, "bytes": 1e6, "seconds": 20}
    state["configurations"] = {"counts": {"valid": 1}, "through_snakemake": 1, "problems": []}
    state["times"] = {"dry_s": [5.0], "dry_cpu_s": 2.5, "help_s": [0.5], "problems": []}
    state = {name: one | {"wall_s": 1.0, "cpu_s": 2.0} for name, one in state.items()}
    machine = {"hardware": {"cores": 2, "cpu": "x", "memory_gib": 23.4}}
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "reliability.md").read_text())
    before = page.read_text().partition(reliability_page.BEGIN)[0]
    reliability_page.write(page, state, machine)
    once = page.read_text()
    assert once.startswith(before) and "What is not covered" in once
    assert "| as each step starts (3 steps) | 3 | 0 | 0 | 0 |" in once
    reliability_page.write(page, state, machine)
    assert page.read_text() == once
    del state["kills_start"], state["orphans"]
    reliability_page.write(page, state, machine)
    assert "| as each step starts | not run |" in page.read_text()
    broken = {"problems": ["broke off: why"]}
    state |= {name: broken for name in ("kills_start", "two_calls", "times", "configurations")}
    state["kills_end"] = chain | {"problem": "x", "problems": ["did not go on: x"]}
    reliability_page.write(page, state, machine)
    assert "| as each step starts | broke off: why |" in page.read_text()
    assert "| two calls | - | - | broke off: why |" in page.read_text()
    assert "| and at last | did not go on: x |" in page.read_text()
    page.write_text("no markers")
    with pytest.raises(ValueError, match="lacks its markers"):
        reliability_page.write(page, state, machine)


# ---- quick promises --------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    program = (
        "import sys; sys.argv = ['unblind', '--help']\nfrom unblind import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print('heavy:', sorted({'torch', 'sapien', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("heavy: []\n"), done.stderr
    assert "table1" in done.stdout


def test_a_failed_job_is_run_again_and_keeps_what_it_finished(tmp_path):
    """Snakemake by itself takes its old results for new ones (its issue 3808)."""
    tree = trees.toy_tree(tmp_path / "toy")
    target = "results/rollouts/noop/0/carrot.parquet"
    words = (target, "--quiet", "all", "--cores", "1", "--configfile", *tree.configs)
    with locks.alone(tree.results / "study"):  # as another call of Snakemake has it
        done = tree.run(target, "--cores", "1", "--configfile", *tree.configs)
    assert done.code == 1 and not (tree.results / "rollouts").exists()
    cause, remedy = "another call of Snakemake writes into results", "wait for its end"
    assert findings.messages(done.text) == [f"{cause} ({remedy}, then run the same command)"]
    assert tree.run(*words).code == 0
    assert trees.debris(tree.results) == [], "no lock stays"
    (tree.folder / "short.yaml").write_text("rollout: {max_steps: 70}\n")
    obstacle = tree.results / "rollouts" / "noop" / "0" / "plate.parquet.meta.json"
    obstacle.unlink()
    obstacle.mkdir()
    done = tree.run(*words, "short.yaml")
    assert done.code == 1
    obstacle.rmdir()
    before = {
        name: sidecar
        for name, sidecar in trees.finished(tree.results).items()
        if json.loads(sidecar)["config"]["rollout"]["max_steps"] == 70
    }
    assert 5 <= len(before) < 14
    done = tree.run(*words, "short.yaml")
    assert done.code == 0, done.text
    assert trees.lost(before, tree.results) == []
    assert len(trees.finished(tree.results)) == 14
    told = json.loads((tree.results / "rollouts/noop/0/plate.parquet.meta.json").read_text())
    assert told["config"]["rollout"]["max_steps"] == 70
