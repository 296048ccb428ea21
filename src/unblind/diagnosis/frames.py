"""Frames of the study with the place of every thing: what attention and collapse are judged on.

How they are drawn: `unblind.diagnosis.drawing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import png
from unblind.errors import UnblindError

#: What a pixel can show, by number; the roles are those of the environment.
PARTS = ("background", "object", "plate", "distractor", "distractor_plate", "robot")
_WORD = pa.dictionary(pa.int8(), pa.string())
SCHEMA = pa.schema(
    [
        ("frame", pa.int32()),
        ("condition", _WORD),
        ("episode_id", pa.int64()),
        ("moment", _WORD),
        ("step", pa.int32()),
        ("image", pa.binary()),
        ("segments", pa.binary()),
        ("object", pa.string()),
        ("plate", pa.string()),
        ("instruction", pa.string()),
        ("object_xyz", pa.list_(pa.float32(), 3)),
        ("action", pa.list_(pa.float32())),
    ]
)
"""One row a frame: picture and `PARTS` by pixel as PNG, names, where the object is (world, m), and
the planner's action (7) as training labels it, null where no planner has acted."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Some frames in memory.

    Attributes:
        rows: the columns of `SCHEMA` without pictures.
        images: (N, H, W, 3) uint8, RGB.
        segments: (N, H, W) uint8, numbers of `PARTS`.
    """

    rows: pd.DataFrame
    images: np.ndarray
    segments: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: np.ndarray) -> "Frames":
        """Return the frames for which ``chosen``, (N,) bool, is true."""
        return Frames(
            self.rows[chosen].reset_index(drop=True), self.images[chosen], self.segments[chosen]
        )

    def shares(self, grid: int) -> Mapping[str, np.ndarray]:
        """Return by part, (N, grid * grid), the share of each visual token's area that shows it.

        Models squeeze a picture to a square and cut it into ``grid`` rows and columns.
        """
        return {
            part: area_shares(self.segments == number, grid) for number, part in enumerate(PARTS)
        }


def area_shares(masks: np.ndarray, grid: int) -> np.ndarray:
    """Return the share of each cell's area, (N, grid * grid), that masks (N, H, W) cover.

    A pixel that two cells share counts for each by its part.
    """
    down, across = (_overlaps(size, grid) for size in masks.shape[1:])
    cells = np.einsum("rh,nhw,cw->nrc", down, masks.astype(np.float64), across)
    return cells.reshape(len(masks), -1)


def _overlaps(size: int, grid: int) -> np.ndarray:
    """Return (grid, size): the share of each of ``grid`` equal stretches that a pixel fills."""
    edges, pixels = np.arange(grid + 1) * size / grid, np.arange(size)
    ends = np.minimum(edges[1:, None], pixels + 1)
    return np.clip(ends - np.maximum(edges[:-1, None], pixels), 0, None) * grid / size


def read(path: Path) -> Frames:
    """Return the frames of a file.

    Raises:
        UnblindError: it is unreadable.
    """
    try:
        table = pq.read_table(path, schema=SCHEMA)
    except (pa.ArrowInvalid, OSError):
        raise UnblindError(f"{path} is unreadable", "delete it and run: unblind frames") from None
    images = [png.decode(data) for data in table["image"].to_pylist()]
    segments = [png.decode(data)[..., 0] for data in table["segments"].to_pylist()]
    rows = table.drop_columns(["image", "segments"]).to_pandas()
    return Frames(rows, np.stack(images), np.stack(segments))


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write frames in order, numbered."""
    numbered = [{"frame": number, **row} for number, row in enumerate(rows)]
    table = pa.Table.from_pylist(numbered, schema=SCHEMA)
    pq.write_table(table, path, compression="none")
