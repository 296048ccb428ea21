"""What the stages of a study took, as the sidecars of their artifacts say."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unblind import places, provenance
from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.sim.conditions import CONDITIONS

_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Stage:
    """A stage of a study.

    Attributes:
        name: the stage in tables.
        artifacts: files whose sidecars add up to its costs, each with the settings it must have
            been made with (`Config.part`); None: not checked.
        outputs: files and folders that take up disk.
        jobs: of the workflow; one a seed for runs.
    """

    name: str
    artifacts: Mapping[Path, Any]
    outputs: tuple[Path, ...]
    jobs: int = 1

    def sidecars(self) -> list[Path]:
        """Return the files that `measure` reads."""
        return [provenance.sidecar_path(path) for path in self.artifacts]


@dataclass(frozen=True)
class Cost:
    """What a stage took.

    Attributes:
        cpu_s: CPU-seconds of all processes.
        wall_s: seconds from start to end, summed over the stage's artifacts.
        memory_mib: largest resident memory in MiB.
        disk: bytes of its files.
        sidecars: contents of the sidecars that say so.
    """

    cpu_s: float
    wall_s: float
    memory_mib: float
    disk: int
    sidecars: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)


def runs(config: Config) -> list[str]:
    """Return the runs that Table 1 needs."""
    return [row for row in config.table1.rows if row in config.runs]


def feature_kinds(config: Config) -> list[str]:
    """Return which features the runs of Table 1 need."""
    methods = {config.runs[run].method for run in runs(config)} - {None}
    # The teacher of the published model looks at augmented pictures, during training.
    teacher = "align" in methods and config.openvla is None
    return [*(["low"] if methods else []), *(["teacher"] if teacher else [])]


def stages(config: Config) -> list[Stage]:
    """Return the stages up to Table 1 that leave sidecars, in the order in which they run."""
    replay = Path(config.results, "replay.parquet")
    listed = [
        _demos("demos", places.demos(config), config.part("demos")),
        Stage("replay", {replay: config.part("replay")}, (replay,)),
    ]
    if any(config.runs[run].policy == "vla" for run in runs(config)):
        listed += base_stages(config)
    files = {"low": places.features_low(config), "teacher": places.features_teacher(config)}
    for kind in feature_kinds(config):
        part = config.part("features_low" if kind == "low" else "features_teacher")
        listed.append(Stage(f"features {kind}", {files[kind]: part}, (files[kind],)))
    listed += [_training(config, run) for run in runs(config) if config.runs[run].method]
    return listed + [_rollouts(config, run) for run in runs(config)]


def base_stages(config: Config) -> list[Stage]:
    """Return the stages that make the base; none for one that is pulled."""
    folder, part = places.rebuilt(config), config.part
    warm_up_demos = _demos(
        "base: warm-up demos", places.demos(config, "warm-up"), part("warm_up_demos")
    )
    if config.openvla is not None:
        start, warm = places.openvla_start(config), places.openvla_base(config)
        fetched = Stage("base: fetch", {start: None}, (start,))
        outputs = tuple(warm.parent.glob("model*"))
        tuned = Stage("base: warm-up", {warm: part("warm_up")}, outputs)
        return [fetched, warm_up_demos, tuned] if config.rebuild_base else [fetched]
    if not config.rebuild_base:
        return []
    learned = {folder / _WEIGHTS: part("warm_up"), folder / "questions.json": {}}
    return [
        _demos("base: questions", folder / "questions", None),
        _demos("base: demos", places.demos(config, "pretraining"), part("pretraining_demos")),
        warm_up_demos,
        Stage("base: vlm", {folder / "vlm" / _WEIGHTS: part("vlm")}, (folder / "vlm",)),
        Stage("base: robot", {folder / "robot" / _WEIGHTS: part("robot")}, (folder / "robot",)),
        Stage("base: warm-up", learned, tuple(learned)),
    ]


def _demos(name: str, folder: Path, part: Any) -> Stage:
    return Stage(name, {folder / places.MANIFEST: part}, (folder,))


def _training(config: Config, run: str) -> Stage:
    folders = tuple(places.run_folder(config, run, seed) for seed in config.seeds)
    part = config.part("training", run)
    weights = {folder / places.ADAPTER_FILES[0]: part for folder in folders}
    return Stage(f"training of {run}", weights, folders, len(folders))


def _rollouts(config: Config, run: str) -> Stage:
    folders = tuple(Path(config.results, "rollouts", run, str(seed)) for seed in config.seeds)
    part = config.part("rollout", run)
    records = {folder / f"{c.name}.parquet": part for folder in folders for c in CONDITIONS}
    return Stage(f"rollouts of {run}", records, folders, len(folders))


def measure(stage: Stage) -> Cost | None:
    """Return what a stage took; None if it is not complete, or was made with other settings.

    Raises:
        UnblindError: a sidecar is damaged.
    """
    if not all(path.is_file() for path in stage.sidecars()):
        return None
    sidecars = tuple(provenance.read(path) for path in stage.artifacts)
    for sidecar, part in zip(sidecars, stage.artifacts.values(), strict=True):
        if part is not None and sidecar.get("config_hash") != digest(part):
            return None
    rows = [
        _numbers(path, sidecar) for path, sidecar in zip(stage.artifacts, sidecars, strict=True)
    ]
    cpu, wall, memory = zip(*rows, strict=True)
    return Cost(sum(cpu), sum(wall), max(memory), _disk(stage.outputs), sidecars)


def cpu_seconds(config: Config) -> dict[str, float]:
    """Return the CPU-seconds of the stages that are complete; damaged sidecars do not count."""
    seconds = {}
    for stage in stages(config):
        with contextlib.suppress(UnblindError):
            if cost := measure(stage):
                seconds[stage.name] = cost.cpu_s
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


def _disk(outputs: tuple[Path, ...]) -> int:
    """Return the bytes of files and folders, without sidecars."""
    files = [f for path in outputs for f in ([path] if path.is_file() else path.rglob("*"))]
    return sum(f.stat().st_size for f in files if f.is_file() and not f.match("*.meta.json"))
