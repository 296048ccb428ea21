"""Every artifact of a study: where it lies, and what it must be made from.

Tests compare this list with what the steps themselves write down.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from unblind import carried, places
from unblind.base import OPTIONAL_FILES
from unblind.config import Config, load
from unblind.costs import measured, page
from unblind.errors import UnblindError
from unblind.lineage.stored import Stored
from unblind.provenance import CODE, rollout_code
from unblind.report import hyperparameters
from unblind.sim.conditions import CONDITIONS
from unblind.steps.making import Origin
from unblind.store import BASE_FILES, PULLED_BASE, base_dir

Group = Literal[
    "base", "demos", "replay", "features", "training", "rollouts", "tables", "audit", "store"
]


@dataclass(frozen=True)
class Artifact:
    """A file with a sidecar.

    Attributes:
        group: kind of result.
        path: the file.
        origin: what it must be made from; None for a pulled base, which is what its pointer
            names, whoever made it. Of its inputs only results are named, no sources.
        beside: files without a sidecar that belong to it.
        optional: results that it reads if they stand.
        scratch: whether nobody misses it once everything that reads it is there.
    """

    group: Group
    path: Path
    origin: Origin | None
    beside: tuple[Path, ...] = ()
    optional: tuple[Path, ...] = ()
    scratch: bool = False

    def is_there(self) -> bool:
        """Tell whether there is such a file."""
        return self.path.is_file()


def study(config: Config, paper: Path) -> list[Artifact]:
    """Return all artifacts of a study, each after those that it is made from.

    Runs beside the rows of Table 1 count as far as their results are there.

    Args:
        config: the study.
        paper: configuration of the published sizes, which the page of costs shows.

    Raises:
        UnblindError: ``paper`` or the paper's tables of settings are malformed.
    """
    base: Iterable[Artifact] = ()
    if any(run.policy == "vla" for run in config.runs.values()):
        if config.openvla is not None:
            base = _published_base(config)
        else:
            base = _rebuilt_base(config) if config.rebuild_base else _pulled_base()
    rows = measured.runs(config)
    trainings, records = (
        [one for run in config.runs for one in make(config, run) if run in rows or one.is_there()]
        for make in (_trainings, _rollouts)
    )
    return [
        *base,
        _manifest("demos", config, "demos", places.demos(config)),
        _replay(config),
        *_carried(config),
        *_features(config),
        *trainings,
        *records,
        *_tables(config, rows),
        *_costs(config, paper),
        *_audit(config, records),
    ]


def _pulled_base() -> Iterator[Artifact]:
    yield from (Artifact("base", PULLED_BASE / name, None) for name in BASE_FILES)
    try:
        stored = Stored()
        listed = [name for name in OPTIONAL_FILES if stored.named(PULLED_BASE / name)]
    except UnblindError:
        listed = []
    yield from (Artifact("base", PULLED_BASE / name, None) for name in listed)


def _published_base(config: Config) -> Iterator[Artifact]:
    """Yield the records of the published checkpoint and of its warm-up."""
    start = places.openvla_start(config)
    yield Artifact("base", start, None)
    if config.rebuild_base:
        few = places.demos(config, "warm-up")
        yield _manifest("base", config, "warm_up_demos", few)
        inputs = (start, few / places.MANIFEST)
        code = CODE["openvla_training"]
        origin = Origin(config.part("warm_up"), code, inputs, config.seed)
        yield Artifact("base", places.openvla_base(config), origin)


def _rebuilt_base(config: Config) -> Iterator[Artifact]:
    folder, wanted = places.rebuilt(config), config.base.questions
    pictures = folder / "questions" / places.MANIFEST
    settings = {"images": wanted.images, "heldout": wanted.held_out, "catalog": "pretraining"}
    origin = Origin(settings | {"seed": config.seed}, CODE["questions"], (), config.seed)
    yield Artifact("base", pictures, origin, scratch=True)
    broad, few = places.demos(config, "pretraining"), places.demos(config, "warm-up")
    yield _manifest("base", config, "pretraining_demos", broad)
    yield _manifest("base", config, "warm_up_demos", few)
    vlm, robot = _model(folder / "vlm"), _model(folder / "robot")
    steps = (
        ("vlm", vlm, (pictures,)),
        ("robot", robot, (*vlm, broad / places.MANIFEST, pictures)),
        ("warm_up", _model(folder), (*robot, few / places.MANIFEST)),
    )
    for stage, paths, inputs in steps:
        origin = Origin(config.part(stage), CODE[stage], inputs, config.seed)
        for path in paths:
            yield Artifact("base", path, origin, scratch=stage != "warm_up")
    copied = Origin({}, ("unblind.files",), (folder / "vlm" / "model.safetensors",))
    yield Artifact("base", folder / "vlm.safetensors", copied)
    answered = Origin({}, CODE["answers"], (*_model(folder), pictures))
    yield Artifact("base", folder / "questions.json", answered)


def _base(config: Config) -> tuple[Path, ...]:
    """Return the files that stand for the model that methods start from."""
    if config.openvla is not None:
        return (places.openvla_base(config),)
    return _model(base_dir(config))


def _model(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / name for name in BASE_FILES)


def _manifest(
    group: Group,
    config: Config,
    stage: Literal["demos", "pretraining_demos", "warm_up_demos"],
    folder: Path,
) -> Artifact:
    origin = Origin(config.part(stage), CODE["demos"], (), config.seed)
    return Artifact(group, folder / places.MANIFEST, origin, scratch=True)


def _demos(config: Config) -> Path:
    return places.demos(config) / places.MANIFEST


def _replay(config: Config) -> Artifact:
    origin = Origin(config.part("replay"), CODE["replay"], (_demos(config),), config.seed)
    return Artifact("replay", carried.own_replay(config), origin, scratch=True)


def _carried(config: Config) -> Iterator[Artifact]:
    """Yield the copies that pulled runs bring along, where the study's own are absent."""
    for own in (_manifest("demos", config, "demos", places.demos(config)), _replay(config)):
        copy = replace(own, group="training", path=carried.folder(config) / own.path.name)
        if copy.is_there() and not own.is_there():
            yield copy


def _features(config: Config) -> Iterator[Artifact]:
    """Yield the features that the runs of Table 1 need."""
    kinds = measured.feature_kinds(config)
    if config.openvla is not None:
        # Pictures at the model's size; the teacher looks at changed ones during training.
        part = config.part("features_low")
        origin = Origin(part, CODE["openvla_pictures"], (_demos(config),))
        if kinds:
            yield Artifact("features", places.features_low(config), origin, scratch=True)
        return
    base = _model(base_dir(config))
    sizes = tuple(path for path in base if path.name == "config.json")
    if "low" in kinds:
        part, inputs = config.part("features_low"), (*base, _demos(config))
        origin = Origin(part, CODE["features_low"], inputs)
        yield Artifact("features", places.features_low(config), origin, scratch=True)
    if "teacher" in kinds:
        part, inputs = config.part("features_teacher"), (*sizes, _demos(config))
        origin = Origin(part, CODE["features_teacher"], inputs)
        yield Artifact("features", places.features_teacher(config), origin, scratch=True)


def _trainings(config: Config, run: str) -> Iterator[Artifact]:
    method = config.run(run).method
    if method is None:
        return
    published, aligned = config.openvla is not None, method == "align"
    inputs = (*_base(config), _demos(config), places.features_low(config))
    inputs += (places.features_teacher(config),) if aligned and not published else ()
    code = CODE["openvla_training" if published else "training"]
    for seed in config.seeds:
        folder = places.run_folder(config, run, seed)
        weights, *beside = (folder / name for name in places.RUN_FILES)
        beside += [folder / "projector.safetensors"] if aligned else []
        beside += [folder / places.STATISTICS] if published else []
        origin = Origin(config.part("training", run), code, inputs, seed)
        yield Artifact("training", weights, origin, tuple(beside))


def _rollouts(config: Config, run: str) -> Iterator[Artifact]:
    policy, method = config.run(run).policy, config.run(run).method
    for seed in config.seeds:
        inputs = _base(config) if policy == "vla" else ()
        adapter = places.run_folder(config, run, seed)
        inputs += tuple(adapter / name for name in places.ADAPTER_FILES) if method else ()
        published = config.openvla is not None and policy == "vla"
        code = CODE["openvla_rollout"] if published else rollout_code(policy)
        origin = Origin(config.part("rollout", run), code, inputs, seed)
        folder = Path(config.results, "rollouts", run, str(seed))
        for condition in CONDITIONS:
            yield Artifact("rollouts", folder / f"{condition.name}.parquet", origin)


def _tables(config: Config, rows: Iterable[str]) -> Iterator[Artifact]:
    results, answers = Path(config.results), base_dir(config) / "questions.json"
    records = [one.path for run in rows for one in _rollouts(config, run)]
    demos, replay = carried.sources(config)
    read = (*records, *([answers] if answers.is_file() else []), demos / places.MANIFEST, replay)
    origin = Origin(config.part("table1"), CODE["table1"], read)
    yield from _pages("tables", results / "table1", ("md", "csv", "tex"), origin)
    for number, table in hyperparameters.load_settings().items():
        origin = Origin(hyperparameters.settings(config, table), CODE["table1"], ())
        yield from _pages("tables", results / f"table{number}", ("md", "tex"), origin)


def _costs(config: Config, paper: Path) -> Iterator[Artifact]:
    """Yield the page of costs, which quotes the sidecars of all stages."""
    settings = page.settings(config, load(paper))
    origin = Origin(settings, page.CODE, ())
    yield from _pages("tables", Path(config.results, "costs"), ("md", "tex"), origin)


def _audit(config: Config, records: Iterable[Artifact]) -> Iterator[Artifact]:
    """Yield the audit, which reads every record that stands."""
    origin = Origin(config.model_dump(mode="json"), CODE["audit"], ())
    out, optional = Path(config.results, "audit"), tuple(one.path for one in records)
    yield from _pages("audit", out, ("md", "json", "html"), origin, optional)


def _pages(
    group: Group, out: Path, kinds: Iterable[str], origin: Origin, optional: tuple[Path, ...] = ()
) -> Iterator[Artifact]:
    for kind in kinds:
        yield Artifact(group, Path(f"{out}.{kind}"), origin, optional=optional)
