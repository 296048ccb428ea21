"""What the stages of a study took, as their artifacts tell: CPU, wall time, memory, disk."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs, provenance
from unblind.study.stages import ADAPTER_FILES, MANIFEST
from unblind.study.store import PULLED_BASE


@dataclass(frozen=True)
class Stage:
    """A stage of a study and where its costs are written down.

    Attributes:
        name: the stage in tables.
        artifacts: files whose sidecars add up to its costs, each with the settings it must have
            been made with (`Config.part`); None: not checked.
        outputs: files and folders that take up disk.
        benchmark: Snakemake's benchmark file, for a stage without sidecars of its own.
    """

    name: str
    artifacts: Mapping[Path, Any]
    outputs: tuple[Path, ...]
    benchmark: Path | None = None

    def sources(self) -> list[Path]:
        """Return the files that `measure` reads."""
        if self.benchmark:
            return [self.benchmark]
        return [provenance.sidecar_path(path) for path in self.artifacts]


@dataclass(frozen=True)
class Cost:
    """What a stage took.

    Attributes:
        cpu_s: CPU-seconds of all processes.
        wall_s: seconds from start to end, summed over the stage's artifacts.
        memory_mib: largest resident memory in MiB.
        disk: bytes of its files as they lie there.
        metas: sidecars that say so; empty if a benchmark file does.
    """

    cpu_s: float
    wall_s: float
    memory_mib: float
    disk: int
    metas: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)


def runs(config: Config) -> list[str]:
    """Return the runs that Table 1 needs."""
    return [row for row in config.table1.rows if row in config.runs]


def feature_kinds(config: Config) -> list[str]:
    """Return the stages that compute once what the runs of Table 1 need."""
    methods = {config.runs[run].method for run in runs(config)} - {None}
    if config.base.source is not None:  # the teacher looks at changed ones, during training
        return ["pictures"] if methods else []
    needed = {"features_low": bool(methods), "features_teacher": "align" in methods}
    return [stage for stage, is_needed in needed.items() if is_needed]


def stages(config: Config, results: Path) -> list[Stage]:
    """Return the stages up to Table 1, in the order in which they run.

    Args:
        config: names runs and seeds.
        results: folder of the artifacts; a pulled base lies elsewhere.
    """
    here = config.model_copy(update={"results": str(results)})
    replay = results / "replay.parquet"
    found = [
        _demos("demos", jobs.demos_folder(here), jobs.settings(config, "demos")),
        Stage("replay", {replay: jobs.settings(config, "replay")}, (replay,)),
    ]
    if any(config.runs[run].policy == "vla" for run in runs(config)):
        pulled = Stage("base", {}, (PULLED_BASE,), results / "benchmarks" / "pull_base.tsv")
        if config.base.source is not None:
            found += _published_base(here)
        else:
            found += _base(here) if config.rebuild_base else [pulled]
    for kind in feature_kinds(config):
        path = jobs.path(here, kind)
        found.append(Stage(kind.replace("_", " "), {path: jobs.settings(config, kind)}, (path,)))
    found += [_training(here, run) for run in runs(config) if config.runs[run].method]
    found += [_rollouts(here, run) for run in runs(config)]
    tables = tuple(results / f"table1.{kind}" for kind in ("md", "csv", "tex"))
    return [*found, Stage("table 1", {}, tables, results / "benchmarks" / "table1.tsv")]


def _demos(name: str, folder: Path, part: Any) -> Stage:
    return Stage(name, {folder / MANIFEST: part}, (folder,))


def _training(config: Config, run: str) -> Stage:
    folders = [jobs.run_folder(config, run, seed) for seed in config.seeds]
    part = jobs.settings(config, "training", run)
    weights = {folder / ADAPTER_FILES[0]: part for folder in folders}
    return Stage(f"training of {run}", weights, tuple(folders))


def _rollouts(config: Config, run: str) -> Stage:
    folders = [Path(config.results, "rollouts", run, str(seed)) for seed in config.seeds]
    part = jobs.settings(config, jobs.rollout_stage(config, run), run)
    records = {folder / f"{c.name}.parquet": part for folder in folders for c in CONDITIONS}
    return Stage(f"rollouts of {run}", records, tuple(folders))


def _base(config: Config) -> list[Stage]:
    """Return the stages that make the base."""
    folder = jobs.rebuilt(config)

    def part(name: str) -> Any:
        return jobs.settings(config, name)

    questions, weights = folder / "questions", "model.safetensors"
    pretraining, warm_up = (
        jobs.demos_folder(config, "pretraining"),
        jobs.demos_folder(config, "warm-up"),
    )
    learned = {folder / weights: part("warm_up"), folder / "questions.json": {}}
    return [
        _demos("base: questions", questions, None),
        _demos("base: demos", pretraining, part("pretraining_demos")),
        _demos("base: warm-up demos", warm_up, part("warm_up_demos")),
        Stage("base: vlm", {folder / "vlm" / weights: part("vlm")}, (folder / "vlm",)),
        Stage("base: robot", {folder / "robot" / weights: part("robot")}, (folder / "robot",)),
        Stage("base: warm-up", learned, tuple(learned)),
    ]


def _published_base(config: Config) -> list[Stage]:
    """Return the stages that fetch the published checkpoint and warm it up."""
    start, warm, demos = (
        jobs.path(config, "fetch"),
        jobs.path(config, "published_warm_up"),
        jobs.demos_folder(config, "warm-up"),
    )
    fetched = Stage("base: fetch", {start: None}, (start,))
    if not config.rebuild_base:
        return [fetched]
    return [
        fetched,
        _demos("base: warm-up demos", demos, jobs.settings(config, "warm_up_demos")),
        Stage(
            "base: warm-up",
            {warm: jobs.settings(config, "warm_up")},
            tuple(warm.parent.glob("model*")),
        ),
    ]


def measure(stage: Stage) -> Cost | None:
    """Return what a stage took; None if it is not complete, or was made with other settings.

    Raises:
        UnblindError: a sidecar or benchmark file is damaged.
    """
    if not all(path.is_file() for path in stage.sources()):
        return None
    if stage.benchmark:
        if not all(path.exists() for path in stage.outputs):
            return None
        return Cost(*_benchmark(stage.benchmark), _disk(stage.outputs))
    metas = tuple(provenance.read(path) for path in stage.artifacts)
    wanted = stage.artifacts.values()
    if any(
        part is not None and meta.get("config_hash") != digest(part)
        for meta, part in zip(metas, wanted, strict=True)
    ):
        return None
    columns = [_numbers(path, meta) for path, meta in zip(stage.artifacts, metas, strict=True)]
    cpu, wall, memory = zip(*columns, strict=True)
    return Cost(sum(cpu), sum(wall), max(memory), _disk(stage.outputs), metas)


def _numbers(path: Path, meta: Mapping[str, Any]) -> tuple[float, ...]:
    keys = ("cpu_s", "wall_s", "peak_memory_mib")
    return _checked(provenance.sidecar_path(path), [meta.get(key) for key in keys])


def _benchmark(path: Path) -> tuple[float, ...]:
    """Return CPU-seconds, wall seconds and memory that Snakemake saw of a job."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[:2]]
    try:
        values = dict(zip(*lines, strict=True))
        # A job that is over at once has no samples: Snakemake writes NA or "-".
        found = [float(values[key]) for key in ("cpu_time", "s", "max_rss")]
    except (TypeError, ValueError, KeyError):
        found = [None]
    return _checked(path, found)


def _checked(path: Path, values: Iterable[Any]) -> tuple[float, ...]:
    found = tuple(values)
    for value in found:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise UnblindError(
                f"{path} tells no costs: {value!r} is no amount",
                "delete it and its artifact, then run the command that makes them",
            )
    return found


def _disk(outputs: Iterable[Path]) -> int:
    """Return the bytes of files and folders, without sidecars."""
    files = [f for path in outputs for f in ([path] if path.is_file() else path.rglob("*"))]
    return sum(f.stat().st_size for f in files if f.is_file() and f.suffixes[-2:] != _SIDECAR)


_SIDECAR = [".meta", ".json"]
