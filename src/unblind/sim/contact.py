"""Contact sheets: every object, plate, table and texture of a catalog on four pictures."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from unblind import files
from unblind.machine import renderer
from unblind.sim import camera
from unblind.sim.actors import build_entity
from unblind.sim.catalog import Catalog, Model

TILE = (240, 180)
"""Width and height of a tile's picture, px."""
COLUMNS = 5
_CAPTION = 22
_STAGE = np.array([0.58, 0.58])
"""Where an enlarged model stands, as shares of the frame: the inset takes the upper left."""


class Studio:
    """A scene with the study's lights and camera that shows one model at a time on the table.

    Args:
        width: of the frame, px; the study's intrinsics are scaled to it.
        height: of the frame, px.

    Raises:
        UnblindError: no renderer can be set up.
    """

    def __init__(self, width: int, height: int) -> None:
        renderer.ensure()
        import sapien

        from unblind.sim.studio import add_lights

        sapien.render.set_camera_shader_dir("minimal")
        self._sapien = sapien
        self._scene = sapien.Scene([sapien.physx.PhysxCpuSystem(), sapien.render.RenderSystem()])
        add_lights(self._scene)
        self._camera = self._scene.add_camera("study", width, height, 1.0, 0.01, 10.0)
        base = sapien.Pose(camera.BASE_POSITION, camera.BASE_QUATERNION)
        self._camera.entity.set_pose(
            base * sapien.Pose(camera.MOUNT_POSITION, camera.MOUNT_QUATERNION)
        )

    def shoot(
        self, model: Model, yaw_deg: float = 0.0, zoom: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the frame (h, w, 3) uint8 and where it shows the model (h, w) bool.

        Args:
            model: stands or lies at the centre of the grid of positions.
            yaw_deg: its rotation about the vertical.
            zoom: enlargement about the model; 1 is the study's whole frame.
        """
        center = np.array([*camera.GRID_CENTER, camera.TABLE_Z - model.bbox[0, 2]])
        self._aim(center + [0, 0, model.bbox[:, 2].mean()], zoom)
        half = np.radians(yaw_deg) / 2
        entity = build_entity(model, model.name, static=True)
        entity.set_pose(self._sapien.Pose(center, [np.cos(half), 0, 0, np.sin(half)]))
        self._scene.add_entity(entity)
        self._scene.update_render()
        self._camera.take_picture()
        color = self._camera.get_picture("Color")[..., :3]
        mask = self._camera.get_picture("PositionSegmentation")[..., 3] == entity.per_scene_id
        self._scene.remove_entity(entity)
        return color if color.dtype == np.uint8 else (color * 255).clip(0, 255).astype(
            np.uint8
        ), mask

    def _aim(self, target: np.ndarray, zoom: float) -> None:
        """Scale the study's intrinsics to the frame; a zoom keeps the target in the middle."""
        scale = self._camera.width / camera.FRAME[0]
        size = np.array([self._camera.width, self._camera.height])
        middle = np.array(camera.CENTER) * scale
        if zoom != 1:
            place = camera.project(target[None])[0] * scale
            middle = size * _STAGE - zoom * (place - middle)
        focal = camera.FOCAL * scale * zoom
        self._camera.set_perspective_parameters(0.01, 10.0, focal, focal, *middle, 0.0)


def label(picture: np.ndarray, text: str, scale: int = 1) -> np.ndarray:
    """Return the picture with a caption below, at a tile's size or some times that."""
    width, height = (scale * side for side in TILE)
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    strip = np.full((_CAPTION, width, 3), 255, np.uint8)
    cv2.putText(strip, text, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])


def _grid(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Return the tiles row by row; the last row is filled with white."""
    blank = np.full_like(tiles[0], 255)
    padded = [*tiles, *[blank] * (-len(tiles) % columns)]
    rows = [np.hstack(padded[k : k + columns]) for k in range(0, len(padded), columns)]
    return np.vstack(rows)


def _portraits(models: Sequence[Model], backdrop: np.ndarray) -> list[np.ndarray]:
    """Return a tile of each model: large, and in a corner as the mini study's frame shows it."""
    large, small = Studio(2 * TILE[0], 2 * TILE[1]), Studio(128, 96)
    tiles = []
    for model in models:
        zoom = 0.27 / max(np.ptp(model.bbox, axis=0).max(), 0.065)
        color, mask = large.shoot(model, 20, zoom)
        picture = np.where(mask[..., None], color, 200).astype(np.uint8)
        color, mask = small.shoot(model, 20)
        frame = np.where(mask[..., None], color, backdrop)
        inset = cv2.resize(frame[30:72, 32:88], None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        picture[: inset.shape[0], : inset.shape[1]] = inset
        tiles.append(label(picture, f"{model.index:02d} {model.name} ({model.split})"))
    return tiles


def write_sheets(folder: Path | str, catalog: Catalog) -> list[Path]:
    """Write objects.png, plates.png, tables.png and textures.png; return their paths.

    Each tile names its item, its index and its split. Objects and plates are rendered with the
    study's camera and lights, enlarged; the inset is a part of the 128 x 96 frame.

    Raises:
        UnblindError: no renderer can be set up, or the folder is not writable.
    """
    backdrop = catalog.tables[0].photo(128, 96)
    sheets = {
        "objects": _portraits(catalog.objects, backdrop),
        "plates": _portraits(catalog.plates, backdrop),
        "tables": [
            label(t.photo(640, 480), f"{t.index:02d} {t.name} ({t.split})") for t in catalog.tables
        ],
        "textures": [label(t.texture(), f"{t.index:02d} {t.texture_name}") for t in catalog.tables],
    }
    paths = []
    for name, tiles in sheets.items():
        path = Path(folder) / f"{name}.png"
        save(path, tiles)
        paths.append(path)
    return paths


def save(path: Path, tiles: Sequence[np.ndarray], columns: int = COLUMNS) -> None:
    """Write tiles of one size as a PNG file.

    Raises:
        UnblindError: the folder is not writable.
    """
    done, data = cv2.imencode(".png", _grid(tiles, columns)[..., ::-1])
    assert done  # a uint8 picture always encodes
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())


def write_conditions(path: Path, catalog: str = "builtin", episode_id: int = 200_000) -> None:
    """Write one picture with the first frame of an episode of every condition.

    Raises:
        UnblindError: no renderer can be set up, or the folder is not writable.
    """
    from unblind.sim.conditions import CONDITIONS
    from unblind.sim.env import PutOnPlateEnv
    from unblind.sim.episodes import decode

    env = PutOnPlateEnv(catalog=catalog, width=2 * TILE[0], height=2 * TILE[1])
    tiles = []
    for condition in CONDITIONS:
        episode = decode(condition, episode_id, condition.split)
        env.reset(options={"episode": episode})
        tiles.append(label(env.frame(), f"{condition.column} ({condition.suite})"))
    save(Path(path), tiles)
