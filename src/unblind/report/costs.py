"""CPU-seconds of each stage: estimated before a study, measured after it."""

import contextlib
from pathlib import Path

from unblind.config import Config, Schedule
from unblind.errors import UnblindError
from unblind.progress import START_CPU_S
from unblind.report import dag, measured
from unblind.sim.conditions import CONDITIONS, Space
from unblind.study.stages import EPISODE_CPU_S, STAGES

TRAINING_OBJECTS = len(Space().objects)
#: Labelled frames of a demonstration, as a mean over mini's.
FRAMES = 31
#: Pulling the base: DVC's start and a few megabytes.
PULL_CPU_S = 4.0
#: Until a process has imported the model's libraries and read it.
MODEL_CPU_S = 7.0


def estimate(config: Config) -> dict[str, float]:
    """Return the CPU-seconds that each stage is expected to take."""
    start = config.rollout.workers * START_CPU_S
    episodes = config.demos.successes + TRAINING_OBJECTS * config.demos.held_out_per_object
    costs = {
        "demos": start + episodes * STAGES["demos"].unit_cpu_s,
        "replay": start + 2 * config.replay.episodes * STAGES["replay"].unit_cpu_s,
    }
    learning = [run for run in measured.runs(config) if config.runs[run].method]
    models = [run for run in measured.runs(config) if config.runs[run].policy == "vla"]
    if models:
        costs |= _rebuilt_base(config, start) if config.rebuild_base else {"base": PULL_CPU_S}
    frames = config.demos.successes * FRAMES
    for kind in measured.feature_kinds(config):
        costs[kind.replace("_", " ")] = MODEL_CPU_S + frames * STAGES[kind].unit_cpu_s
    training = MODEL_CPU_S + _pictures(config.training.schedule) * STAGES["training"].unit_cpu_s
    for run in learning:
        costs[f"training of {run}"] = len(config.seeds) * training
    for run in measured.runs(config):
        unit = EPISODE_CPU_S[config.runs[run].policy] * config.rollout.max_steps / 80
        each = start + sum(config.rollout.count(c.name) for c in CONDITIONS) * unit
        each += MODEL_CPU_S if run in models else 0
        costs[f"rollouts of {run}"] = len(config.seeds) * each
    return costs


def questions_cpu_s(config: Config) -> float:
    """Return the CPU-seconds of drawing the pictures with questions, workers' start apart."""
    asked = config.base.questions
    return (asked.images + asked.held_out) * STAGES["questions"].unit_cpu_s


def _rebuilt_base(config: Config, start: float) -> dict[str, float]:
    base = config.base
    warm_up = base.warm_up_episodes * FRAMES * STAGES["features_low"].unit_cpu_s
    warm_up += _pictures(base.warm_up) * STAGES["training"].unit_cpu_s
    answers = base.questions.held_out * STAGES["vlm"].unit_cpu_s
    return {
        "base: questions": start + questions_cpu_s(config),
        "base: demos": start + base.demos.successes * STAGES["demos"].unit_cpu_s,
        "base: warm-up demos": start + base.warm_up_episodes * STAGES["demos"].unit_cpu_s,
        "base: vlm": MODEL_CPU_S + _pictures(base.vlm) * STAGES["vlm"].unit_cpu_s,
        "base: robot": MODEL_CPU_S + sum(map(_pictures, base.robot)) * STAGES["vlm"].unit_cpu_s,
        "base: warm-up": MODEL_CPU_S + warm_up + answers,
    }


def _pictures(schedule: Schedule) -> int:
    return schedule.steps * schedule.batch


def measure(config: Config, results: Path) -> dict[str, float]:
    """Return the CPU-seconds of the stages that are complete; damaged sidecars do not count."""
    found = {}
    for stage in measured.stages(config, results):
        with contextlib.suppress(UnblindError):
            if cost := measured.measure(stage):
                found[stage.name] = cost.cpu_s
    return found


def jobs(config: Config, stage: str) -> int:
    """Return how many jobs a stage has: one a seed for runs, else one."""
    return len(config.seeds) if stage.startswith(("training of ", "rollouts of ")) else 1


def report(config: Config, results: Path, target: str | None = None) -> str:
    """Return a table of estimated and measured CPU-seconds, with totals.

    Args:
        config: the study.
        results: folder of the artifacts.
        target: a result or a rule, to leave out what it does not need; None: up to Table 1. Of
            runs with several seeds it gets its share of the CPU-seconds.

    Raises:
        UnblindError: there is no such target.
    """
    expected, found = estimate(config), measure(config, results)
    if target is not None:
        shares = _shares(config, target)
        expected, found = (
            {stage: value * shares[stage] for stage, value in costs.items() if stage in shares}
            for costs in (expected, found)
        )
    lines = [f"{'CPU-seconds':<24}{'estimated':>10}{'measured':>10}"]
    for stage in {**expected, **found}:
        lines.append(f"{stage:<24}{_number(expected.get(stage))}{_number(found.get(stage))}")
    total = sum(found.values()) if found else None
    lines.append(f"{'together':<24}{_number(sum(expected.values()))}{_number(total)}")
    return "\n".join(lines)


def _shares(config: Config, target: str) -> dict[str, float]:
    """Return which share of the jobs of each stage a target needs."""
    counts = dag.stages(config, target)
    return {stage: count / jobs(config, stage) for stage, count in counts.items()}


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.0f'):>10}"
