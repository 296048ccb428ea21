"""The authors' own objects, plates and tables, read from a folder and checked by a manifest.

None of these files is part of this package (`unblind.sim.released_files`).
"""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
import trimesh
from scipy.spatial import ConvexHull

from unblind.errors import UnblindError
from unblind.sim import released_files
from unblind.sim.catalog import Model, Split
from unblind.sim.episodes import Episode
from unblind.sim.released_files import REMEDY, Store

TRAIN = {"more_carrot": 16, "more_plate": 1, "more_table": 16}
"""The first so many entries of each kind are train (released environment definitions)."""
HULL_CORNERS = 128
"""Most corners of a collision piece; PhysX takes no more than 255."""


class ReleasedModel(Model):
    """A released object or plate whose files are checked and read on first use.

    Attributes:
        key: its folder's name ("003_bread_1").
    """

    def __init__(self, store: Store, kind: str, key: str, index: int, row: dict) -> None:
        split: Split = "train" if index < TRAIN.get(kind, 0) else "test"
        self.__dict__.update(
            key=key, name=row["name"], index=index, split=split, density=float(row["density"]),
            _store=store, _folder=f"carrot/{kind}/{key}", _bbox=row["bbox"],
        )  # fmt: skip

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The manifest's paths that the model is read from: collision, mesh, its textures."""
        inside = [path for path in released_files.known() if path.startswith(f"{self._folder}/")]
        meshes = (path for path in inside if Path(path).stem == "textured")
        textures = (path for path in inside if path.endswith(".png"))
        return (f"{self._folder}/collision.obj", *meshes, *textures)

    @cached_property
    def collision(self) -> tuple[np.ndarray, ...]:
        """Convex pieces: the hull of each connected part of ``collision.obj``."""
        return convex_pieces(self._store.path(self.files[0]))

    @cached_property
    def visual(self) -> Path:
        """The mesh file, its textures checked as well."""
        _, mesh, *textures = self.files
        for path in textures:
            self._store.path(path)
        return self._store.path(mesh)

    @cached_property
    def bbox(self) -> np.ndarray:
        """(2, 3) corners in m as released in model_db.json, which the success rule uses."""
        return np.array([self._bbox["min"], self._bbox["max"]], np.float32)


@dataclass(frozen=True)
class ReleasedTable:
    """A released table photo and its texture, checked and read on first use.

    Attributes:
        name: as released where that is unique, else the file's stem without its number.
        index: position in model_db.json (0-based).
        split: train or test.
        texture_name: file name of its texture.
        mix: weight of the texture.
        file: file name of the photo.
        store: where the files are.
    """

    name: str
    index: int
    split: Split
    texture_name: str
    mix: float
    file: str
    store: Store

    @property
    def photo_file(self) -> str:
        """The manifest's path of the photo."""
        return f"carrot/more_table/imgs/{self.file}"

    @property
    def texture_file(self) -> str:
        """The manifest's path of the texture."""
        return f"carrot/more_table/textures/{self.texture_name}"

    def photo(self, width: int, height: int) -> np.ndarray:
        """Return the photo as (height, width, 3) uint8, averaged over areas, read-only."""
        return _picture(self.store.root, self.photo_file, (width, height))

    def texture(self) -> np.ndarray:
        """Return the texture at its own size as (h, w, 3) uint8, read-only."""
        return _picture(self.store.root, self.texture_file, None)


@cache
def _picture(root: Path, path: str, size: tuple[int, int] | None) -> np.ndarray:
    """Read a checked picture as RGB, at its own size or at (width, height)."""
    picture = cv2.imread(str(Store(root).path(path)), cv2.IMREAD_COLOR)
    if picture is None:
        raise UnblindError(f"released file {root / path} is no readable picture", REMEDY)
    if size is not None and picture.shape[1::-1] != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    picture = np.ascontiguousarray(picture[..., ::-1])
    picture.flags.writeable = False
    return picture


class ReleasedCatalog:
    """The authors' catalog; items are checked and read when they are first used.

    Args:
        folder: holds ``carrot/more_carrot``, ``carrot/more_plate`` and ``carrot/more_table``.

    Raises:
        UnblindError: no such folder, or a ``model_db.json`` is missing or differs.
    """

    def __init__(self, folder: Path | str) -> None:
        self.store = Store(folder)
        self.objects = self._models("more_carrot")
        self.plates = self._models("more_plate")
        self.tables = self._tables()

    def files(self, episode: Episode) -> tuple[str, ...]:
        """Return the manifest's paths of all that an episode is built from and drawn with."""
        models = [model for _, model, _ in episode.cast(self) if isinstance(model, ReleasedModel)]
        backdrop = [self.tables[episode.table_index].photo_file]
        if episode.overlay_region != "none":
            backdrop.append(self.tables[episode.texture_index].texture_file)
        return (*(path for model in models for path in model.files), *backdrop)

    def _database(self, kind: str) -> dict:
        """Read a kind's checked model_db.json."""
        return json.loads(self.store.path(f"carrot/{kind}/model_db.json").read_text("utf-8"))

    def _models(self, kind: str) -> tuple[ReleasedModel, ...]:
        """Return the kind's models in released order."""
        rows = self._database(kind).items()
        return tuple(ReleasedModel(self.store, kind, k, i, r) for i, (k, r) in enumerate(rows))

    def _tables(self) -> tuple[ReleasedTable, ...]:
        """Return the tables in released order."""
        rows = self._database("more_table")
        names = [row["name"] for row in rows.values()]
        return tuple(
            ReleasedTable(
                row["name"] if names.count(row["name"]) == 1 else Path(file).stem.partition("_")[2],
                index,
                "train" if index < TRAIN["more_table"] else "test",
                row["texture"],
                float(row["mix"]),
                file,
                self.store,
            )
            for index, (file, row) in enumerate(rows.items())
        )


def convex_pieces(path: Path) -> tuple[np.ndarray, ...]:
    """Return the corners of the convex hull of each connected part of a mesh file, in m.

    Parts without volume are dropped; hulls of many corners are thinned to :data:`HULL_CORNERS`.

    Raises:
        UnblindError: the file holds no solid part.
    """
    mesh = trimesh.load(path, process=False, force="mesh")
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    pieces = [_corners(part.vertices) for part in mesh.split(only_watertight=False)]
    solid = tuple(piece for piece in pieces if piece is not None)
    if not solid:
        raise UnblindError(f"{path} holds no solid part", REMEDY)
    return solid


def _corners(points: np.ndarray) -> np.ndarray | None:
    """Return hull corners (N, 3) float32, or None for points in a plane."""
    centered = points - points.mean(0)
    if len(points) < 4 or np.linalg.matrix_rank(centered, tol=1e-7) < 3:
        return None
    corners = points[ConvexHull(points).vertices]
    if len(corners) > HULL_CORNERS:
        corners = corners[np.unique((corners @ _directions(HULL_CORNERS).T).argmax(0))]
    return corners.astype(np.float32)


def _directions(count: int) -> np.ndarray:
    """Return the six axis directions and others spread evenly over the sphere, (count, 3)."""
    k = np.arange(count - 6)
    z = 1 - 2 * (k + 0.5) / len(k)
    turn = k * np.pi * (3 - np.sqrt(5))
    around = np.stack([np.cos(turn), np.sin(turn)], 1) * np.sqrt(1 - z * z)[:, None]
    return np.concatenate([np.eye(3), -np.eye(3), np.column_stack([around, z])])
