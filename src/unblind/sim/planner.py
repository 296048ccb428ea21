"""The motion planner that makes demonstrations: MPLib screw motions through fixed stages.

Grasp rule, stages and heights are those of the release (``collect_simpler.py``,
``widowx_simpler_mp.py``, ``utils.py``); waypoints become the controller's delta actions.
"""

import unblind.sim.engine  # noqa: F401

# isort: split
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Literal, Protocol

import mplib
import numpy as np
import sapien
import trimesh
from mani_skill.examples.motionplanning.base_motionplanner.utils import compute_grasp_info_by_obb
from scipy.spatial.transform import Rotation

from unblind.errors import UnblindError
from unblind.sim.robot import BASE_POSE, SRDF, TCP_LINK, URDF
from unblind.sim.studio import TABLE_HEIGHT

Stage = Literal["reach", "grasp", "close", "lift", "carry", "release", "lapse", "reopen", "rise"]
Euler = Literal["corrected", "released"]

#: Heights in m above the grasp point and above the grasp pose.
REACH_HEIGHT, LIFT_HEIGHT = 0.05, 0.10
#: Gap in m between the object's bottom and the plate when it is let go (ours: the release goes to
#: 3 cm above the plate's origin, where anything taller than 5 cm is pressed into the plate and shot
#: away).
PLACE_CLEARANCE = 0.015
#: Distance in m from ``ee_gripper_link`` back to the gripper's palm, less 2 mm. The grasp point is
#: never deeper below the object's top than this (our addition: the palm would press on it).
PALM_REACH = 0.0195
#: Distance in m from ``ee_gripper_link`` to the fingertips, and 3 mm. The grasp point is never
#: closer to the table (our addition: fingertips pressed on it are held by friction and do not
#: close in time).
TIP_REACH = 0.0184
#: Standing control steps with the gripper's new command.
CLOSING_STEPS, OPENING_STEPS = 1, 2
#: Turns of the closing axis that are tried in order, degrees.
GRASP_YAWS = (0, 45, 90, 135, -135, -90, -45)
#: Joint speed and acceleration limits of the planner, rad/s and rad/s^2.
JOINT_LIMIT = 0.9
STEP_SECONDS = 0.2
#: Joint step lengths of the screw integration, rad: the default and a second try (the release
#: tries twice with the default). MPLib fails where its last step happens to be almost nothing,
#: which another length mends.
SCREW_STEPS = (0.1, 0.087)
#: A screw motion of more steps than this is none. MPLib itself would go on for ever where its
#: numbers are not finite (the release stops it with a clock, which no two machines agree on);
#: paths of the study take at most 30.
MAX_SCREW_STEPS = 200
#: A path that ends further than this from its goal is none, m (our addition: beyond the arm's
#: reach MPLib reports success tens of centimetres short; paths of the study end within 11 mm).
MAX_MISS = 0.03
#: A gripper that is closer than this to the height from which it reaches needs not rise, m.
MIN_RISE = 0.005
OPEN, CLOSED = 1.0, -1.0


class PlanningScene(Protocol):
    """What the planner may know of the simulator (privileged state)."""

    qpos: np.ndarray
    tcp: sapien.Pose
    object: sapien.Entity
    plate: sapien.Entity
    object_model: Any
    plate_model: Any
    held: bool


class PlanningError(Exception):
    """No feasible screw motion; the episode is a failed attempt, not a fault of the program."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        super().__init__(f"no plan for stage '{stage}'")


@dataclass(frozen=True)
class Command:
    """One control step of a plan.

    Attributes:
        action: (7,) float32 controller action (see ``StudyWidowX``).
        stage: what the step is part of.
    """

    action: np.ndarray
    stage: Stage


@dataclass(frozen=True)
class Lapse:
    """What a demonstration does wrong at first, to show how that is made good.

    Attributes:
        offset: m, world: where the gripper closes, from where it should.
        steps: control steps after closing until it is noticed: of lifting, then of carrying.
        drops: the object is held until then, and let go; else the gripper has closed on nothing.
    """

    offset: tuple[float, float, float]
    steps: int
    drops: bool


class PickAndPlace:
    """Plans "put the object on the plate" stage by stage from the state it finds.

    Args:
        euler: how rotations are written into actions: ``corrected`` as the controller reads them
            (intrinsic XYZ), ``released`` as extrinsic xyz.
    """

    def __init__(self, euler: Euler = "corrected") -> None:
        self._order = "XYZ" if euler == "corrected" else "xyz"
        self._planner = mplib.Planner(
            urdf=str(URDF),
            srdf=str(SRDF),
            move_group=TCP_LINK,
            joint_vel_limits=np.full(6, JOINT_LIMIT),
            joint_acc_limits=np.full(6, JOINT_LIMIT),
        )
        self._world = _BoundedWorld(self._planner.planning_world)
        self._planner.planning_world = self._world
        self._planner.set_base_pose(np.concatenate([BASE_POSE.p, BASE_POSE.q]))
        self._model = self._planner.pinocchio_model
        self._tcp_index = self._planner.link_name_2_idx[TCP_LINK]

    def commands(self, scene: PlanningScene, lapse: Lapse | None = None) -> Iterator[Command]:
        """Yield the commands of an episode; each stage is planned when the one before has ended.

        Args:
            scene: the simulator.
            lapse: a mistake to make first; its commands are of the stage ``lapse``.

        Raises:
            PlanningError: a stage has no feasible plan, or the lapse does not happen.
        """
        if lapse is not None:
            yield from self._go_wrong(scene, lapse)
        grasp = yield from self.pick(scene)
        yield from self.place(scene, grasp)

    def pick(self, scene: PlanningScene) -> Generator[Command, None, sapien.Pose]:
        """Yield the commands that take hold of the object and lift it; return the grasp pose.

        Raises:
            PlanningError: see `commands`.
        """
        grasp = self._choose_grasp(scene)
        yield from self._follow(scene, _shifted(grasp, REACH_HEIGHT), OPEN, "reach")
        yield from self._follow(scene, grasp, OPEN, "grasp")
        yield from _stand(CLOSED, CLOSING_STEPS, "close")
        yield from self._follow(scene, _shifted(grasp, LIFT_HEIGHT), CLOSED, "lift")
        return grasp

    def place(self, scene: PlanningScene, grasp: sapien.Pose) -> Iterator[Command]:
        """Yield the commands that carry a lifted object over the plate and let it go.

        Args:
            scene: the simulator.
            grasp: what `pick` returned.

        Raises:
            PlanningError: see `commands`.
        """
        yield from self._follow(scene, self._place_pose(scene, grasp), CLOSED, "carry")
        yield from _stand(OPEN, OPENING_STEPS, "release")

    def _go_wrong(self, scene: PlanningScene, lapse: Lapse) -> Iterator[Command]:
        """Miss or lose the object; then open the gripper where it is and come clear of things."""
        right = self._choose_grasp(scene)
        wrong = sapien.Pose(right.p + lapse.offset, right.q)
        yield from self._follow(scene, _shifted(wrong, REACH_HEIGHT), OPEN, "lapse")
        yield from self._follow(scene, wrong, OPEN, "lapse")
        yield from _stand(CLOSED, CLOSING_STEPS, "lapse")
        unaware = chain(
            self._follow(scene, _shifted(wrong, LIFT_HEIGHT), CLOSED, "lapse"),
            self._follow(scene, self._place_pose(scene, wrong), CLOSED, "lapse"),
        )
        yield from islice(unaware, lapse.steps)
        if scene.held != lapse.drops:
            raise PlanningError("lapse")
        yield from _stand(OPEN, OPENING_STEPS, "lapse" if lapse.drops else "reopen")
        rise = right.p[2] + REACH_HEIGHT - scene.tcp.p[2]
        if rise > MIN_RISE:
            yield from self._follow(scene, _shifted(scene.tcp, rise), OPEN, "rise")

    def _choose_grasp(self, scene: PlanningScene) -> sapien.Pose:
        """Return the first grasp pose of the gripper that can be reached."""
        centre, closing = _grasp_axes(scene)
        approach = np.array([0.0, 0.0, -1.0])
        for yaw in GRASP_YAWS:
            turned = Rotation.from_rotvec(np.radians(yaw) * approach).apply(closing)
            axes = np.stack([approach, turned, np.cross(approach, turned)], axis=1)
            grasp = sapien.Pose(np.block([[axes, centre[:, None]], [np.zeros((1, 3)), 1]]))
            above = self._plan(scene.qpos, _shifted(grasp, REACH_HEIGHT))
            if above is None:
                continue
            arrived = np.concatenate([above[-1], scene.qpos[6:]])
            if self._plan(arrived, grasp) is not None:
                return grasp
        raise PlanningError("reach")

    def _place_pose(self, scene: PlanningScene, grasp: sapien.Pose) -> sapien.Pose:
        """Return where the gripper lets go: over the plate's origin, the object just above it."""
        origin = scene.plate.pose.p
        plate_top = origin[2] + scene.plate_model.bbox[1, 2]
        height = plate_top + (grasp.p[2] - TABLE_HEIGHT) + PLACE_CLEARANCE
        return sapien.Pose([*origin[:2], height], grasp.q)

    def _plan(self, qpos: np.ndarray, goal: sapien.Pose) -> np.ndarray | None:
        """Return (T, 6) joint waypoints 0.2 s apart in rad, or None."""
        for size in SCREW_STEPS:
            path = self._screw(qpos, goal, size)
            if path is not None and self._arrives(path, qpos, goal):
                return path
        return None

    def _screw(self, qpos: np.ndarray, goal: sapien.Pose, step: float) -> np.ndarray | None:
        self._world.steps = 0
        start, target = np.array(qpos, dtype=np.float64), np.concatenate([goal.p, goal.q])
        try:
            result = self._planner.plan_screw(target, start, qpos_step=step, time_step=STEP_SECONDS)
        except (np.linalg.LinAlgError, AttributeError):
            # Numbers that are not finite, or a path that MPLib cannot give a timing.
            return None
        if result["status"] != "Success":
            return None
        waypoints = np.reshape(result["position"], (-1, 6))
        # There is no waypoint where the gripper is there already: it stands.
        return waypoints if len(waypoints) else start[None, :6]

    def _arrives(self, path: np.ndarray, qpos: np.ndarray, goal: sapien.Pose) -> bool:
        end = BASE_POSE * self._tcp_pose(path[-1], qpos)
        return bool(np.linalg.norm(end.p - goal.p) <= MAX_MISS)

    def _follow(
        self, scene: PlanningScene, goal: sapien.Pose, gripper: float, stage: Stage
    ) -> Iterator[Command]:
        """Plan to ``goal`` and yield the difference of each waypoint to the one before it."""
        path = self._plan(scene.qpos, goal)
        if path is None:
            raise PlanningError(stage)
        poses = [self._tcp_pose(joints, scene.qpos) for joints in path]
        for before, after in zip([poses[0], *poses[:-1]], poses, strict=True):
            yield Command(self._difference(before, after, gripper), stage)

    def _tcp_pose(self, joints: np.ndarray, qpos: np.ndarray) -> sapien.Pose:
        """Return the gripper's pose in the base frame for six joint angles."""
        self._model.compute_forward_kinematics(
            np.concatenate([joints, qpos[6:]]).astype(np.float64)
        )
        pose = self._model.get_link_pose(self._tcp_index)
        return sapien.Pose(pose[:3], pose[3:])

    def _difference(self, before: sapien.Pose, after: sapien.Pose, gripper: float) -> np.ndarray:
        turn = _rotation(after) * _rotation(before).inv()
        parts = [after.p - before.p, turn.as_euler(self._order), [gripper]]
        return np.concatenate(parts).astype(np.float32)


class _BoundedWorld:
    """MPLib's planning world, which is asked at every step, with an end to the number of steps."""

    def __init__(self, world: Any) -> None:
        self._world, self.steps = world, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def collide(self) -> bool:
        """Tell whether the arm collides, or has gone on for too long."""
        self.steps += 1
        return self.steps > MAX_SCREW_STEPS or self._world.collide()


@lru_cache(maxsize=1)
def shared_planner(euler: Euler = "corrected") -> PickAndPlace:
    """Return this process's planner (building one parses the URDF)."""
    return PickAndPlace(euler)


def _rotation(pose: sapien.Pose) -> Rotation:
    return Rotation.from_quat(pose.q, scalar_first=True)


def _shifted(pose: sapien.Pose, height: float) -> sapien.Pose:
    return sapien.Pose(pose.p + [0, 0, height], pose.q)


def _stand(gripper: float, steps: int, stage: Stage) -> Iterator[Command]:
    for _ in range(steps):
        yield Command(np.array([0, 0, 0, 0, 0, 0, gripper], dtype=np.float32), stage)


def _grasp_axes(scene: PlanningScene) -> tuple[np.ndarray, np.ndarray]:
    """Return the grasp point (3,) in m and the unit closing direction (3,), world frame."""
    to_world = scene.object.pose.to_transformation_matrix()
    transform, extents = _oriented_box(scene.object_model)
    box = trimesh.primitives.Box(extents=extents, transform=to_world @ transform)
    closing_now = scene.tcp.to_transformation_matrix()[:3, 1]
    # The finger depth 0.45 of the release exceeds every half height: the point is the centre.
    info = compute_grasp_info_by_obb(box, target_closing=closing_now, depth=0.45)
    corners = np.concatenate(scene.object_model.collision)
    top = (corners @ to_world[2, :3]).max() + to_world[2, 3]
    point = info["center"]
    height = max(point[2], top - PALM_REACH, TABLE_HEIGHT + TIP_REACH)
    return np.array([*point[:2], height]), info["closing"]


@lru_cache(maxsize=64)
def _oriented_box(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return (4, 4) box-to-model transform and (3,) extents in m of the collision geometry."""
    to_box, extents = trimesh.bounds.oriented_bounds(np.concatenate(model.collision))
    if not np.isfinite(to_box).all():
        raise UnblindError(f"no bounding box for '{model.name}'", "check its collision mesh")
    return np.linalg.inv(to_box), extents
