"""Still lifes: things on the study's table with the robot above them, drawn without physics.

What is seen is what the environment shows (camera, lights, robot, models, table photo behind robot
and things); what differs is that things are put where they stand instead of being dropped there.
"""

import unblind.sim.engine  # noqa: F401

# isort: split
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import sapien
from mani_skill.render.shaders import PREBUILT_SHADER_CONFIGS, set_shader_pack
from transforms3d.quaternions import quat2mat

from unblind.machine import renderer
from unblind.pictures.scenes import Gripper, Place, Scene, Thing
from unblind.sim import camera, conditions, overlay, studio
from unblind.sim.actors import build_entity
from unblind.sim.catalog import Catalog, Model, Table
from unblind.sim.robot import (
    BASE_POSE,
    FINGER_CLOSED,
    FINGER_OPEN,
    INITIAL_QPOS,
    PARKED_POSE,
    TCP_LINK,
    URDF,
)

SIZE = (128, 96)
"""Width and height of a picture, px."""
REGION = np.array([[-0.30, -0.16], [-0.02, 0.16]])
"""Lower and upper corner of where things stand, m: beyond the grid of positions on all sides."""
SHARE_ABSENT, SHARE_HOLDING, SHARE_ON_PLATE = 0.1, 0.25, 0.5
"""Of pictures: no robot in them, gripper around an object, and an object on a plate (where there
are both)."""
LEAST_SEEN, LEAST_PIXELS = 0.35, 8
"""Share of its outline's area, and px, from which on a thing counts as visible."""
_ARM = np.array([[-0.7, -0.7, -0.9, -0.1, -0.25, -1.7], [0.7, 1.3, 1.3, 0.1, 0.25, 1.7]])
"""Range of waist, shoulder, elbow, forearm roll, tilt off the vertical and wrist, rad."""
_HAND = np.array([[-0.34, -0.20, 0.01], [0.02, 0.20, 0.22]]) + [0, 0, camera.TABLE_Z]
"""Where the point between the finger tips may be, m."""
_FINGERS = {True: FINGER_OPEN - 0.001, False: FINGER_CLOSED + 0.001}
"""Joint position of an open and of a closed gripper, m."""
_STUDY_TIMES = 3
"""How often each of the study's stocks counts; the one beyond it counts once."""
_OUT_OF_SIGHT = sapien.Pose([0, 0, -5])


@dataclass(frozen=True, eq=False)
class Props:
    """A stock of things and tables that pictures draw from."""

    objects: tuple[Model, ...]
    plates: tuple[Model, ...]
    tables: tuple[Table, ...]


def stocks(catalog: Catalog) -> tuple[Props, ...]:
    """Return what is drawn from with equal chances, the study's stocks several times.

    These are the study's training things, all things of the study (the test ones stand for what a
    language model knows from the web), and what the catalog holds beyond the study, if anything:
    many names that differ little ("red cube", "red brick"), which shall not be most of what is
    seen.
    """
    groups = (catalog.objects, catalog.plates, catalog.tables)
    sizes = [len(names) for names in (conditions.OBJECTS, conditions.PLATES, conditions.TABLES)]
    study = [group[:size] for group, size in zip(groups, sizes, strict=True)]
    extra = [group[size:] for group, size in zip(groups, sizes, strict=True)]
    training = [tuple(item for item in group if item.split == "train") for group in study]
    often = [Props(*part) for part in (training, study) * _STUDY_TIMES]
    return (*often, *([Props(*extra)] if all(extra) else []))


@dataclass(frozen=True, eq=False)
class Still:
    """A picture (H, W, 3) uint8 and what it shows."""

    image: np.ndarray
    scene: Scene


@dataclass(frozen=True, eq=False)
class _Placed:
    """A model with its place (world pose of its frame) and, for an object, the plate below it."""

    model: Model
    kind: str
    position: np.ndarray
    yaw: float
    on: str | None = None

    @cached_property
    def radius(self) -> float:
        """Of the circle around the bounding box's footprint, m."""
        return float(np.linalg.norm(np.ptp(self.model.bbox, axis=0)[:2]) / 2)

    @property
    def corners(self) -> np.ndarray:
        """Vertices of the collision pieces in the world, (N, 3)."""
        points = np.concatenate(self.model.collision)
        return points @ _turn(self.yaw).T + self.position

    @property
    def middle(self) -> np.ndarray:
        """The middle of the bounding box in the world, m."""
        return _turn(self.yaw) @ self.model.bbox.mean(0) + self.position


def _turn(yaw: float) -> np.ndarray:
    """Return the rotation matrix about the vertical."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def place_of(xyz: np.ndarray) -> Place:
    """Return row and column, as fractions of the picture, at which a world point (3,) appears."""
    column, row = camera.project(np.asarray(xyz)[None])[0] / camera.FRAME
    return float(row), float(column)


class StillRenderer:
    """One scene that holds the robot and every model of the stocks, shown as they are needed.

    Args:
        sources: the stocks, drawn from with equal chances for every single thing.

    Raises:
        UnblindError: no renderer can be set up.
    """

    def __init__(self, sources: Sequence[Props]) -> None:
        self._sources = tuple(sources)
        set_shader_pack(PREBUILT_SHADER_CONFIGS["minimal"])
        device = sapien.Device(renderer.backend())  # one process can draw on one device alone
        self._scene = sapien.Scene(
            [sapien.physx.PhysxCpuSystem(), sapien.render.RenderSystem(device)]
        )
        studio.add_lights(self._scene)
        self._camera = self._add_camera()
        self._robot = self._add_robot()
        links = {link.name: link.entity for link in self._robot.links}
        self._tcp, self._finger = links[TCP_LINK], links["left_finger_link"]
        self._robot_ids = [entity.per_scene_id for entity in links.values()]
        self._entities: dict[Model, sapien.Entity] = {}
        for props in self._sources:
            for model in (*props.objects, *props.plates):
                if model not in self._entities:
                    self._entities[model] = self._add_model(model)

    def _add_camera(self) -> sapien.render.RenderCameraComponent:
        view = self._scene.add_camera("study", *SIZE, 1.0, 0.01, 10.0)
        view.entity.set_pose(BASE_POSE * studio.CAMERA_POSE)
        matrix = studio.intrinsic(*SIZE)
        focal, center = matrix[[0, 1], [0, 1]], matrix[:2, 2]
        view.set_perspective_parameters(0.01, 10.0, *focal, *center, 0.0)
        return view

    def _add_robot(self) -> sapien.physx.PhysxArticulation:
        loader = self._scene.create_urdf_loader()
        loader.fix_root_link = True
        return loader.load(str(URDF))

    def _add_model(self, model: Model) -> sapien.Entity:
        entity = build_entity(model, model.name, static=True)
        self._scene.add_entity(entity)
        _show(entity, False)
        return entity

    # ---- drawing lots -----------------------------------------------------------------------

    def draw(self, seed: int | Sequence[int]) -> Still:
        """Return the picture of a seed; it depends on nothing else."""
        rng = np.random.default_rng(seed)
        placed = self._lay_out(rng)
        gripper, placed = self._pose_robot(rng, placed)
        tables = self._source(rng).tables
        table = tables[int(rng.integers(len(tables)))]
        image, ids = self._shoot(placed, table)
        return Still(image, self._describe(placed, gripper, table, ids))

    def _source(self, rng: np.random.Generator) -> Props:
        return self._sources[int(rng.integers(len(self._sources)))]

    def _lay_out(self, rng: np.random.Generator) -> list[_Placed]:
        """Put up to two plates and one to five objects on the table, no two names alike."""
        placed: list[_Placed] = []
        plates, objects = rng.choice(3, p=[0.15, 0.55, 0.3]), 1 + rng.integers(5)
        for kind in ["plate"] * plates + ["object"] * objects:
            source = self._source(rng)
            models = source.plates if kind == "plate" else source.objects
            model = models[int(rng.integers(len(models)))]
            yaw, spots = rng.uniform(-np.pi, np.pi), rng.uniform(*REGION, size=(12, 2))
            if model.name in {other.model.name for other in placed}:
                continue
            thing = _Placed(model, kind, np.zeros(3), yaw)
            spot = next((spot for spot in spots if _is_free(thing, spot, placed)), None)
            if spot is not None:
                lift = camera.TABLE_Z - model.bbox[0, 2]
                placed.append(replace(thing, position=np.array([*spot, lift])))
        if rng.random() < SHARE_ON_PLATE:
            placed = _stack(rng, placed)
        return placed

    def _pose_robot(
        self, rng: np.random.Generator, placed: list[_Placed]
    ) -> tuple[Gripper | None, list[_Placed]]:
        """Pose the robot at random; return the gripper and the things, one perhaps between it."""
        present, wants_hold = rng.random(2) < [1 - SHARE_ABSENT, SHARE_HOLDING]
        if not present:
            self._robot.set_root_pose(PARKED_POSE)
            return None, placed
        self._robot.set_root_pose(BASE_POSE)
        holdable = [k for k, thing in enumerate(placed) if _can_be_held(thing)]
        held = holdable[int(rng.integers(len(holdable)))] if wants_hold and holdable else None
        rest = [thing for k, thing in enumerate(placed) if k != held]
        opened = bool(rng.random() < 0.6)
        width = _width(placed[held]) / 2 if held is not None else _FINGERS[opened]
        self._search_pose(rng, rest, width, None if held is None else placed[held])
        tcp = self._tcp.pose.p
        holds = None
        if held is not None:
            rest.append(self._grasped(placed[held]))
            holds, opened = placed[held].model.name, None
        return Gripper(place_of(tcp), tuple(tcp.tolist()), opened, holds), rest

    def _search_pose(
        self, rng: np.random.Generator, rest: list[_Placed], width: float, held: _Placed | None
    ) -> None:
        """Try joint angles until the gripper is above the table and clear of the things."""
        below = 0.0 if held is None else np.ptp(held.model.bbox, axis=0)[2] / 2
        for low, high, roll, tilt, *turns in _angles(rng, 60):
            down = np.pi / 2 - low - high + tilt
            self._set_joints([turns[0], low, high, roll, down, turns[1]], width)
            tip = self._tcp.pose.p
            inside = np.all((tip > _HAND[0]) & (tip < _HAND[1]))
            if inside and tip[2] - below > camera.TABLE_Z and _clear_of(tip, below, rest):
                return
        self._set_joints(INITIAL_QPOS[:6], width)

    def _set_joints(self, arm: Sequence[float], width: float) -> None:
        self._robot.set_qpos(np.array([*arm, width, width]))

    def _grasped(self, thing: _Placed) -> _Placed:
        """Return a thing moved between the fingers, its narrow side along their way."""
        across = quat2mat(self._finger.pose.q)[:, 1]
        yaw = np.arctan2(across[1], across[0]) - (np.pi / 2 if _narrow_axis(thing) else 0.0)
        position = self._tcp.pose.p - _turn(yaw) @ thing.model.bbox.mean(0)
        return replace(thing, position=position, yaw=yaw, on=None)

    # ---- picture ----------------------------------------------------------------------------

    def _shoot(self, placed: Sequence[_Placed], table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Return the picture (H, W, 3) uint8 and the entity of every pixel (H, W)."""
        entities = [self._entities[thing.model] for thing in placed]
        for thing, entity in zip(placed, entities, strict=True):
            half = thing.yaw / 2
            entity.set_pose(sapien.Pose(thing.position, [np.cos(half), 0, 0, np.sin(half)]))
            _show(entity, True)
        self._scene.update_render()
        self._camera.take_picture()
        for entity in entities:
            _show(entity, False)
        color = self._camera.get_picture("Color")[..., :3]
        ids = self._camera.get_picture("PositionSegmentation")[..., 3]
        shown = np.isin(ids, [*self._robot_ids, *(entity.per_scene_id for entity in entities)])
        return overlay.green_screen(color, shown, table.photo(*SIZE)), ids

    def _describe(
        self, placed: list[_Placed], gripper: Gripper | None, table: Table, ids: np.ndarray
    ) -> Scene:
        """Tell what of all that is placed can be seen."""
        things, hidden = [], set()
        for item in placed:
            place = place_of(item.middle)
            pixels = int((ids == self._entities[item.model].per_scene_id).sum())
            if _in_frame(place) and _is_seen(item, pixels):
                xyz = tuple(item.middle.tolist())
                things.append(Thing(item.model.name, item.kind, place, on=item.on, xyz=xyz))
            else:
                hidden.add(item.model.name)
        if gripper is not None and not _in_frame(gripper.place):
            gripper = None
        name = table.name if table.index < len(conditions.TABLES) else None
        return Scene(tuple(things), frozenset(hidden), name, gripper)


def _show(entity: sapien.Entity, shown: bool) -> None:
    """Make an entity visible, or take it out of the picture."""
    entity.find_component_by_type(sapien.render.RenderBodyComponent).visibility = float(shown)
    if not shown:
        entity.set_pose(_OUT_OF_SIGHT)


def _is_free(thing: _Placed, spot: np.ndarray, others: Sequence[_Placed]) -> bool:
    """Tell whether a thing's circle around ``spot`` touches no other's."""
    return all(
        np.hypot(*(spot - other.position[:2])) > thing.radius + other.radius for other in others
    )


def _stack(rng: np.random.Generator, placed: list[_Placed]) -> list[_Placed]:
    """Put one object on one plate, if there are both."""
    plates = [thing for thing in placed if thing.kind == "plate"]
    objects = [k for k, thing in enumerate(placed) if thing.kind == "object"]
    if not plates or not objects:
        return placed
    plate, k = plates[int(rng.integers(len(plates)))], int(rng.choice(objects))
    lift = plate.position[2] + plate.model.bbox[1, 2] - placed[k].model.bbox[0, 2]
    spot = plate.middle[:2] + rng.uniform(-0.02, 0.02, 2)
    moved = replace(placed[k], position=np.array([*spot, lift]), on=plate.model.name)
    return [*placed[:k], moved, *placed[k + 1 :]]


def _narrow_axis(thing: _Placed) -> int:
    return int(np.argmin(np.ptp(thing.model.bbox, axis=0)[:2]))


def _width(thing: _Placed) -> float:
    """Return what the fingers must span, m."""
    return float(np.ptp(thing.model.bbox, axis=0)[_narrow_axis(thing)])


def _can_be_held(thing: _Placed) -> bool:
    return thing.kind == "object" and _width(thing) < 2 * _FINGERS[True]


def _angles(rng: np.random.Generator, tries: int) -> np.ndarray:
    """Return rows of shoulder, elbow, forearm roll, tilt, waist and wrist, rad."""
    return rng.uniform(*_ARM, size=(tries, 6))[:, [1, 2, 3, 4, 0, 5]]


def _clear_of(tip: np.ndarray, below: float, things: Sequence[_Placed]) -> bool:
    """Tell whether a hand at ``tip``, reaching ``below`` under it, touches nothing."""
    for thing in things:
        near = np.hypot(*(tip[:2] - thing.middle[:2])) < thing.radius + 0.05
        if near and tip[2] - below < thing.corners[:, 2].max() + 0.01:
            return False
    return True


def _in_frame(place: Place) -> bool:
    return all(0.02 < share < 0.98 for share in place)


def _is_seen(item: _Placed, pixels: int) -> bool:
    """Tell whether enough of a thing's outline shows in the picture."""
    scale = SIZE[0] / camera.FRAME[0]
    outline = cv2.convexHull((camera.project(item.corners) * scale).astype(np.float32))
    return pixels >= max(LEAST_PIXELS, LEAST_SEEN * cv2.contourArea(outline))
