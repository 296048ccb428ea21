"""Whether a cluster has what the configuration asks of it; nothing is submitted."""

import getpass
from collections.abc import Mapping

from unblind.cluster import slurm
from unblind.cluster.slurm import Partition
from unblind.config import Config
from unblind.config.cluster import DEFAULT, ClusterJob
from unblind.errors import UnblindError, near
from unblind.machine.doctor import Check
from unblind.study.graph import of_study
from unblind.study.stages import REQUESTS, request_of

_ACCOUNTING = "accounting_storage/slurmdbd"


#: Names that jobs had before, with those that they have now.
_OLD_NAMES = {
    "base_questions": "questions",
    "base_demos": "pretraining_demos and warm_up_demos",
    "base_vlm": "vlm",
    "base_robot": "robot",
    "base_warm_up": "warm_up",
    "train": "training",
    "settings_table": "table9 and table14",
}


def check_names(config: Config) -> None:
    """Refuse a configuration that asks something for a rule that there is not.

    Raises:
        UnblindError: it does.
    """
    for name in config.cluster.jobs.keys() - {*REQUESTS, DEFAULT}:
        hint = f" (it is {_OLD_NAMES[name]} now)" if name in _OLD_NAMES else near(name, REQUESTS)
        cause = f"cluster.jobs names no rule: '{name}'{hint}"
        raise UnblindError(cause, f"rules: {', '.join(REQUESTS)}")


def jobs(config: Config) -> dict[str, ClusterJob]:
    """Return what each rule of the study asks for; a base that is pulled is not made.

    Raises:
        UnblindError: see `check_names`.
    """
    check_names(config)
    names = dict.fromkeys(
        request_of(job.name) for job in of_study(config) if not job.stage.is_local
    )
    return {name: config.cluster.job(name) for name in names}


def checks(config: Config, known: Mapping[str, Partition]) -> list[Check]:
    """Return the findings on partitions, account, GPUs and limits, in this order.

    Those that hang on a partition are left out if it is wrong.

    Args:
        config: the study.
        known: the cluster's partitions by name.

    Raises:
        UnblindError: SLURM does not answer.
    """
    first = [partitions_check(config, known), account_check(config)]
    if not first[0].ok:
        return first
    return [*first, gpus_check(config, known), limits_check(config, known)]


def partition(config: Config, rule: str, known: Mapping[str, Partition]) -> Partition:
    """Return the partition of a rule's jobs.

    Args:
        config: the study.
        rule: a rule that is submitted.
        known: the cluster's partitions by name.

    Raises:
        UnblindError: the cluster has none of that name, or no default.
    """
    name, names = config.cluster.partition_of(rule), ", ".join(known)
    if name is None:
        if default := next((candidate for candidate in known.values() if candidate.default), None):
            return default
        raise UnblindError(
            "this cluster has no default partition", f"set cluster.partition to one of: {names}"
        )
    if name not in known:
        raise UnblindError(
            f"this cluster has no partition '{name}'{near(name, known)}",
            f"set cluster.{_key(config, rule)} to one of: {names}",
        )
    return known[name]


def _key(config: Config, rule: str) -> str:
    """Return the setting that decides the partition of a rule's jobs."""
    gpu = config.cluster.job(rule).gpus and config.cluster.gpu_partition
    return "gpu_partition" if gpu else "partition"


def partitions_check(config: Config, known: Mapping[str, Partition]) -> Check:
    """Look for the partitions that jobs are sent to."""
    used: dict[str, Partition] = {}
    for rule in jobs(config):
        try:
            used_partition = partition(config, rule, known)
        except UnblindError as error:
            return Check("partition", False, error.cause, error.remedy)
        if not used_partition.up:
            remedy = f"set cluster.{_key(config, rule)} to another of: {', '.join(known)}, or wait"
            return Check("partition", False, f"partition '{used_partition.name}' is not up", remedy)
        used[used_partition.name] = used_partition
    return Check("partition", True, ", ".join(used))


def nodes_check(config: Config, known: Mapping[str, Partition]) -> Check:
    """Count the nodes on which jobs may start, of partitions that `partitions_check` found."""
    told = {}
    for used_partition in (partition(config, rule, known) for rule in jobs(config)):
        ready = sum(nodes.count for nodes in used_partition.nodes if nodes.usable)
        if not ready:
            detail = f"no node of partition '{used_partition.name}' is usable now"
            return Check("nodes", False, detail, "sinfo --list-reasons tells why; wait")
        told[used_partition.name] = (
            f"{used_partition.name}: {ready} of {sum(n.count for n in used_partition.nodes)} usable"
        )
    return Check("nodes", True, ", ".join(told.values()))


def account_check(config: Config) -> Check:
    """Ask the accounting whether the user may charge the configured account."""
    named = config.cluster.account
    if slurm.settings().get("AccountingStorageType") != _ACCOUNTING:
        if named is None:
            return Check("account", True, "none, and this SLURM keeps no accounts")
        detail = f"account '{named}' cannot be checked: this SLURM keeps no accounts"
        return Check("account", False, detail, "set cluster.account to null")
    if named is None:
        return Check("account", True, "SLURM's default for this user")
    user = getpass.getuser()
    known = slurm.accounts(user)
    if named in known:
        return Check("account", True, named)
    detail = f"unknown account '{named}' for user {user}{near(named, known)}"
    choice = f"one of: {', '.join(known)}" if known else "null, or ask for an account"
    return Check("account", False, detail, f"set cluster.account to {choice}")


def gpus_check(config: Config, known: Mapping[str, Partition]) -> Check:
    """Look for nodes with the GPUs that jobs ask for."""
    counts = {rule: job.gpus for rule, job in jobs(config).items() if job.gpus}
    kind = config.cluster.gpu_type
    for rule, count in _needed(config).items():
        if counts.get(rule, 0) < count:
            return Check(
                "gpu",
                False,
                f"models use {count} GPU(s) in {rule}, which asks for {counts.get(rule, 0)}",
                f"set cluster.jobs.{rule}.gpus to {count}",
            )
    if not counts:
        return Check("gpu", True, "no job asks for one")
    for rule, count in counts.items():
        offered = partition(config, rule, known)
        if not any(nodes.has(count, kind) for nodes in offered.nodes):
            what = f"{count} GPU(s)" + (f" of type {kind}" if kind else "")
            return Check(
                "gpu",
                False,
                f"no node of partition '{offered.name}' has {what}, as {rule} asks; it has "
                f"{_offer(offered)}",
                f"set cluster.gpu_partition, cluster.gpu_type or cluster.jobs.{rule}.gpus",
            )
    asked = ", ".join(f"{rule} {count}" for rule, count in counts.items())
    return Check("gpu", True, f"nodes have what is asked: {asked}" + (f" x {kind}" if kind else ""))


def _needed(config: Config) -> dict[str, int]:
    """Return how many GPUs the rules use in which models run."""
    if config.training.device != "cuda":
        return {}
    training = {rule: config.training.gpus for rule in ("warm_up", "training")}
    return {
        rule: count for rule, count in {**training, "rollout": 1}.items() if rule in jobs(config)
    }


def _offer(offered: Partition) -> str:
    kinds = {kind or "any type": n for nodes in offered.nodes for kind, n in nodes.gpus.items()}
    return ", ".join(f"{count} of {kind}" for kind, count in kinds.items()) or "none"


def limits_check(config: Config, known: Mapping[str, Partition]) -> Check:
    """Compare the time and memory of each rule's first attempt with what its partition gives."""
    requested = jobs(config)
    for rule, job in requested.items():
        offered, kind = (
            partition(config, rule, known),
            config.cluster.gpu_type if job.gpus else None,
        )
        fitting = [nodes.memory_mb for nodes in offered.nodes if nodes.has(job.gpus, kind)]
        memory = min(offered.memory_mb, max(fitting, default=0))
        for key, asked, most in (
            ("minutes", job.minutes, offered.minutes),
            ("memory_mb", job.memory_mb, memory),
        ):
            if asked > most:
                return Check(
                    "limits",
                    False,
                    f"{rule} asks for {asked} {key.replace('_mb', ' in MB')}, partition "
                    f"'{offered.name}' gives at most {most:.0f}",
                    f"lower cluster.jobs.{rule}.{key}, or choose another partition",
                )
    longest = max(job.minutes for job in requested.values())
    largest = max(job.memory_mb for job in requested.values())
    return Check("limits", True, f"up to {longest} minutes and {largest:,} MB a job fit")
