"""`unblind cluster-check` beside a SLURM of scripts: findings, and what the job left."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from unblind.cluster import check, job, probe
from unblind.cluster.job import End
from unblind.config import load
from unblind.machine.doctor import Check

ROOT = Path(__file__).parents[2]
MINI = ROOT / "workflow" / "config" / "mini.yaml"
TOKEN = "0123456789abcdef"


@pytest.fixture
def config(tmp_path):
    return load(MINI, {"results": str(tmp_path)})


def ended(state="COMPLETED", code=0, reason="None"):
    return End("7", state, code, "node1", reason, 3.0)


def findings(folder, end):
    return {one.name: one for one in job._findings(folder, TOKEN, end)}


# ---- on the login node -------------------------------------------------------------------------


def test_a_missing_plugin(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert check.plugin_check("slurm").ok
    monkeypatch.setattr(check, "version_of", lambda package: None)
    found = check.plugin_check("slurm")
    assert not found.ok
    needed = "profiles/slurm needs snakemake-executor-plugin-slurm, which is not installed"
    assert found.detail == needed
    with pytest.raises(SystemExit, match=f"^error: {needed}"):
        check.executor("slurm")
    assert found.remedy == "make setup, or use --profile profiles/slurm-generic"
    assert "not installed" in check.snakemake_check().detail


def test_an_old_snakemake_and_no_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(check, "version_of", lambda package: "9.9.1")
    assert not check.snakemake_check().ok
    monkeypatch.setattr(check, "version_of", lambda package: "10.0")
    assert check.snakemake_check().ok
    monkeypatch.chdir(tmp_path)
    assert check.plugin_check("slurm").remedy == "run in the root of a checkout"


@pytest.mark.parametrize(("age", "ok"), [("300 sec", True), ("2 sec", False)])
def test_jobs_that_are_forgotten_at_once(age, ok):
    told = {"AccountingStorageType": "accounting_storage/none", "MinJobAge": age}
    assert check.accounting_check(told).ok is ok


def test_without_slurm_there_is_one_failure_and_no_job(config, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", str(tmp_path))
    *_, last, job_line = check.run(config, 1)
    assert (last.name, last.ok) == ("slurm", False)
    assert last.detail.startswith("no sbatch, ")
    assert (job_line.name, job_line.detail) == ("job", "not submitted")
    assert list(tmp_path.iterdir()) == []


# ---- what a job leaves -------------------------------------------------------------------------


def test_a_job_that_found_everything(tmp_path):
    (tmp_path / "node").write_text(f"{TOKEN}\n")
    told = [Check("python", True, "3.11"), Check("renderer", False, "no picture", "fix it")]
    (tmp_path / "found").write_text(json.dumps([asdict(one) for one in told]))
    found = findings(tmp_path, ended())
    assert list(found) == ["job", "shared fs", "python", "renderer"]
    assert found["shared fs"].ok
    assert found["renderer"].remedy == "fix it"


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (ended("FAILED", 21), "node1 does not see what is written here in "),
        (ended("FAILED", 22), "node1 cannot write to "),
        (ended(), "is not seen here"),
        (ended("FAILED", 0, "JobLaunchFailure"), "is not seen here"),
    ],
)
def test_no_shared_file_system(tmp_path, monkeypatch, end, cause):
    monkeypatch.setattr(job, "LATENCY_S", 0)
    found = findings(tmp_path, end)
    assert list(found) == ["job", "shared fs"]
    assert not found["shared fs"].ok
    assert cause in found["shared fs"].detail
    assert "share" in found["shared fs"].remedy


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (ended("PENDING", reason="Resources"), "job 7 is PENDING, Resources after 3 s"),
        (ended("RUNNING"), "job 7 is RUNNING after 3 s and cancelled"),
        (ended("OUT_OF_MEMORY"), "job 7 is OUT_OF_MEMORY"),
    ],
)
def test_a_job_that_did_not_end_well(tmp_path, monkeypatch, end, told):
    monkeypatch.setattr(job, "LATENCY_S", 0)
    found = findings(tmp_path, end)
    assert list(found) == ["job"]
    assert not found["job"].ok
    assert told in found["job"].detail


def test_a_python_that_does_not_start(tmp_path):
    (tmp_path / "node").write_text(TOKEN)
    (tmp_path / "output").write_text("sh: 12: exec: /x/python: not found\n\n")
    found = findings(tmp_path, ended("FAILED", 127))
    assert found["python"].detail.endswith("on node1: sh: 12: exec: /x/python: not found")


def test_the_script_finds_out_by_the_shell_alone(config, tmp_path):
    """It stops where the login node's file is not seen, and says so by its exit code."""
    folder = tmp_path / "a folder's name"
    script = job._script(config, folder, TOKEN)
    assert subprocess.run(["sh"], input=script, text=True).returncode == 21
    folder.mkdir()
    (folder / "login").write_text(TOKEN)
    stub = tmp_path / "python"
    stub.write_text('#!/bin/sh\necho "$@"\n')
    stub.chmod(0o755)
    script = script.replace(sys.executable, str(stub))
    assert subprocess.run(["sh"], input=script, text=True).returncode == 0
    assert (folder / "node").read_text().strip() == TOKEN
    words = (folder / "output").read_text()
    assert words.startswith("-m unblind.cli cluster-probe --out ")
    assert f"{folder}/found" in words


def test_a_gpu_is_asked_for_if_any_job_wants_one(config):
    assert not any(word.startswith("--gpus") for word in job._options(config))
    changes = {"partition": "cpu", "gpu_partition": "fast", "account": "lab", "gpu_type": "a100"}
    changes = {f"cluster.{key}": value for key, value in changes.items()}
    other = load(MINI, {**changes, "cluster.jobs.training.gpus": 2})
    assert {"--gpus=a100:1", "--partition=fast", "--account=lab"} <= set(job._options(other))


# ---- on the compute node -----------------------------------------------------------------------


def test_the_package_is_compared_with_the_login_nodes():
    from unblind.study.code import source_hash

    assert probe.package_check(source_hash("unblind")).ok
    assert not probe.package_check("0" * 64).ok


def test_scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    found = probe.scratch_check("$PLACE/deep")
    assert f"free in {tmp_path}/deep" in found.detail
    assert list((tmp_path / "deep").iterdir()) == []
    assert "no such variable" in probe.scratch_check("/x/$NO_SUCH_PLACE").detail
    (tmp_path / "file").touch()
    found = probe.scratch_check(str(tmp_path / "file"))
    assert not found.ok
    assert found.detail.startswith("cannot write to ")


def test_a_gpu_that_did_not_arrive(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert not probe.gpu_check().ok
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert probe.gpu_check().detail == "CUDA_VISIBLE_DEVICES=3"


def test_one_broken_check_does_not_hide_the_others(monkeypatch):
    def broken():
        raise OSError("stale file handle")

    monkeypatch.setattr(probe.doctor, "renderer_check", broken)
    monkeypatch.setattr(probe.doctor, "versions_check", lambda: Check("versions", True, "well"))
    found = {one.name: one for one in probe.run(scratch=os.environ.get("TMPDIR"))}
    assert found["versions"].ok
    assert (found["renderer"].ok, found["renderer"].detail) == (False, "stale file handle")
