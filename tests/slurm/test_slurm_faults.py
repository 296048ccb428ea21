"""Jobs that fail, exceed their time, use a GPU or are cancelled, through both profiles."""

import os
import signal
import time

import pytest
import slurm_studies as studies

pytestmark = pytest.mark.usefixtures("no_job_left")


@pytest.fixture(params=studies.PROFILES)
def profile(request):
    return request.param


@pytest.fixture
def tree(slurm, tmp_path):
    return studies.toy(tmp_path / "study")


def new_jobs(slurm, before):
    """Return what SLURM knows of the jobs since then, first to last."""
    return [slurm.show(job["id"]) for job in sorted_jobs(slurm)[before:]]


def sorted_jobs(slurm):
    return sorted(slurm.jobs(), key=lambda job: int(job["id"]))


def wait_until(process, ready):
    end = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "ended too early"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.2)


def test_a_failed_job_shows_cause_and_log(slurm, tree, profile):
    studies.misbehave(tree, 'raise UnblindError("the arm is missing", "look under the table")')
    before = len(slurm.jobs())
    done = studies.run(tree, profile, "--retries", "0")
    assert done.code == 1
    assert "error: the arm is missing (look under the table)" in done.text
    assert "results/logs/demos.log" in done.text
    assert len(slurm.jobs()) == before + 1
    assert list((tree.results / "logs" / "slurm").rglob("*.log"))
    assert "left no log" not in done.text
    assert not (tree.results / "demos" / "manifest.json").exists()


def test_a_job_over_its_time_gets_more_and_a_gpu_and_scratch(slurm, tree, profile, tmp_path):
    """One long test, since SLURM counts time in minutes."""
    scratch = tmp_path / "scratch"
    studies.misbehave(
        tree,
        "tried = Path('tried')\n"
        "if not tried.exists():\n"
        "    tried.touch()\n"
        "    Path('seen').write_text(os.environ['TMPDIR'])\n"
        "    Path(os.environ['TMPDIR'], 'left').touch()\n"
        "    time.sleep(600)",
    )
    asked = "{minutes: 1, memory_mb: 1000, gpus: 1, group: null}"
    tree = studies.with_cluster(
        tree, f"gpu_partition: gpu, scratch: {scratch}, jobs: {{demos: {asked}}}"
    )
    before = len(slurm.jobs())
    done = studies.run(tree, profile, target="results/demos/manifest.json")
    assert done.code == 0, done.text + slurm.log()
    first, second = new_jobs(slurm, before)
    assert (first["JobState"], first["TimeLimit"]) == ("TIMEOUT", "00:01:00")
    assert (second["JobState"], second["TimeLimit"]) == ("COMPLETED", "00:02:00")
    assert ("mem=1000M" in first["TRES"], "mem=2000M" in second["TRES"]) == (True, True)
    for job in (first, second):
        assert job["Partition"] == "gpu"
        assert "gres:gpu" in job.get("TresPerNode", "") + job.get("TresPerJob", "")
    log = (tree.results / "logs" / "demos.log").read_text()
    assert f"GPU 0 TMPDIR {scratch}/unblind-{second['JobId']}-" in log
    assert (tree.folder / "seen").read_text().startswith(f"{scratch}/unblind-{first['JobId']}-")
    assert list(scratch.iterdir()) == [], "scratch goes with its job, even with one that is killed"


def test_a_cancelled_run_leaves_no_job_and_goes_on(slurm, tree, profile):
    tree = studies.with_cluster(tree, "jobs: {demos: {group: null}, replay: {group: null}}")
    replay = tree.folder / "src" / "unblind" / "rollout" / "replay.py"
    kept = replay.read_text()
    # The same code, as the hash of the stage sees it, waits only while the file is there.
    wait = "import time\nfrom pathlib import Path\n"
    stop = "    while Path('wait').exists():\n        Path('waits').touch(); time.sleep(0.1)\n"
    head = "def replay(config, demos, out, workers):\n"
    assert head in kept
    replay.write_text(wait + kept.replace(head, head + stop))
    (tree.folder / "wait").touch()
    process = studies.start(tree, profile)
    wait_until(process, (tree.folder / "waits").exists)
    assert len(slurm.active()) == 1
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    end = time.monotonic() + 20
    while slurm.active() and time.monotonic() < end:
        time.sleep(0.5)
    assert slurm.active() == []
    manifest = tree.results / "demos" / "manifest.json.meta.json"
    made = manifest.read_bytes()
    (tree.folder / "wait").unlink()
    done = studies.run(tree, profile)
    assert done.code == 0, done.text + slurm.log()
    assert (tree.folder / studies.REPLAY).is_file()
    assert manifest.read_bytes() == made, "finished work is not done again"
