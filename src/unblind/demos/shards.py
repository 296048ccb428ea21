"""The files of a demonstration set: Parquet shards, one row a step, and their manifest."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files
from unblind.errors import UnblindError

_VECTOR, _PLACE = pa.list_(pa.float32(), 7), pa.list_(pa.float32(), 3)
#: One row a step; ``image`` is PNG, ``action`` the label, ``executed`` what was sent. The state
#: before the step (world positions in m, and whether the fingers hold the object) is for questions
#: about the picture; no policy sees it.
SCHEMA = pa.schema(
    [
        ("episode_id", pa.int64()),
        ("step", pa.int32()),
        ("image", pa.binary()),
        ("action", _VECTOR),
        ("executed", _VECTOR),
        ("instruction", pa.string()),
        ("stage", pa.string()),
        ("object_xyz", _PLACE),
        ("plate_xyz", _PLACE),
        ("gripper_xyz", _PLACE),
        ("held", pa.bool_()),
    ]
)


_PLACES = ("object_xyz", "plate_xyz", "gripper_xyz")
_WITHOUT_IMAGES = [name for name in SCHEMA.names if name != "image"]


def group(slots: Sequence[Any], size: int) -> dict[str, list[Any]]:
    """Deal slots to shards of ``size`` episodes each; return them by file name."""
    plan: dict[str, list[Any]] = {}
    for slot in slots:
        plan.setdefault(f"{slot.split}-{slot.number // size:05d}.parquet", []).append(slot)
    return plan


def assemble(path: Path, parts: list[Path]) -> None:
    """Join the parts of a shard into ``path`` and remove them."""
    tables = [pq.read_table(part) for part in parts]
    attempts = [json.loads(table.schema.metadata[b"attempts"]) for table in tables]
    whole = pa.concat_tables(tables).replace_schema_metadata({"attempts": json.dumps(attempts)})
    with files.atomic_path(path) as temporary:
        pq.write_table(whole, temporary, compression="none")
    for part in parts:
        part.unlink()


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a demonstration set.

    Raises:
        UnblindError: it is missing or unreadable.
    """
    try:
        values = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
        whole = values.keys() >= {"shards", "statistics"}
    except (OSError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise UnblindError(
            f"no readable manifest.json in {folder}", "run `unblind demos` to make it"
        )
    return values


def load(folder: Path, split: str, images: bool = True) -> list[dict[str, Any]]:
    """Return all episodes of ``train`` or ``held_out`` (see `read`), checksums verified.

    Raises:
        UnblindError: a shard is missing or differs from the manifest.
    """
    folder = Path(folder)
    episodes = []
    for name, checksum in load_manifest(folder)["shards"].items():
        if name.rsplit("-", 1)[0] == split:
            verify(folder / name, checksum)
            episodes += read(folder / name, images)
    return episodes


def verify(path: Path, checksum: str) -> None:
    """Check a shard against the manifest.

    Raises:
        UnblindError: it is missing or corrupt.
    """
    state = "is missing" if not path.exists() else None
    if state is None and files.sha256(path) != checksum:
        state = "differs from its manifest"
    if state:
        raise UnblindError(f"shard {path} {state}", "delete it and run `unblind demos` again")


def read(path: Path, images: bool = True) -> list[dict[str, Any]]:
    """Return a shard's episodes in order.

    Args:
        path: the shard.
        images: read the pictures too, by far the largest part.

    Returns:
        Dictionaries with ``episode_id``, ``instruction``, ``images`` (list of PNG bytes, if
        asked for),
        ``actions`` and ``executed`` ((T, 7) float32), ``stages`` (list of str), ``object_xyz``,
        ``plate_xyz`` and ``gripper_xyz`` ((T, 3) float32, m), ``held`` ((T,) bool).

    Raises:
        UnblindError: the file is no shard.
    """
    try:
        table = pq.read_table(path, schema=SCHEMA, columns=None if images else _WITHOUT_IMAGES)
    except (pa.ArrowInvalid, OSError):
        raise _unreadable(path) from None
    starts = np.flatnonzero(table["step"].to_numpy() == 0)
    ends = [*starts[1:], len(table)]
    return [_episode(table.slice(a, b - a)) for a, b in zip(starts, ends, strict=True)]


def attempts(path: Path) -> list[list[dict[str, Any]]]:
    """Return the summaries of all attempts at a shard's episodes, failed ones included.

    Raises:
        UnblindError: the file is no shard.
    """
    try:
        return json.loads(pq.read_schema(path).metadata[b"attempts"])
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        raise _unreadable(path) from None


def _unreadable(path: Path) -> UnblindError:
    return UnblindError(f"shard {path} is unreadable", "delete it and run `unblind demos` again")


def _episode(rows: pa.Table) -> dict[str, Any]:
    return {
        "episode_id": rows["episode_id"][0].as_py(),
        "instruction": rows["instruction"][0].as_py(),
        "images": rows["image"].to_pylist() if "image" in rows.column_names else [],
        "actions": _vectors(rows["action"]),
        "executed": _vectors(rows["executed"]),
        "stages": rows["stage"].to_pylist(),
        "held": rows["held"].to_numpy(),
        **{name: _vectors(rows[name]) for name in _PLACES},
    }


def _vectors(column: pa.ChunkedArray) -> np.ndarray:
    values = column.combine_chunks()
    return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), -1)
