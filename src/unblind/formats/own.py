"""Our own demonstrations (`demos.shards`) as a source, and as what is written."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files
from unblind.config import Config
from unblind.demos import labels, manifests, shards
from unblind.errors import UnblindError
from unblind.formats.episodes import EXTRAS, Episode, Source, order
from unblind.progress import Progress

_PLACES = ("object_xyz", "plate_xyz", "gripper_xyz")


def read(folder: Path) -> Source:
    """Return a folder of our own demonstrations; shards are verified as they are read.

    Raises:
        UnblindError: the manifest is missing or unreadable; while reading, a shard is missing or
            damaged.
    """
    manifest = shards.load_manifest(folder)
    try:
        ids = manifest["episodes"]
        counts = {split: len(ids[split]) for split in sorted(ids, key=order)}
        names = sorted(manifest["shards"], key=lambda name: (*order(_split(name)), name))
    except (KeyError, TypeError, AttributeError, ValueError):
        cause = f"{folder / 'manifest.json'} does not list its episodes"
        raise UnblindError(cause, "run `unblind demos` to make it again") from None
    facts = {k: v for k, v in manifest.items() if k not in ("episodes", "file_paths", "shards")}
    return Source(
        "unblind", counts, facts, lambda: _episodes(folder, manifest, names), unit_cpu_s=0.02
    )


def _split(shard: str) -> str:
    return shard.rsplit("-", 1)[0]


def _episodes(folder: Path, manifest: dict[str, Any], names: list[str]) -> Iterator[Episode]:
    told = {split: iter(paths) for split, paths in manifest.get("file_paths", {}).items()}
    for name in names:
        shards.verify(folder / name, manifest["shards"][name])
        for episode in shards.read(folder / name):
            path = next(told.get(_split(name), iter(())), name)
            yield Episode(
                split=_split(name),
                episode_id=episode["episode_id"],
                instruction=episode["instruction"],
                file_path=path,
                images=episode["images"],
                actions=episode["actions"],
                extras=_known(episode),
            )


def _known(episode: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the extras that are known: what is not has no values."""
    columns = {"executed": episode["executed"], "held": episode["held"]}
    columns["stage"] = np.array(episode["stages"], object)
    columns |= {name: episode[name] for name in _PLACES}
    return {name: columns[name] for name in EXTRAS if not _empty(columns[name])}


def _empty(column: np.ndarray) -> bool:
    if column.dtype == object:
        return any(value is None for value in column)
    return column.dtype.kind == "f" and bool(np.isnan(column).all())


def write(source: Source, folder: Path, config: Config, progress: Progress) -> int:
    """Write Parquet shards and a manifest; return how many steps there are.

    What the source does not tell is empty: ids, stages and ``held`` null, places not a number.
    ``executed`` is then the action itself.

    Raises:
        UnblindError: see the source, or it has no action of a split ``train``.
    """
    told = _Manifest(config)
    named = _named(source.episodes(), config.demos.shard_episodes)
    for name, group in itertools.groupby(named, key=lambda pair: pair[0]):
        with pq.ParquetWriter(folder / name, shards.SCHEMA, compression="none") as writer:
            for _, episode in group:
                writer.write_table(_table(episode))
                told.add(episode)
                progress.advance()
        told.checksums[name] = files.sha256(folder / name)
    files.write_json(folder / "manifest.json", told.to_json(source))
    return told.frames["raw"]


def _named(episodes: Iterator[Episode], size: int) -> Iterator[tuple[str, Episode]]:
    """Yield the file name of its shard with every episode."""
    for split, group in itertools.groupby(episodes, key=lambda episode: episode.split):
        for number, episode in enumerate(group):
            yield f"{split}-{number // size:05d}.parquet", episode


class _Manifest:
    """What a set holds, gathered episode by episode."""

    def __init__(self, config: Config) -> None:
        self._rule, self._scale = config.demos.noop_filter, config.scale
        self._kept: list[np.ndarray] = []
        self._ids: dict[str, list[int | None]] = {}
        self._paths: dict[str, list[str]] = {}
        self.frames = {"raw": 0, "kept": 0}
        self.checksums: dict[str, str] = {}

    def add(self, episode: Episode) -> None:
        """Count an episode."""
        extras = episode.extras
        executed, stages = extras.get("executed", episode.actions), extras.get("stage", ())
        kept = labels.apply(self._rule, episode.actions, executed, stages).actions
        self._ids.setdefault(episode.split, []).append(episode.episode_id)
        self._paths.setdefault(episode.split, []).append(episode.file_path)
        self.frames["raw"] += len(episode)
        self.frames["kept"] += len(kept)
        if episode.split == "train":
            self._kept.append(kept)

    def to_json(self, source: Source) -> dict[str, Any]:
        """Return the manifest; statistics are those of the training labels."""
        actions = np.concatenate(self._kept or [np.zeros((0, 7), np.float32)])
        return {
            "source": {"format": source.format, **source.facts},
            "scale": self._scale,
            "noop_filter": self._rule,
            "frames": self.frames,
            "statistics": manifests.action_statistics(actions),
            "episodes": self._ids,
            "file_paths": self._paths,
            "shards": self.checksums,
        }


def _table(episode: Episode) -> pa.Table:
    """Return an episode's rows in the schema of the shards."""
    steps, extras = len(episode), episode.extras
    columns = {
        "episode_id": pa.array([episode.episode_id] * steps, pa.int64()),
        "step": pa.array(range(steps), pa.int32()),
        "image": pa.array(episode.images, pa.binary()),
        "action": vectors(episode.actions),
        "executed": vectors(extras.get("executed", episode.actions)),
        "instruction": pa.array([episode.instruction] * steps, pa.string()),
        "stage": pa.array(extras.get("stage", [None] * steps), pa.string()),
        "held": pa.array(extras.get("held", [None] * steps), pa.bool_()),
    }
    unknown = np.full((steps, 3), np.nan, np.float32)
    columns |= {name: vectors(extras.get(name, unknown)) for name in _PLACES}
    return pa.table(columns, schema=shards.SCHEMA)


def vectors(values: np.ndarray) -> pa.Array:
    """Return (N, D) numbers as a column of lists of D."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
