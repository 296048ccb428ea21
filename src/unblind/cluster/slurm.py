"""What a SLURM cluster offers, as its own commands tell."""

import math
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from unblind.errors import UnblindError

#: Commands of SLURM that submitting, watching and cancelling need.
COMMANDS = ("sbatch", "squeue", "scontrol", "sinfo", "scancel", "srun")
LOGIN_NODE = "run the same command on a login node of a SLURM cluster"
#: States in which a job has come to its end.
ENDED = frozenset(
    "COMPLETED FAILED TIMEOUT CANCELLED NODE_FAIL OUT_OF_MEMORY BOOT_FAIL DEADLINE PREEMPTED "
    "REVOKED".split()
)
_PATIENCE_S = 20
_GRES = re.compile(r"gpu(?::(?P<type>[^:,()]+?))?(?::(?P<count>\d+))?(?:\([^)]*\))?(?:,|$)")
_UNUSABLE = re.compile(r"down|drain|drng|fail|boot|maint|unk|power|resv|\*$")


@dataclass(frozen=True)
class Nodes:
    """Alike nodes of a partition.

    Attributes:
        count: how many there are.
        memory_mb: memory of one in MB.
        gpus: GPUs of one by type; "" is the type of those that have none.
        state: SLURM's word, such as "idle".
    """

    count: int
    memory_mb: int
    gpus: Mapping[str, int]
    state: str

    @property
    def usable(self) -> bool:
        """Whether jobs may start there, now or when others have ended."""
        return not _UNUSABLE.search(self.state)

    def has(self, count: int, kind: str | None) -> bool:
        """Tell whether a node has so many GPUs of one type (None: of any)."""
        return (sum(self.gpus.values()) if kind is None else self.gpus.get(kind, 0)) >= count


@dataclass(frozen=True)
class Partition:
    """A partition and its nodes.

    Attributes:
        name: as jobs ask for it.
        default: whether jobs that name none get it.
        up: whether it takes and starts jobs.
        minutes: longest wall time of a job; infinite if there is no limit.
        memory_mb: most memory of a job on a node in MB; infinite if there is no limit.
        nodes: alike nodes.
    """

    name: str
    default: bool
    up: bool
    minutes: float
    memory_mb: float
    nodes: tuple[Nodes, ...] = field(default=())


def ask(*words: str, text: str | None = None) -> str:
    """Return what one of SLURM's commands prints.

    Args:
        words: command and arguments.
        text: its standard input.

    Raises:
        UnblindError: there is no such command, it failed, or it did not answer.
    """
    name = words[0]
    try:
        done = subprocess.run(
            words, input=text or "", capture_output=True, text=True, timeout=_PATIENCE_S
        )
    except FileNotFoundError:
        raise UnblindError(f"no {name} on this machine", LOGIN_NODE) from None
    except subprocess.TimeoutExpired:
        raise UnblindError(
            f"{name} gave no answer within {_PATIENCE_S} s", "see if SLURM is up: scontrol ping"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
        reason = lines[-1].removeprefix(f"{name}: ").removeprefix("error: ")
        raise UnblindError(f"{name} failed: {reason}", "see if SLURM is up: scontrol ping")
    return done.stdout


def settings() -> dict[str, str]:
    """Return the controller's settings by name.

    Raises:
        UnblindError: SLURM does not answer.
    """
    pairs = (line.partition("=") for line in ask("scontrol", "show", "config").splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def partitions() -> dict[str, Partition]:
    """Return all partitions by name.

    Raises:
        UnblindError: SLURM does not answer.
    """
    nodes: dict[str, list[Nodes]] = {}
    shown = ask("sinfo", "--all", "--noheader", "--exact", "--format=%R|%D|%m|%G|%t")
    for line in shown.splitlines():
        name, count, memory, gres, state = line.split("|")
        alike = Nodes(int(count), int(memory.rstrip("+")), gpus(gres), state)
        nodes.setdefault(name, []).append(alike)
    entries = map(_fields, ask("scontrol", "--all", "--oneliner", "show", "partition").splitlines())
    return {entry["PartitionName"]: _partition(entry, nodes) for entry in entries if entry}


def _partition(told: Mapping[str, str], nodes: Mapping[str, list[Nodes]]) -> Partition:
    name, memory = told["PartitionName"], told.get("MaxMemPerNode", "")
    return Partition(
        name,
        default=told.get("Default") == "YES",
        up=told.get("State") == "UP",
        minutes=minutes(told.get("MaxTime", "UNLIMITED")),
        memory_mb=int(memory) if memory.isdigit() and int(memory) else math.inf,
        nodes=tuple(nodes.get(name, ())),
    )


def gpus(gres: str) -> dict[str, int]:
    """Return the GPUs in SLURM's list of generic resources, such as ``gpu:a100:4(S:0-1)``."""
    counts: dict[str, int] = {}
    for match in _GRES.finditer(gres):
        kind, count = match["type"] or "", match["count"]
        if kind.isdigit() and count is None:  # gpu:4 has no type
            kind, count = "", kind
        counts[kind] = counts.get(kind, 0) + int(count or 1)
    return counts


def minutes(text: str) -> float:
    """Return a time limit of SLURM, such as ``1-12:30:00``, in minutes; UNLIMITED is infinite."""
    days, _, clock = text.rpartition("-")
    try:
        hours, minute, second = map(int, clock.split(":"))
    except ValueError:
        return math.inf
    return (int(days or 0) * 24 + hours) * 60 + minute + second / 60


def job(number: str) -> dict[str, str]:
    """Return what the controller knows of a job by field; nothing if it has forgotten it.

    Raises:
        UnblindError: SLURM does not answer.
    """
    try:
        return _fields(ask("scontrol", "--oneliner", "show", "job", number))
    except UnblindError as error:
        if "Invalid job id" in error.cause:
            return {}
        raise


def accounts(user: str) -> list[str]:
    """Return the accounts that a user may charge.

    Raises:
        UnblindError: there is no accounting, or it does not answer.
    """
    words = ("--noheader", "--parsable2", "show", "associations", f"user={user}", "format=account")
    return sorted(set(ask("sacctmgr", *words).split()))


def _fields(line: str) -> dict[str, str]:
    """Return the fields of a line; the first wins, for later values may be a user's text."""
    words = (word.partition("=") for word in reversed(line.split()))
    return {name: value for name, equals, value in words if equals}
