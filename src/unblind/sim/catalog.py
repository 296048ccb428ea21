"""What stands on the table: the catalog's types; `catalogs` fills them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh with one colour or one image.

    Attributes:
        vertices: (N, 3) float32, m, in the model's frame.
        triangles: (M, 3) int, counter-clockwise seen from outside.
        color: (3,) sRGB in [0, 1]; ignored where ``image`` is given.
        smooth: shade with averaged vertex normals instead of one normal a face.
        uvs: (N, 2) float32 in [0, 1], needed with ``image``.
        image: (H, W, 3) uint8 texture.
        roughness: of the material, in [0, 1].
    """

    vertices: np.ndarray
    triangles: np.ndarray
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    smooth: bool = False
    uvs: np.ndarray | None = None
    image: np.ndarray | None = None
    roughness: float = 0.8


@dataclass(frozen=True, eq=False)
class Model:
    """A manipulable object or a plate.

    Attributes:
        name: as released, the word used in instructions ("7up can").
        index: position in the released model_db.json (0-based).
        split: train or test, as in the released environments.
        density: kg / m^3, from the released model_db.json.
        collision: convex pieces, each (N, 3) float32 vertices in m, model frame.
        visual: surfaces, or a mesh file for the released catalog.
    """

    name: str
    index: int
    split: Split
    density: float
    collision: tuple[np.ndarray, ...]
    visual: tuple[Surface, ...] | Path

    @cached_property
    def bbox(self) -> np.ndarray:
        """(2, 3) lower and upper corner in m, of the collision geometry in the model frame."""
        points = np.concatenate(self.collision)
        return np.stack([points.min(0), points.max(0)])


class Table(Protocol):
    """A table photo (what replaces every background pixel) and its texture (Tex*, Whole*)."""

    name: str
    index: int
    split: Split
    texture_name: str
    mix: float

    def photo(self, width: int, height: int) -> np.ndarray:
        """Return the photo as (height, width, 3) uint8."""

    def texture(self) -> np.ndarray:
        """Return the texture at its own size as (h, w, 3) uint8."""


class Catalog(Protocol):
    """25 objects, 17 plates and 21 tables in released order."""

    objects: tuple[Model, ...]
    plates: tuple[Model, ...]
    tables: tuple[Table, ...]
