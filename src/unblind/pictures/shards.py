"""Generated pictures with questions and answers, as Parquet shards and a manifest.

Half of the pictures are still lifes in the study's view, half are collages of things and drawings
in several styles. Every picture has
a seed of its own, so the files do not depend on the number of workers; a killed run goes on with
the shards that are missing.
"""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files, png, workers
from unblind.errors import UnblindError
from unblind.pictures import icons
from unblind.pictures.collages import spoil
from unblind.pictures.questions import Stocks, Turn, make_turns
from unblind.progress import Progress
from unblind.study.code import code_hash
from unblind.study.provenance import is_current, record
from unblind.study.stages import STAGES

if TYPE_CHECKING:
    from unblind.pictures.collages import CollageArtist
    from unblind.pictures.stills import StillRenderer

SPLITS = ("train", "heldout", "style")
"""Training, held out, and held out with everything in a style that training never shows it in."""
SHARD_IMAGES = 1000
SCHEMA = pa.schema(
    [
        ("image", pa.binary()),
        (
            "turns",
            pa.list_(
                pa.struct(
                    [("question", pa.string()), ("answer", pa.string()), ("kind", pa.string())]
                )
            ),
        ),
        ("kind", pa.string()),
        ("scene", pa.string()),
    ]
)
"""One row a picture: PNG, some questions, still or collage, and the scene (`Scene.to_json`)."""
MOST_TURNS = 24
"""Questions that are stored of a picture."""
_SPOILED = 0.5
"""Strength at which the camera's and the light's faults spoil every second still of training."""


@dataclass(frozen=True)
class Shard:
    """A file's worth of pictures.

    Attributes:
        split: a name of `SPLITS`.
        number: of the shard within its split.
        first: number of its first picture within the split.
        images: how many pictures.
        seed: of the set.
        catalog: what still lifes show, as :func:`unblind.sim.catalogs.load_catalog` takes it.
    """

    split: str
    number: int
    first: int
    images: int
    seed: int
    catalog: str

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.split}-{self.number:05d}.parquet"


def write(
    out: Path,
    images: int,
    seed: int,
    workers: int,
    heldout: int = 1000,
    catalog: str = "pretraining",
) -> None:
    """Write ``out/train-*.parquet``, ``out/heldout-*.parquet`` and ``out/manifest.json``.

    Whole shards of an interrupted run with the same settings and code are kept; a finished set is
    left as it is.

    Args:
        out: folder.
        images: training pictures.
        seed: of the set.
        workers: processes.
        heldout: pictures of the held-out split, which have seeds of their own.
        catalog: see :class:`Shard`.

    Raises:
        UnblindError: a number is out of range, a worker died, no renderer can be set up, or the
            disk is full.
    """
    _check(images=images, workers=workers, heldout=heldout, seed=seed)
    out = Path(out)
    settings = {"images": images, "heldout": heldout, "catalog": catalog, "seed": seed}
    with files.explained(out):
        _discard_other_settings(out, settings)
        _discard_damaged(out)
    planned = [
        shard
        for split, count in zip(SPLITS, (images, heldout, heldout), strict=True)
        for shard in _plan(split, count, seed, catalog)
    ]
    made_from = {"config": settings, "code": STAGES["questions"].modules, "seed": seed}
    manifest = out / "manifest.json"
    if is_current(manifest, **made_from) and all((out / s.name).exists() for s in planned):
        return
    with record(manifest, **made_from):
        todo = [shard for shard in planned if not (out / shard.name).exists()]
        progress = Progress(
            "pictures with text", sum(s.images for s in todo), STAGES["questions"].unit_cpu_s
        )
        for shard in _run(todo, out, workers):
            progress.advance(shard.images)
        _, _, stocks = _artists(catalog)
        files.write_json(manifest, _manifest(out, settings, planned) | {"names": stocks})


def read(folder: Path, split: str) -> list[dict[str, Any]]:
    """Return the rows of a split in order, as :data:`SCHEMA` tells (`png.decode` reads a picture).

    Raises:
        UnblindError: there is no such split, or a file is unreadable.
    """
    return [row for path in paths(folder, split) for row in rows(path)]


def paths(folder: Path, split: str) -> list[Path]:
    """Return the files of a split in order.

    Raises:
        UnblindError: there are none.
    """
    parts = sorted(Path(folder).glob(f"{split}-*.parquet"))
    if not parts:
        raise UnblindError(
            f"no pictures with text of split {split!r} in {folder}",
            f"make them, or choose a split of {', '.join(SPLITS)}",
        )
    return parts


def rows(path: Path, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Return the rows of one file, some columns or all.

    Raises:
        UnblindError: it is unreadable.
    """
    return _table(path, columns).to_pylist()


def names(folder: Path) -> Stocks:
    """Return what the pictures of a finished set can show."""
    return json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))["names"]


def _table(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError):
        raise UnblindError(
            f"{path} is unreadable", "delete it and run the command that makes it"
        ) from None


# ---- plan and manifest --------------------------------------------------------------------------


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        least = 0 if name == "seed" else 1
        if value < least:
            raise UnblindError(
                f"cannot make pictures with text with {name} = {value}",
                f"give {name} a whole number from {least} on",
            )


def _plan(split: str, images: int, seed: int, catalog: str) -> Iterator[Shard]:
    for number, first in enumerate(range(0, images, SHARD_IMAGES)):
        count = min(SHARD_IMAGES, images - first)
        yield Shard(split, number, first, count, seed, catalog)


def _discard_other_settings(out: Path, settings: dict[str, Any]) -> None:
    """Start afresh where ``out`` holds pictures of other settings or of other code."""
    stamp = out / "settings.json"
    wanted = {
        "settings": settings,
        "code": code_hash(*STAGES["questions"].modules, config=settings),
    }
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return
    for old in (*out.glob("*.parquet"), out / "manifest.json"):
        old.unlink(missing_ok=True)
    files.write_json(stamp, wanted)


def _discard_damaged(out: Path) -> None:
    """Delete shards that differ from the manifest of an earlier call: they are made again."""
    path = out / "manifest.json"
    if not path.exists():
        return
    for name, checksum in json.loads(path.read_text())["shards"].items():
        if (out / name).exists() and files.sha256(out / name) != checksum:
            (out / name).unlink()


def _manifest(out: Path, settings: dict[str, Any], shards: list[Shard]) -> dict[str, Any]:
    """Count pictures and questions by split and kind, and answers yes and no."""
    counts: dict[str, dict[str, Counter]] = {
        split: {"images": Counter(), "questions": Counter(), "answers": Counter()}
        for split in SPLITS
    }
    for shard in shards:
        table = _table(out / shard.name, ["turns", "kind"])
        mine = counts[shard.split]
        mine["images"].update(table["kind"].to_pylist())
        for turns in table["turns"].to_pylist():
            mine["questions"].update(turn["kind"] for turn in turns)
            mine["answers"].update(t["answer"] for t in turns if t["answer"] in ("yes", "no"))
    return {
        **settings,
        "counts": {
            split: {key: dict(sorted(values.items())) for key, values in mine.items()}
            for split, mine in counts.items()
        },
        "shards": {shard.name: files.sha256(out / shard.name) for shard in shards},
    }


# ---- workers ------------------------------------------------------------------------------------


def _run(todo: list[Shard], out: Path, processes: int) -> Iterator[Shard]:
    """Write the shards in worker processes; yield each when it is there."""
    try:
        with ProcessPoolExecutor(
            processes, mp_context=workers.context(), initializer=workers.follow_parent
        ) as pool:
            try:
                futures = [pool.submit(_write_shard, shard, out / shard.name) for shard in todo]
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)
    except BrokenProcessPool:
        raise UnblindError(
            "a worker that draws pictures died", "run the same command again: it continues"
        ) from None


@cache
def _artists(catalog: str) -> tuple["StillRenderer", "CollageArtist", Stocks]:
    """Return this worker's artists and the names they draw from; built in the first task."""
    from unblind.pictures.collages import CollageArtist
    from unblind.pictures.portraits import Portraits
    from unblind.pictures.stills import StillRenderer, stocks
    from unblind.sim import conditions
    from unblind.sim.catalogs import load_catalog

    items = load_catalog(catalog)
    sources = stocks(items)
    names: Stocks = {
        "object": [[model.name for model in props.objects] for props in sources],
        "plate": [[model.name for model in props.plates] for props in sources],
        **{kind: [list(drawn)] for kind, drawn in icons.NAMES.items()},
    }
    portraits = Portraits([*items.objects, *items.plates])
    artist = CollageArtist(portraits, names, items.tables, len(conditions.TABLES))
    renderer = StillRenderer(sources)
    workers.settle_in()
    return renderer, artist, names


def _write_shard(shard: Shard, path: Path) -> Shard:
    rows = [_row(shard, shard.first + k) for k in range(shard.images)]
    with files.atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary, compression="zstd")
    return shard


def _row(shard: Shard, number: int) -> dict[str, Any]:
    """Return picture ``number`` of a split: still lifes have even numbers, if there are any."""
    seed = [shard.seed, SPLITS.index(shard.split), number]
    renderer, artist, names = _artists(shard.catalog)
    if number % 2 or shard.split == "style":
        mode = "style" if shard.split == "style" else "train"
        picture, kind = artist.draw([*seed, 0], mode), "collage"
    else:
        picture, kind = renderer.draw([*seed, 0]), "still"
    image = picture.image
    if kind == "still" and shard.split == "train" and number % 4:
        image = spoil(image, np.random.default_rng([*seed, 2]), _SPOILED)
    turns = make_turns(picture.scene, names, np.random.default_rng([*seed, 1]), MOST_TURNS)
    return _as_row(kind, image, turns) | {"scene": picture.scene.to_json()}


def _as_row(kind: str, image: np.ndarray, turns: list[Turn]) -> dict[str, Any]:
    return {"image": png.encode(image), "turns": [asdict(turn) for turn in turns], "kind": kind}
