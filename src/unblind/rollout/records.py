"""Records: one Parquet file a run, seed and condition, one row an episode."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files
from unblind.rollout.loop import Outcome

_TEXT = ("run", "condition", "split", "fidelity", "object", "distractor", "plate")
_TEXT += ("distractor_plate", "table", "texture", "instruction", "chosen_board")
_PLACES = ("object_xyz", "plate_xyz", "third_xyz")
_FLAGS = ("success_any", "success_final", "grasped")

#: Columns of a record. ``*_x``, ``*_y``, ``*_z`` in m as spawned; ``chosen_board`` is empty where
#: there are no boards.
SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXT]
    + [("seed", pa.int64()), ("episode_id", pa.int64()), ("steps", pa.int32())]
    + [(f"{place[:-4]}_{axis}", pa.float64()) for place in _PLACES for axis in "xyz"]
    + [("yaw_deg", pa.float64())]
    + [(name, pa.bool_()) for name in _FLAGS]
)


def row(outcome: Outcome, run: str, seed: int) -> dict[str, Any]:
    """Return the row of an episode."""
    episode = outcome.episode.to_json()
    values = {name: episode.get(name) for name in SCHEMA.names}
    for place in _PLACES:
        for axis, value in zip("xyz", episode[place] or (None,) * 3, strict=True):
            values[f"{place[:-4]}_{axis}"] = value
    values |= {name: getattr(outcome, name) for name in (*_FLAGS, "steps")}
    return values | {"run": run, "seed": seed}


def write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a record file atomically."""
    with files.atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), temporary)


class Journal:
    """Rows of an unfinished record, one JSON line an episode, so that a kill loses at most one.

    Args:
        path: the record that will be.
        stamp: what the rows depend on; rows under another stamp are thrown away.
    """

    def __init__(self, path: Path, stamp: str) -> None:
        self._path = path.with_name(f".{path.stem}.journal")
        self._stamp = stamp
        self.rows = self._read()

    def _read(self) -> dict[int, dict[str, Any]]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        rows = [
            json.loads(line) for line in lines if line.endswith("}")
        ]  # a torn last line ends early
        if not rows or rows[0].get("stamp") != self._stamp:
            self.remove()
            return {}
        return {entry["episode_id"]: entry for entry in rows[1:]}

    def add(self, entry: dict[str, Any]) -> None:
        """Append a row and make sure that it is on the disk."""
        first = [] if self.rows else [{"stamp": self._stamp}]
        self.rows[entry["episode_id"]] = entry
        with files.explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "a", encoding="utf-8") as handle:
                handle.writelines(json.dumps(line) + "\n" for line in [*first, entry])
                handle.flush()
                os.fsync(handle.fileno())

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)
