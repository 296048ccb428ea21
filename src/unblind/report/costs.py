"""CPU-seconds of each stage: estimated before a study, measured after it."""

from collections.abc import Iterable
from pathlib import Path

from unblind import places, provenance
from unblind.config import Config, Schedule
from unblind.errors import UnblindError
from unblind.progress import START_CPU_S, UNIT_CPU_S
from unblind.sim.conditions import CONDITIONS, Space
from unblind.store import BASE_FILES, PULLED_BASE

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
        "demos": start + episodes * UNIT_CPU_S["demos"],
        "replay": start + 2 * config.replay.episodes * UNIT_CPU_S["replay"],
    }
    learning = [run for run in _runs(config) if config.runs[run].method]
    models = [run for run in _runs(config) if config.runs[run].policy == "vla"]
    if models:
        costs |= _rebuilt_base(config, start) if config.rebuild_base else {"base": PULL_CPU_S}
    frames = config.demos.successes * FRAMES
    for kind in _features(config):
        costs[f"features {kind}"] = MODEL_CPU_S + frames * UNIT_CPU_S[f"features_{kind}"]
    training = MODEL_CPU_S + _pictures(config.training.schedule) * UNIT_CPU_S["training"]
    for run in learning:
        costs[f"training of {run}"] = len(config.seeds) * training
    for run in _runs(config):
        unit = UNIT_CPU_S[config.runs[run].policy] * config.rollout.max_steps / 80
        each = start + sum(config.rollout.count(c.name) for c in CONDITIONS) * unit
        each += MODEL_CPU_S if run in models else 0
        costs[f"rollouts of {run}"] = len(config.seeds) * each
    return costs


def _rebuilt_base(config: Config, start: float) -> dict[str, float]:
    from unblind.training.vlm_data import UNIT_CPU_S as QUESTION_CPU_S

    base = config.base
    pictures = base.questions.images + base.questions.held_out
    warm_up = base.warm_up_episodes * FRAMES * UNIT_CPU_S["features_low"]
    warm_up += _pictures(base.warm_up) * UNIT_CPU_S["training"]
    answers = base.questions.held_out * UNIT_CPU_S["pretraining"]
    return {
        "base: questions": start + pictures * QUESTION_CPU_S,
        "base: demos": start + base.demos.successes * UNIT_CPU_S["demos"],
        "base: warm-up demos": start + base.warm_up_episodes * UNIT_CPU_S["demos"],
        "base: vlm": MODEL_CPU_S + _pictures(base.vlm) * UNIT_CPU_S["pretraining"],
        "base: robot": MODEL_CPU_S + sum(map(_pictures, base.robot)) * UNIT_CPU_S["pretraining"],
        "base: warm-up": MODEL_CPU_S + warm_up + answers,
    }


def _pictures(schedule: Schedule) -> int:
    return schedule.steps * schedule.batch


def _runs(config: Config) -> list[str]:
    """Return the runs that the table needs."""
    return [row for row in config.table1.rows if row in config.runs]


def _features(config: Config) -> list[str]:
    methods = {config.runs[run].method for run in _runs(config)} - {None}
    return [*(["low"] if methods else []), *(["teacher"] if "align" in methods else [])]


def measure(config: Config, results: Path) -> dict[str, float]:
    """Return the CPU-seconds found in sidecars, for the stages that are complete."""
    here = config.model_copy(update={"results": str(results)})
    found = {name: _sum(paths) for name, paths in _artifacts(here).items()}
    if not config.rebuild_base and all((PULLED_BASE / name).is_file() for name in BASE_FILES):
        found["base"] = _benchmark(results / "benchmarks" / "pull_base.tsv")
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _artifacts(config: Config) -> dict[str, list[Path]]:
    """Return, by stage, artifacts whose sidecars add up to its costs."""
    results = Path(config.results)
    artifacts = {
        "demos": [places.demos(config) / places.MANIFEST],
        "replay": [results / "replay.parquet"],
    }
    if config.rebuild_base:
        artifacts |= _base_artifacts(config)
    if "low" in _features(config):
        artifacts["features low"] = [places.features_low(config)]
    if "teacher" in _features(config):
        artifacts["features teacher"] = [places.features_teacher(config)]
    for run in _runs(config):
        if config.runs[run].method:
            artifacts[f"training of {run}"] = [
                places.run_folder(config, run, seed) / places.ADAPTER_FILES[0]
                for seed in config.seeds
            ]
    for run in _runs(config):
        artifacts[f"rollouts of {run}"] = [
            results / "rollouts" / run / str(seed) / f"{condition.name}.parquet"
            for seed in config.seeds
            for condition in CONDITIONS
        ]
    return artifacts


def _base_artifacts(config: Config) -> dict[str, list[Path]]:
    folder = places.rebuilt(config)
    return {
        "base: questions": [folder / "questions" / places.MANIFEST],
        "base: demos": [places.demos(config, "pretraining") / places.MANIFEST],
        "base: warm-up demos": [places.demos(config, "warm-up") / places.MANIFEST],
        "base: vlm": [folder / "vlm" / "model.safetensors"],
        "base: robot": [folder / "robot" / "model.safetensors"],
        "base: warm-up": [folder / "model.safetensors", folder / "questions.json"],
    }


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


def _benchmark(path: Path) -> float | None:
    """Return the CPU-seconds of Snakemake's benchmark file of a job, if it can tell."""
    try:
        names, values = (line.split("\t") for line in path.read_text().splitlines()[:2])
        return float(dict(zip(names, values, strict=True))["cpu_time"])
    except (OSError, ValueError, KeyError):
        return None


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.0f'):>10}"
