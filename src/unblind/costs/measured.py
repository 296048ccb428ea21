"""What the stages of a study took, as the sidecars of their artifacts say."""

import contextlib
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.study import graph, provenance, selection
from unblind.study.jobs import Job
from unblind.study.rows.names import MANIFEST, RECORD
from unblind.study.stages import rule_of


@dataclass(frozen=True)
class Cost:
    """What a line of a table took.

    Attributes:
        cpu_s: CPU-seconds of all processes.
        wall_s: seconds from start to end, summed over the artifacts.
        memory_mib: largest resident memory in MiB.
        disk: bytes of the files.
        sidecars: contents of the sidecars that say so.
    """

    cpu_s: float
    wall_s: float
    memory_mib: float
    disk: int
    sidecars: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)


def line_of(rule: str, run: str | None) -> str:
    """Return under which name tables of costs list a job of a rule of the workflow."""
    return rule.replace("_", " ") + (f" of {run}" if run else "")


def lines(config: Config) -> dict[str, list[Job]]:
    """Return the jobs that leave sidecars, but those of pages, by the line of a table, in order."""
    listed: dict[str, list[Job]] = {}
    needed = functools.cache(lambda stage: (None, *selection.needed_runs(config, stage)))
    for job in graph.of_study(config):
        if not job.stage.page and job.rule != "pull" and job.run in needed(job.name):
            listed.setdefault(line_of(rule_of(job.name), job.run), []).append(job)
    return listed


def count(made_by: list[Job]) -> int:
    """Return how many jobs of the workflow these are: a rule may stand for several stages."""
    return len({(job.run, job.seed_of_run) for job in made_by})


def measure(made_by: list[Job]) -> Cost | None:
    """Return what jobs took; None if something is missing, or was made with other settings.

    Raises:
        UnblindError: a sidecar is damaged.
    """
    artifacts = [(path, job) for job in made_by for path in job.outputs]
    if not all(provenance.sidecar_path(path).is_file() for path, _ in artifacts):
        return None
    sidecars = tuple(provenance.read(path) for path, _ in artifacts)
    for sidecar, (_, job) in zip(sidecars, artifacts, strict=True):
        known = job.stage.settings is not None
        if known and sidecar.get("config_hash") != digest(job.told_settings):
            return None
    rows = [_numbers(path, sidecar) for (path, _), sidecar in zip(artifacts, sidecars, strict=True)]
    cpu, wall, memory = zip(*rows, strict=True)
    return Cost(sum(cpu), sum(wall), max(memory), _disk(made_by), sidecars)


def cpu_seconds(config: Config) -> dict[str, float]:
    """Return the CPU-seconds of the lines that are complete; damaged sidecars do not count."""
    seconds = {}
    for name, made_by in lines(config).items():
        with contextlib.suppress(UnblindError):
            if cost := measure(made_by):
                seconds[name] = cost.cpu_s
    return seconds


def _numbers(path: Path, sidecar: Mapping[str, Any]) -> tuple[float, ...]:
    numbers = tuple(sidecar.get(key) for key in ("cpu_s", "wall_s", "peak_memory_mib"))
    for number in numbers:
        # JSON's true is an int in Python.
        if type(number) not in (int, float) or not math.isfinite(number) or number < 0:
            raise UnblindError(
                f"{provenance.sidecar_path(path)} tells no costs: {number!r} is no amount",
                "delete it and its artifact, then run the command that makes them",
            )
    return numbers


def _disk(made_by: list[Job]) -> int:
    """Return the bytes of what jobs have made, without sidecars."""
    files = {file for job in made_by for path in job.outputs for file in _files(job, path)}
    return sum(f.stat().st_size for f in files if f.is_file() and not f.match("*.meta.json"))


def _files(job: Job, path: Path) -> list[Path]:
    """Return an artifact with all files that it stands for."""
    if path.name == MANIFEST or job.name == "training":
        return list(path.parent.rglob("*"))
    return [path, *(path.parent.glob("model*") if path.name == RECORD else ())]
