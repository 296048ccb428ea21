"""What SLURM cannot give is one clear message, and no job is left behind."""

import os
import time
from pathlib import Path

import pytest
import slurm_node
import slurm_studies as studies


@pytest.fixture(params=studies.PROFILES)
def profile(request):
    return request.param


@pytest.fixture(scope="module")
def tree(slurm, tmp_path_factory):
    return studies.toy(tmp_path_factory.mktemp("refusals") / "study")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("partition: mian", "this cluster has no partition 'mian', did you mean 'main'?"),
        ("account: ghost", "account 'ghost' cannot be checked: this SLURM keeps no accounts"),
        ("gpu_type: h100, jobs: {demos: {gpus: 1, group: null}}", "has 1 GPU(s) of type h100, as demos asks"),
        ("partition: gpu, jobs: {demos: {minutes: 90}}", "demos asks for 90 minutes"),
    ],
)
def test_it_is_told_before_a_job_is_submitted(slurm, tree, profile, settings, wanted):
    before = len(slurm.jobs())
    done = studies.run(studies.with_cluster(tree, settings), profile)
    assert done.code == 1
    (line,) = [line for line in done.text.splitlines() if wanted in line]
    assert "set cluster." in line or "lower cluster." in line or "choose" in line
    assert "Traceback" not in done.text
    assert len(slurm.jobs()) == before


def test_an_unknown_account_where_there_are_accounts(slurm, tree, profile, tmp_path):
    """The site's accounting is a fake: a real one needs a data base."""
    fakes = {
        "sacctmgr": "echo lab",
        "scontrol": "/usr/bin/scontrol \"$@\" | sed 's,accounting_storage/none,"
        "accounting_storage/slurmdbd,'",
    }
    for name, body in fakes.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    before = len(slurm.jobs())
    path = f"{tmp_path}:{os.environ.get('PATH', os.defpath)}"
    done = studies.run(studies.with_cluster(tree, "account: lap"), profile, PATH=path)
    assert done.code == 1
    assert "unknown account 'lap'" in done.text and "did you mean 'lab'?" in done.text
    assert len(slurm.jobs()) == before


def test_a_missing_plugin(slurm, tree, profile, tmp_path):
    """Snakemake itself finds no executor of that name."""
    package = {"slurm": "slurm", "slurm-generic": "cluster_generic"}[profile]
    (tmp_path / "sitecustomize.py").write_text(
        "import pkgutil\n"
        "kept = pkgutil.iter_modules\n"
        f"name = 'snakemake_executor_plugin_{package}'\n"
        "pkgutil.iter_modules = lambda *a, **k: (m for m in kept(*a, **k) if m.name != name)\n"
    )
    before = len(slurm.jobs())
    hidden = studies.trees.Tree(tree.folder, tree.configs, (tmp_path, *tree.path))
    done = studies.run(hidden, profile)
    assert done.code != 0
    assert "Traceback" not in done.text
    assert profile.replace("slurm-generic", "cluster-generic") in done.text.splitlines()[-1]
    assert len(slurm.jobs()) == before


# ---- a compute node that does not see the study -----------------------------------------------


@pytest.fixture(scope="module")
def lonely(tmp_path_factory):
    """A study that lies where the compute node finds an empty folder, and that node."""
    if reason := slurm_node.unwanted():
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("not-shared")
    tree = studies.toy(place / "study")
    with slurm_node.running(hide=place) as node:
        yield tree, node


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
    if reason := slurm_node.unwanted():
        pytest.skip(reason)
    import signal
    import subprocess
    import sys

    import psutil

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
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if str(folder) in line or "sleep 987" in line] == []
