"""Records: one Parquet file a run, seed and condition, one row an episode."""

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files
from unblind.rollout.loop import Outcome
from unblind.sim.success import MILESTONES

_TEXT = ("run", "condition", "split", "fidelity", "object", "distractor", "plate")
_TEXT += ("distractor_plate", "table", "texture", "instruction", "chosen_board")
_PLACES = ("object_xyz", "plate_xyz", "third_xyz")
_FLAGS = ("success_any", "success_final", *MILESTONES)

#: Columns of a record. ``*_x``, ``*_y``, ``*_z`` in m as spawned; ``chosen_board`` is empty where
#: there are no boards. A milestone (`unblind.sim.success.Milestones`) is true if it held after some
#: step.
SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXT]
    + [("seed", pa.int64()), ("episode_id", pa.int64()), ("steps", pa.int32())]
    + [(f"{place[:-4]}_{axis}", pa.float64()) for place in _PLACES for axis in "xyz"]
    + [("yaw_deg", pa.float64())]
    + [(name, pa.bool_()) for name in _FLAGS]
)


def row(outcome: Outcome, run: str, seed: int, schema: pa.Schema = SCHEMA) -> dict[str, Any]:
    """Return the row of an episode."""
    episode = outcome.episode.to_json()
    fields = {name: episode.get(name) for name in schema.names}
    for column in _PLACES:
        for axis, value in zip("xyz", episode[column] or (None,) * 3, strict=True):
            fields[f"{column[:-4]}_{axis}"] = value
    return fields | outcome.columns() | {"run": run, "seed": seed}


def write(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema = SCHEMA) -> None:
    """Write a record file atomically."""
    with files.atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), temporary)


class Journal:
    """Rows of an unfinished record, one JSON line an episode, so that a kill loses at most one.

    Args:
        path: the record that will be.
        stamp: what the rows depend on; rows under another stamp are thrown away.
        key: columns that tell rows apart: one, or several, whose values are a tuple then.
    """

    def __init__(self, path: Path, stamp: str, key: Sequence[str] = ("episode_id",)) -> None:
        self._key = itemgetter(*key)
        self._path = path.with_name(f".{path.stem}.journal")
        with files.explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            first, *rest = self._whole_lines() or [{}]
            if first != {"stamp": stamp}:
                rest = []
                self._path.write_text(json.dumps({"stamp": stamp}) + "\n", encoding="utf-8")
        self.rows: dict[Any, dict[str, Any]] = {self._key(entry): entry for entry in rest}

    def _whole_lines(self) -> list[dict[str, Any]]:
        """Return what was written; cut off a line that a kill has torn, lest the next joins it."""
        lines, size = [], 0
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    lines.append(json.loads(line))
                    size += len(line)
            os.truncate(self._path, size)
        return lines

    def add(self, entry: dict[str, Any]) -> None:
        """Append a row and make sure that it is on the disk."""
        self.rows[self._key(entry)] = entry
        with files.explained(self._path), open(self._path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)
