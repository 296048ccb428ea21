"""`unblind cluster-check` on a real SLURM of one node."""

import signal
import subprocess
import time

import pytest
import slurm_node
from cluster_checks import check, settled, start

GPU = ("--set", "cluster.gpu_partition=gpu", "--set", "cluster.jobs.train.gpus=1")
_FITS = ("--set", "cluster.jobs.train.minutes=60")


@pytest.fixture(scope="module")
def slurm():
    if reason := slurm_node.unwanted():
        pytest.skip(reason)
    with slurm_node.running(cpus=1) as node:
        yield node


def test_everything_works(slurm, tmp_path, renderer):
    code, found, err = check(tmp_path)
    assert code == 0, found
    assert {"job", "shared fs", "python", "scratch", "renderer"} <= found.keys()
    assert "wait at most 300 s" in err
    assert settled(slurm)
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_request_reaches_the_node(slurm, tmp_path):
    """The node's GPU is one in name only: SLURM gives it, torch does not find it."""
    code, found, err = check(tmp_path, *GPU, *_FITS)
    assert code == 1
    assert "--gpus=1 --partition=gpu" in err
    assert found["gpu"] == (True, "ok   gpu:       CUDA_VISIBLE_DEVICES=0")
    assert [name for name, (ok, _) in found.items() if not ok] == ["cuda"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--set", "cluster.partition=mian"), "no partition 'mian', did you mean 'main'"),
        (("--set", "cluster.account=ghost"), "account 'ghost' cannot be checked"),
        ((*GPU, "--set", "cluster.jobs.train.gpus=2"), "has 2 GPU(s), as train asks"),
    ],
)
def test_what_is_refused_is_not_submitted(slurm, tmp_path, words, cause):
    before = len(slurm.jobs())
    code, found, _ = check(tmp_path, *words)
    assert code == 1
    assert any(cause in line for ok, line in found.values() if not ok)
    assert "not submitted" in found["job"][1]
    assert len(slurm.jobs()) == before


@pytest.fixture
def busy(slurm):
    """The node's one processor is taken."""
    words = ["sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 300"]
    number = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    yield number
    subprocess.run(["scancel", number], check=True)
    assert settled(slurm)


def test_a_job_that_does_not_start_is_cancelled(slurm, busy, tmp_path):
    code, found, err = check(tmp_path, "--wait", "2")
    assert code == 1
    assert "is PENDING" in found["job"][1]
    assert "is pending: " in err or "after 2 s" in found["job"][1]
    assert slurm.active() == [busy]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job(slurm, busy, tmp_path, number):
    process = start(tmp_path)
    end = time.monotonic() + 60
    while len(slurm.active()) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    assert len(slurm.active()) == 2
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode not in (0, 1)
    assert "Traceback" not in err
    assert slurm.active() == [busy]
    assert list(tmp_path.iterdir()) == []
