"""What the profiles and the configuration say to SLURM; no SLURM is needed."""

import os
import re
import subprocess

import pytest
import slurm_studies as studies
import toy_study
import yte

from unblind.cluster import failures, requests
from unblind.config import load
from unblind.errors import UnblindError
from unblind.study.stages import REQUESTS

CONFIG = studies.ROOT / "workflow" / "config"
SCALES = ("mini", "paper", "smoke")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return studies.toy(tmp_path_factory.mktemp("profiles") / "study")


def told_resources(text):
    """Return the resources of each rule, as a dry run tells them."""
    found = re.findall(r"rule (\w+):.*?\n +resources: ([^\n]*)", text, flags=re.DOTALL)
    return {rule: dict(one.split("=") for one in line.split(", ")) for rule, line in found}


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_a_dry_run_asks_for_what_the_configuration_says(tree, profile, tmp_path):
    extra = tmp_path / "cluster.yaml"
    asked = "{minutes: 77, memory_mb: 1234, gpus: 2, group: null}"
    extra.write_text(
        "{rebuild_base: true, cluster: {partition: cpu, gpu_partition: a100, account: lab,"
        f" gpu_type: a100, jobs: {{training: {asked}}}}}}}\n"
    )
    done = toy_study.snakemake(
        tree.folder, "-n", "all", *("--profile", f"profiles/{profile}"), "--configfile", str(extra)
    )
    assert done.returncode == 0, done.stdout
    found = told_resources(done.stdout)
    wanted = requests.jobs(load(CONFIG / "mini.yaml", {"rebuild_base": True}))
    scripted = {"rollout_scripted", "think_scripted"}  # jobs of the rules rollout and think
    assert set(found) >= set(wanted) - scripted
    for rule, job in wanted.items():
        if rule not in ("training", *scripted):
            told = found[rule]
            assert (told["runtime"], told["mem_mb"]) == (str(job.minutes), str(job.memory_mb))
            assert (told["gpu"], told["slurm_partition"]) == ("0", "cpu")
            assert (told["slurm_account"], "gpu_model" in told) == ("lab", False)
    told = found["training"]
    assert (told["runtime"], told["mem_mb"], told["gpu"]) == ("77", "1234", "2")
    assert (told["slurm_partition"], told["gpu_model"]) == ("a100", "a100")


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_a_profile_says_everything_that_a_plain_slurm_needs(profile):
    text = (studies.ROOT / "profiles" / profile / "config.v9+.yaml").read_text()
    values = yte.process_yaml(text, require_use_yte=True)
    assert values["executor"] == {"slurm": "slurm", "slurm-generic": "cluster-generic"}[profile]
    assert values["retries"] >= 1
    if profile == "slurm":
        # The plugin's own choice waits for ever where there is no accounting.
        assert values["slurm-status-command"] == "squeue"


@pytest.mark.parametrize("scale", SCALES)
def test_no_shipped_setting_is_bound_to_a_site(scale):
    cluster = load(CONFIG / f"{scale}.yaml").cluster
    assert (cluster.partition, cluster.account, cluster.gpu_type, cluster.scratch) == (None,) * 4
    gpus = {rule for rule in REQUESTS if cluster.job(rule).gpus}
    assert bool(gpus) == (scale == "paper")


def test_the_partition_of_a_rule():
    shown = load(CONFIG / "paper.yaml", {"cluster.partition": "cpu"}).cluster
    assert (shown.partition_of("training"), shown.partition_of("audit")) == ("cpu", "cpu")
    shown = load(CONFIG / "paper.yaml", {"cluster.gpu_partition": "a100"}).cluster
    assert (shown.partition_of("training"), shown.partition_of("audit")) == ("a100", None)


def test_the_cluster_decides_no_result():
    plain, other = load(CONFIG / "smoke.yaml"), {"cluster.account": "lab"}
    assert plain.model_dump() == load(CONFIG / "smoke.yaml", other).model_dump()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"cluster.partiton": "x"}, "'cluster.partiton', did you mean 'partition'"),
        ({"cluster.partition": "a; rm -rf b"}, "'cluster.partition'.*pattern"),
        ({"cluster.scratch": '/tmp/$(id)"'}, "'cluster.scratch'.*pattern"),
        ({"cluster.scratch": "relative"}, "'cluster.scratch'.*pattern"),
        ({"cluster.jobs.training.minutes": 0}, "greater than or equal to 1"),
        (
            {"cluster.gpu_partition": "a100", "cluster.jobs.training.gpus": 1},
            "group 'study' holds jobs for different partitions or GPUs: .*training",
        ),
    ],
)
def test_wrong_settings_are_one_line(override, words):
    with pytest.raises(UnblindError, match=words):
        load(CONFIG / "smoke.yaml", override)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("trainin", "'trainin', did you mean 'training'"),
        ("train", r"'train' \(it is training now\)"),
    ],
)
def test_a_request_of_no_rule_is_refused(name, words):
    with pytest.raises(UnblindError, match=words):
        requests.check_names(load(CONFIG / "smoke.yaml", {f"cluster.jobs.{name}.minutes": 1}))


# ---- the scripts of slurm-generic ------------------------------------------------------------


def script(name, folder, fakes, *words):
    """Run one of the profile's scripts with fakes of SLURM's commands; return what it prints."""
    for command, body in fakes.items():
        path = folder / command
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    place = studies.ROOT / "profiles" / "slurm-generic" / name
    environment = {"PATH": f"{folder}:{os.defpath}"}
    done = subprocess.run(
        ["sh", place, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("scontrol", "sacct", "wanted"),
    [
        ("echo JobId=7 JobState=RUNNING Reason=None", "", "running"),
        ("echo JobId=7 JobState=PENDING Reason=Priority", "", "running"),
        ("echo JobId=7 JobState=COMPLETED Reason=None", "", "success"),
        ("echo JobId=7 JobState=TIMEOUT Reason=TimeLimit", "", "failed"),
        ("echo JobId=7 JobState=OUT_OF_MEMORY Reason=None", "", "failed"),
        # Forgotten by the controller: accounting knows, or nobody does.
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", "", "failed"),
        ("echo 'Invalid job id specified' >&2; exit 1", "echo COMPLETED", "success"),
        ("echo 'Invalid job id specified' >&2; exit 1", "echo 'CANCELLED by 7'", "failed"),
        # The controller restarts: wait.
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "", "running"),
    ],
)
def test_status(tmp_path, scontrol, sacct, wanted):
    fakes = {"scontrol": scontrol, "sacct": sacct or "exit 1"}
    assert script("status.sh", tmp_path, fakes, "7;cluster") == wanted


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (["0", *["None"] * 4], []),
        (["0", "cpu", "a100", "None", "lab"], ["--account=lab", "--partition=cpu"]),
        (
            ["2", "cpu", "gpu", "a100", "None"],
            ["--partition=gpu", "--gres=gpu:a100:2"],
        ),
        (["1", "cpu", "None", "None", "None"], ["--partition=cpu", "--gres=gpu:1"]),
    ],
)
def test_submit(tmp_path, settings, wanted):
    fakes = {"sbatch": 'printf "%s\\n" "$@"'}
    common = ["--cpus-per-task=3", "--mem=500", "--time=10"]
    words = ["the logs", "3", "500", "10", *settings, "a job.sh"]
    said = script("submit.sh", tmp_path, fakes, *words).splitlines()
    assert said[:4] == [
        "--parsable",
        "--job-name=unblind",
        "--output=the logs/%j.log",
        "--ntasks=1",
    ]
    assert said[4:] == [*common, *wanted, "a job.sh"]
    assert (tmp_path / "the logs").is_dir()


def test_a_failure_without_a_log_is_explained(tmp_path):
    before = failures.logs(str(tmp_path))
    assert "does not see this folder" in failures.silent(str(tmp_path), before)
    log = tmp_path / "logs" / "slurm" / "rule_demos" / "7.log"
    log.parent.mkdir(parents=True)
    log.touch()
    assert failures.silent(str(tmp_path), before) == ""
    assert "does not see" in failures.silent(str(tmp_path), failures.logs(str(tmp_path)))
