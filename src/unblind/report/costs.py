"""CPU-seconds of each stage: estimated before a study, measured after it."""

from collections.abc import Iterable
from pathlib import Path

from unblind import provenance
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.progress import START_CPU_S, UNIT_CPU_S
from unblind.sim.conditions import CONDITIONS, Space

TRAINING_OBJECTS = len(Space().objects)


def estimate(config: Config) -> dict[str, float]:
    """Return the CPU-seconds that each stage is expected to take.

    Policies without a known cost (trained ones) are left out.
    """
    demos = config.demos.successes + TRAINING_OBJECTS * config.demos.held_out_per_object
    episodes = len(CONDITIONS) * len(config.seeds) * config.rollout.episodes
    start = config.rollout.workers * START_CPU_S
    costs = {
        "demos": start + demos * UNIT_CPU_S["demos"],
        "replay": start + 2 * config.replay.episodes * UNIT_CPU_S["replay"],
    }
    for name, run in config.runs.items():
        if run.policy in UNIT_CPU_S:
            starts = len(config.seeds) * start
            costs[f"rollouts of {name}"] = starts + episodes * UNIT_CPU_S[run.policy]
    return costs


def measure(config: Config, results: Path) -> dict[str, float]:
    """Return the CPU-seconds found in sidecars, for the stages that are complete."""
    artifacts = {
        "demos": [results / "demos" / "manifest.json"],
        "replay": [results / "replay.parquet"],
    }
    for run in config.runs:
        artifacts[f"rollouts of {run}"] = [
            results / "rollouts" / run / str(seed) / f"{condition.name}.parquet"
            for seed in config.seeds
            for condition in CONDITIONS
        ]
    found = {name: _sum(paths) for name, paths in artifacts.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def report(config: Config, results: Path) -> str:
    """Return a table of estimated and measured CPU-seconds, with totals."""
    expected, found = estimate(config), measure(config, results)
    lines = [f"{'CPU-seconds':<24}{'estimated':>10}{'measured':>10}"]
    for stage in {**expected, **found}:
        lines.append(f"{stage:<24}{_number(expected.get(stage))}{_number(found.get(stage))}")
    total = sum(found.values()) if found else None
    lines.append(f"{'together':<24}{_number(sum(expected.values()))}{_number(total)}")
    return "\n".join(lines)


def _sum(paths: Iterable[Path]) -> float | None:
    try:
        return sum(provenance.read(path)["cpu_s"] for path in paths)
    except (UnblindError, KeyError):
        return None


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.0f'):>10}"
