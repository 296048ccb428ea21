"""What a cluster offers, as its commands print it, against what the configuration asks."""

import math
import os
from pathlib import Path

import pytest

from unblind.cluster import requests, slurm
from unblind.cluster.check import before_run
from unblind.cluster.slurm import Nodes, Partition
from unblind.config import load
from unblind.errors import UnblindError

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
PAPER = MINI.with_name("paper.yaml")
SINFO = """\
cpu|2|12000|(null)|idle
cpu|1|64000|(null)|drain
gpu|1|256000|gpu:a100:4(S:0-1)|mix
gpu|3|128000|gpu:v100:2,nvme:1|alloc*
"""
PARTITIONS = """\
PartitionName=cpu Default=YES MaxTime=UNLIMITED MaxMemPerNode=UNLIMITED State=UP
PartitionName=gpu Default=NO MaxTime=1-00:00:00 MaxMemPerNode=200000 State=UP
PartitionName=old Default=NO MaxTime=02:30:00 MaxMemPerNode=UNLIMITED State=DOWN
"""
CONFIG = (
    "AccountingStorageType   = {}\nMinJobAge               = 300 sec\nSLURM_VERSION = 23.02.1\n"
)
JOB = "JobId=5 JobName=x JobState=FAILED Reason=None ExitCode=21:0 WorkDir=/a JobState=LIES"


def fake(folder, name, body):
    """Put a command of that name into a folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Commands that print what a cluster of two partitions with accounting prints."""
    (tmp_path / "sinfo.txt").write_text(SINFO)
    (tmp_path / "partitions.txt").write_text(PARTITIONS)
    (tmp_path / "config.txt").write_text(CONFIG.format("accounting_storage/slurmdbd"))
    fake(tmp_path, "sinfo", f"cat '{tmp_path}/sinfo.txt'")
    script = f"""case "$*" in
    *"show config") cat '{tmp_path}/config.txt' ;;
    *"show partition") cat '{tmp_path}/partitions.txt' ;;
    *"show job 5") echo '{JOB}' ;;
    *"show job"*) echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1 ;;
    esac"""
    fake(tmp_path, "scontrol", script)
    fake(tmp_path, "sacctmgr", "printf 'lab\\nphysics\\nlab\\n'")
    for name in set(slurm.COMMANDS) - {"sinfo", "scontrol"}:
        fake(tmp_path, name, "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    return tmp_path


def study(**changes):
    return load(
        MINI, {f"cluster.{key}".replace("__", "."): value for key, value in changes.items()}
    )


def refused(**changes):
    with pytest.raises(UnblindError) as caught:
        before_run(study(**changes), "slurm")
    return caught.value


# ---- reading -----------------------------------------------------------------------------------


def test_partitions_are_read(cluster):
    found = slurm.partitions()
    assert found["cpu"] == Partition(
        "cpu",
        default=True,
        up=True,
        minutes=math.inf,
        memory_mb=math.inf,
        nodes=(Nodes(2, 12000, {}, "idle"), Nodes(1, 64000, {}, "drain")),
    )
    gpu, old = found["gpu"], found["old"]
    assert (gpu.minutes, gpu.memory_mb, old.minutes, old.up) == (1440, 200000, 150, False)
    assert [nodes.gpus for nodes in gpu.nodes] == [{"a100": 4}, {"v100": 2}]
    assert [nodes.usable for nodes in (*found["cpu"].nodes, *gpu.nodes)] == [
        *(True, False, True, False),
    ]


@pytest.mark.parametrize(
    ("gres", "wanted"),
    [
        ("(null)", {}),
        ("gpu", {"": 1}),
        ("gpu:4", {"": 4}),
        ("gpu:2(S:0,1),fs:1", {"": 2}),
        ("gpu:a100:4(S:0-1),gpu:a100_3g.20gb:2", {"a100": 4, "a100_3g.20gb": 2}),
    ],
)
def test_gpus_are_read(gres, wanted):
    assert slurm.gpus(gres) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("UNLIMITED", math.inf), ("00:10:30", 10.5), ("02:00:00", 120), ("7-12:00:00", 10800)],
)
def test_time_limits_are_read(text, wanted):
    assert slurm.minutes(text) == wanted


def test_a_job_is_read(cluster):
    told = slurm.job("5")
    assert (told["JobState"], told["ExitCode"], told["WorkDir"]) == ("FAILED", "21:0", "/a")
    assert slurm.job("6") == {}


# ---- asking ------------------------------------------------------------------------------------


def test_a_cluster_that_gives_everything(cluster):
    before_run(study(), "slurm")
    before_run(study(account="lab", gpu_partition="gpu", jobs__training__gpus=2), "cluster-generic")


def test_a_wrong_partition(cluster):
    error = refused(partition="gpus")
    assert error.cause == "this cluster has no partition 'gpus', did you mean 'gpu' or 'cpu'?"
    assert error.remedy == "set cluster.partition to one of: cpu, gpu, old"
    error = refused(gpu_partition="cup", jobs__training__gpus=1)
    assert error.remedy == "set cluster.gpu_partition to one of: cpu, gpu, old"
    assert refused(partition="old").cause == "partition 'old' is not up"


def test_no_default_partition(cluster):
    (cluster / "partitions.txt").write_text(PARTITIONS.replace("YES", "NO"))
    assert refused().cause == "this cluster has no default partition"
    before_run(study(partition="cpu"), "slurm")


def test_an_unknown_account(cluster):
    error = refused(account="phsyics")
    assert "unknown account 'phsyics'" in error.cause
    assert "did you mean 'physics'?" in error.cause
    assert error.remedy == "set cluster.account to one of: lab, physics"
    fake(cluster, "sacctmgr", "exit 0")
    assert refused(account="lab").remedy == "set cluster.account to null, or ask for an account"


def test_an_account_where_none_are_kept(cluster):
    (cluster / "config.txt").write_text(CONFIG.format("accounting_storage/none"))
    error = refused(account="lab")
    assert error.cause == "account 'lab' cannot be checked: this SLURM keeps no accounts"
    before_run(study(), "slurm")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        (
            {"jobs__training__gpus": 1},
            "partition 'cpu' has 1 GPU(s), as training asks; it has none",
        ),
        (
            {"gpu_partition": "gpu", "jobs__training__gpus": 5},
            "has 5 GPU(s), as training asks; it has 4 of a100, 2 of v100",
        ),
        (
            {"gpu_partition": "gpu", "jobs__training__gpus": 1, "gpu_type": "h100"},
            "partition 'gpu' has 1 GPU(s) of type h100, as training asks",
        ),
    ],
)
def test_gpus_that_are_not_there(cluster, changes, cause):
    assert cause in refused(**changes).cause


def test_limits(cluster):
    error = refused(partition="gpu", jobs__demos__minutes=1441)
    assert error.cause == "demos asks for 1441 minutes, partition 'gpu' gives at most 1440"
    assert error.remedy == "lower cluster.jobs.demos.minutes, or choose another partition"
    assert "memory in MB" in refused(jobs__training__memory_mb=64001).cause
    # The partition allows less than its largest node has; a v100's node has less still.
    gpu = {"gpu_partition": "gpu", "jobs__training__gpus": 1}
    assert "at most 200000" in refused(**gpu, jobs__training__memory_mb=200001).cause
    v100 = gpu | {"gpu_type": "v100", "jobs__training__memory_mb": 128001}
    assert "at most 128000" in refused(**v100).cause


def test_what_is_not_run_asks_for_nothing(cluster):
    """A pulled base is not made, so its limits do not count."""
    config = study(jobs__robot__memory_mb=10**6)
    before_run(config, "slurm")
    with pytest.raises(UnblindError, match="robot asks"):
        before_run(config.model_copy(update={"rebuild_base": True}), "slurm")


def test_a_published_model_has_rules_of_its_own():
    own = {"questions", "tower", "vlm", "robot", "features_teacher"}
    assert own <= set(requests.jobs(load(MINI, {"rebuild_base": True})))
    published = set(requests.jobs(load(PAPER)))
    assert not own & published and {"warm_up_demos", "warm_up"} <= published
    warm = set(requests.jobs(load(PAPER, {"rebuild_base": False})))
    assert published - warm == {"warm_up_demos", "warm_up"}


def test_a_published_model_gets_the_gpus_that_it_uses(cluster):
    def found(**changes):
        config = load(PAPER, {"cluster.gpu_partition": "gpu", **changes})
        return requests.gpus_check(config, slurm.partitions())

    rules = ("warm_up", "training", "rollout", "think")
    rules += ("answerer_answers", "answerer_attention", "answerer_collapse")
    assert found().detail == f"nodes have what is asked: {', '.join(f'{r} 1' for r in rules)}"
    check = found(**{"training.gpus": 4, "cluster.jobs.warm_up.gpus": 4})
    assert check.detail == "models use 4 GPU(s) in training, which asks for 1"
    assert check.remedy == "set cluster.jobs.training.gpus to 4"
    none = {f"cluster.jobs.{rule}.gpus": 0 for rule in rules}
    assert not found(**none).ok
    assert found(**none, **{"training.device": "cpu"}).ok


def test_nodes_that_are_all_away(cluster):
    known = slurm.partitions()
    assert requests.nodes_check(study(), known).detail == "cpu: 2 of 3 usable"
    (cluster / "sinfo.txt").write_text(SINFO.replace("idle", "down*"))
    check = requests.nodes_check(study(), slurm.partitions())
    assert (check.ok, check.detail) == (False, "no node of partition 'cpu' is usable now")
    # They may come back while jobs wait.
    before_run(study(), "slurm")


def test_no_slurm_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused()
    assert error.cause == "the executor slurm needs sbatch, which is not here"
    assert "login node" in error.remedy
    with pytest.raises(UnblindError, match="no sinfo on this machine"):
        slurm.partitions()


def test_a_slurm_that_is_down(cluster):
    fake(cluster, "sinfo", "echo 'slurm_load_partitions: Unable to contact' >&2; exit 1")
    error = refused()
    assert error.cause == "sinfo failed: slurm_load_partitions: Unable to contact"
    assert error.remedy == "see if SLURM is up: scontrol ping"
