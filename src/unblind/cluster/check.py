"""Whether the study can run on this cluster: checks on the login node, and one tiny job."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from unblind.cluster import requests, slurm
from unblind.cluster.job import probe
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.machine.doctor import Check
from unblind.study.provenance import version_of

#: Findings that do not keep the tiny job from running.
_BESIDE = ("snakemake", "plugin", "accounting", "limits")
_SNAKEMAKE = (9, 27)
#: Profiles, and the executor that each uses; it comes with a package of its own.
_EXECUTORS = {"slurm": "slurm", "slurm-generic": "cluster-generic"}
#: Seconds for which an ended job must be remembered where no accounting remembers it.
_JOB_AGE_S = 120


def executor(profile: str) -> str:
    """Return the name of the executor of a profile, which asks for it when Snakemake reads it.

    Raises:
        SystemExit: its plugin is not installed. Snakemake itself would print its whole usage, and
            no remedy; any other exception here it would wrap in a text of its own.
    """
    check = plugin_check(profile)
    if not check.ok:
        raise SystemExit(f"error: {check.detail} ({check.remedy})")
    return _EXECUTORS[profile]


def before_run(config: Config, executor: str) -> None:
    """Stop before any job is submitted if SLURM would refuse it, or hold it for ever.

    Args:
        config: the study.
        executor: Snakemake's name of it, "slurm" or "cluster-generic".

    Raises:
        UnblindError: SLURM is absent or does not answer, or the configuration asks for a partition,
            an account, GPUs, time or memory that it does not give.
    """
    if absent := [name for name in slurm.COMMANDS if shutil.which(name) is None]:
        raise UnblindError(
            f"the executor {executor} needs {absent[0]}, which is not here", slurm.LOGIN_NODE
        )
    for check in requests.checks(config, slurm.partitions()):
        if not check.ok:
            raise UnblindError(check.detail, check.remedy)


def run(config: Config, wait_s: float) -> Iterator[Check]:
    """Yield a finding as soon as it is made; the job is submitted only if nothing forbids it.

    Args:
        config: the study; its section `cluster` is tried.
        wait_s: seconds to wait for the job, after which it is cancelled.
    """
    fine = True
    for check in _guarded("slurm", _before_job(config)):
        fine &= check.ok or check.name in _BESIDE
        yield check
    if not fine:
        yield Check("job", False, "not submitted", "fix what failed above first")
        return
    yield from _guarded("job", probe(config, wait_s))


def _guarded(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield checks; one that cannot be made is the last and has failed."""
    try:
        yield from checks
    except UnblindError as error:
        yield Check(name, False, error.cause, error.remedy)


def _before_job(config: Config) -> Iterator[Check]:
    yield snakemake_check()
    yield from (plugin_check(profile) for profile in _EXECUTORS)
    yield commands_check()
    told = slurm.settings()
    yield Check("slurm", True, f"{told.get('SLURM_VERSION')}, {told.get('ClusterName')} answers")
    yield accounting_check(told)
    known = slurm.partitions()
    checks_made = requests.checks(config, known)
    yield from checks_made
    if checks_made[0].ok:
        yield requests.nodes_check(config, known)


def snakemake_check() -> Check:
    """Look for Snakemake next to this Python."""
    version = version_of("snakemake")
    if version is None:
        return Check("snakemake", False, f"not installed for {sys.executable}", "make setup")
    new = tuple(map(int, version.split(".")[:2])) >= _SNAKEMAKE
    return Check("snakemake", new, version, "make setup: the workflow needs 9.27")


def plugin_check(profile: str) -> Check:
    """Look for the executor plugin that a profile needs."""
    package = f"snakemake-executor-plugin-{_EXECUTORS[profile]}"
    version = version_of(package)
    if version is None:
        other = next(name for name in _EXECUTORS if name != profile)
        remedy = f"make setup, or use --profile profiles/{other}"
        lacks = f"profiles/{profile} needs {package}, which is not installed"
        return Check("plugin", False, lacks, remedy)
    folder = Path("profiles", profile)
    if not folder.is_dir():
        return Check("plugin", False, f"no {folder} here", "run in the root of a checkout")
    return Check("plugin", True, f"{package} {version} for {folder}")


def commands_check() -> Check:
    """Look for SLURM's commands.

    Raises:
        UnblindError: one is not here, so that nothing more can be found out.
    """
    if absent := [name for name in slurm.COMMANDS if shutil.which(name) is None]:
        raise UnblindError(f"no {', '.join(absent)} on this machine", slurm.LOGIN_NODE)
    return Check("commands", True, ", ".join(slurm.COMMANDS))


def accounting_check(told: dict[str, str]) -> Check:
    """Tell from where the state of an ended job is known.

    Args:
        told: the controller's settings.
    """
    kind = told.get("AccountingStorageType", "").removeprefix("accounting_storage/")
    age = int(told.get("MinJobAge", "0").split()[0])
    if age < _JOB_AGE_S:
        return Check(
            "accounting",
            False,
            f"SLURM forgets ended jobs after {age} s, before squeue is asked for them",
            f"ask the administrators for MinJobAge={_JOB_AGE_S} or more in slurm.conf",
        )
    return Check("accounting", True, f"{kind}; squeue remembers ended jobs for {age} s")
