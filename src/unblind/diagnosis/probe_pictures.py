"""The pictures of the linear probes, as Parquet files and a manifest.

Three tasks: *icons*, what is drawn (`emblems`, or ImageNet-100 in its place); *portraits*, which of
the study's objects and plates stands alone on a table, close; *stills*, which object stands there
in the study's own view, beside a plate and below the robot, and where. Training and test share
neither drawing styles (icons) nor views and tables.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files, png
from unblind.config import Config
from unblind.diagnosis import emblems, imagenet
from unblind.errors import UnblindError
from unblind.pictures.scenes import Thing
from unblind.progress import Progress
from unblind.sim import camera
from unblind.sim.catalogs import load_catalog

if TYPE_CHECKING:
    from unblind.sim.catalog import Catalog, Table

MANIFEST = "manifest.json"
SPLITS = ("train", "test")
PLACE = ("row", "column", "distance_cm", "height_cm")
"""Of a still's object: its middle as shares of the picture's height and width, its distance from
the camera and its height above the table."""
SCHEMA = pa.schema(
    [
        ("image", pa.binary()),
        ("name", pa.string()),
        ("look", pa.string()),
        *((name, pa.float32()) for name in PLACE),
    ]
)
"""One row a picture: PNG, what it shows, in which style or view, and where (stills alone)."""
_GROUP = 500
"""Pictures that are read at a time."""
_FIRST_VIEW = 16
"""Of a portrait; collages, which pretraining shows, have the views before it."""


@dataclass(frozen=True)
class Shown:
    """A picture (H, W, 3) uint8 and what it shows; ``place`` in the order of `PLACE`."""

    image: np.ndarray
    name: str
    look: str
    place: tuple[float, ...] | None = None


@dataclass(frozen=True)
class _Source:
    """Where a task's pictures come from: their number by split, and what yields a split's."""

    task: str
    counts: Mapping[str, int]
    pictures: Callable[[str], Iterator[Shown]]


def write(config: Config, out: Path, unit: float) -> None:
    """Write ``out/TASK-SPLIT.parquet`` for each task and split, and ``out/manifest.json``.

    Args:
        config: the study.
        out: folder.
        unit: expected CPU-seconds a picture.

    Raises:
        UnblindError: a package of icons is missing, `probe.imagenet` is no such folder, no renderer
            can be set up, or the disk is full.
    """
    catalog = load_catalog(config.catalog)
    known = _imagenet(config) if config.probe.imagenet else _icons(config)
    sources = (known, _portraits(config, catalog), _stills(config, catalog))
    total = sum(count for source in sources for count in source.counts.values())
    progress, checksums = Progress("pictures to probe with", total, unit), {}
    for source in sources:
        for split in SPLITS:
            path = out / f"{source.task}-{split}.parquet"
            with files.atomic_path(path) as temporary:
                for n in _write(temporary, source.pictures(split)):
                    progress.advance(n)
            checksums[path.name] = files.sha256(path)
    counts = {source.task: dict(source.counts) for source in sources}
    files.write_json(out / MANIFEST, {"pictures": counts, "shards": checksums})


def tasks(folder: Path) -> list[str]:
    """Return the tasks of a finished set, in order."""
    return list(counts(folder))


def counts(folder: Path) -> Mapping[str, Mapping[str, int]]:
    """Return how many pictures a finished set has, by task and split."""
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["pictures"]


def read(folder: Path, task: str, split: str) -> Iterator[tuple[list[np.ndarray], Any]]:
    """Yield pictures (H, W, 3) uint8 and the other columns, a data frame, some hundred at a time.

    Raises:
        UnblindError: a file is missing or unreadable.
    """
    path = folder / f"{task}-{split}.parquet"
    try:
        for batch in pq.ParquetFile(path).iter_batches(_GROUP):
            frame = batch.to_pandas()
            yield [png.decode(image) for image in frame["image"]], frame.drop(columns="image")
    except (pa.ArrowInvalid, OSError):
        raise UnblindError(
            f"{path} is missing or unreadable", "delete the folder and run: unblind probe-pictures"
        ) from None


def _write(path: Path, pictures: Iterator[Shown]) -> Iterator[int]:
    """Write pictures; yield how many each time that some are written."""
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for shown in pictures:
            place = dict(zip(PLACE, shown.place or [None] * len(PLACE), strict=True))
            row = {"image": png.encode(shown.image), "name": shown.name, "look": shown.look}
            rows.append(row | place)
            if len(rows) == _GROUP:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                yield len(rows)
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            yield len(rows)


# ---- sources ----------------------------------------------------------------------------------


def _icons(config: Config) -> _Source:
    views, styles = config.probe.icons, emblems.STYLES_OF

    def pictures(split: str) -> Iterator[Shown]:
        for style in styles[split]:
            for number, concept in enumerate(emblems.CONCEPTS):
                for view in range(views):
                    seed = [config.seed, SPLITS.index(split), number, view]
                    yield Shown(emblems.draw(concept, style, seed), concept, style)

    each = views * len(emblems.CONCEPTS)
    return _Source("icons", {split: each * len(styles[split]) for split in SPLITS}, pictures)


def _imagenet(config: Config) -> _Source:
    folder, side = Path(config.probe.imagenet or ""), config.base.model.image_size
    names = imagenet.classes(folder)

    def pictures(split: str) -> Iterator[Shown]:
        for name, image in imagenet.pictures(folder, split, names, side):
            yield Shown(image, name, "photo")

    counts = {split: imagenet.count(folder, split, names) for split in SPLITS}
    return _Source("imagenet", counts, pictures)


def _portraits(config: Config, catalog: "Catalog") -> _Source:
    """Each object and plate close, from any side, on a table's photo."""
    models = (*catalog.objects, *catalog.plates)
    views = {"train": config.probe.portraits, "test": config.probe.portraits_test}
    first = {"train": _FIRST_VIEW, "test": _FIRST_VIEW + views["train"]}

    def pictures(split: str) -> Iterator[Shown]:
        from unblind.pictures.portraits import Portraits

        artist, tables = Portraits(models), _tables(catalog, split)
        for number, model in enumerate(models):
            for view in range(views[split]):
                rng = np.random.default_rng([config.seed, 2, SPLITS.index(split), number, view])
                photo = tables[int(rng.integers(len(tables)))].photo(*emblems.SIZE)
                pad = artist.draw(model.name, first[split] + view)
                yield Shown(emblems.paste(rng, photo, pad), model.name, "portrait")

    counts = {split: len(models) * views[split] for split in SPLITS}
    return _Source("portraits", counts, pictures)


def _stills(config: Config, catalog: "Catalog") -> _Source:
    """Each object in the study's view, with up to two plates and mostly a robot."""
    views = {"train": config.probe.stills, "test": config.probe.stills_test}

    def pictures(split: str) -> Iterator[Shown]:
        from unblind.diagnosis.targets import TargetRenderer

        renderer, tables = TargetRenderer(catalog), _tables(catalog, split)
        for number, model in enumerate(catalog.objects):
            for view in range(views[split]):
                seed = [config.seed, 3, SPLITS.index(split), number, view]
                still, thing = renderer.draw_target(model, tables, seed)
                yield Shown(still.image, model.name, "still", _place(thing))

    counts = {split: len(catalog.objects) * views[split] for split in SPLITS}
    return _Source("stills", counts, pictures)


def _tables(catalog: "Catalog", split: str) -> tuple["Table", ...]:
    """Return the tables of a split: those that fine-tuning shows, or those that it never does."""
    return tuple(table for table in catalog.tables if table.split == split)


def _place(thing: Thing) -> tuple[float, ...]:
    """Return where a thing is, as `PLACE` tells."""
    xyz = np.array(thing.xyz)
    distance, height = np.linalg.norm(xyz - camera.EYE), xyz[2] - camera.TABLE_Z
    return (*thing.place, 100 * float(distance), 100 * float(height))
