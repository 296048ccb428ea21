"""The one-node SLURM of the tests: it never outlives its owner, and can hide a folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import slurm_node
import slurm_studies as studies

pytestmark = pytest.mark.skipif(
    slurm_node.unwanted() is not None, reason=slurm_node.unwanted() or ""
)


@pytest.fixture
def lonely(tmp_path):
    """A study that lies where the compute node finds an empty folder, and that node."""
    place = tmp_path / "not-shared"
    place.mkdir()
    tree = studies.toy(place / "study")
    with slurm_node.running(hide=place) as node:
        yield tree, node


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_without_a_shared_file_system(lonely, profile):
    tree, node = lonely
    done = studies.run(tree, profile, "--retries", "0")
    assert done.code == 1
    assert "error: jobs failed and left no log: their node does not see this folder" in done.text
    assert "unblind cluster-check" in done.text
    end = time.monotonic() + 20
    while node.active() and time.monotonic() < end:
        time.sleep(0.5)
    assert node.active() == []


def test_a_killed_owner_leaves_no_daemon(tmp_path):
    """Not even with SIGKILL, and not even its jobs."""
    program = (
        "import subprocess, slurm_node, time\n"
        "with slurm_node.running() as node:\n"
        "    subprocess.run(['sbatch', '--wrap', 'sleep 987'], check=True)\n"
        "    while not any(job['state'] == 'RUNNING' for job in node.jobs()): time.sleep(0.1)\n"
        "    print(node.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    path = {"PYTHONPATH": str(studies.ROOT / "tests")}
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | path,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = [owner.stdout.readline().strip() for _ in range(2)]
    folder = Path(said[1])
    assert folder.is_dir()
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    end = time.monotonic() + 30
    while time.monotonic() < end and (folder.exists() or slurm_node.LINK.is_symlink()):
        time.sleep(0.2)
    assert not folder.exists() and not slurm_node.LINK.is_symlink()
    lines = [
        " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    ]
    assert [line for line in lines if str(folder) in line or "sleep 987" in line] == []
