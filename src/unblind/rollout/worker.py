"""A worker process: K scenes that step on request, for the worker's whole life."""

import contextlib
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from unblind import workers
from unblind.config import Config
from unblind.rollout.policies import OracleActor, SceneActor
from unblind.sim.episodes import Episode
from unblind.sim.success import Milestones


@dataclass(frozen=True)
class Reply:
    """The state of one scene after a reset or a step.

    Attributes:
        image: (H, W, 3) uint8, or None where the policy looks at nothing.
        success: the object stands on the plate now.
        milestones: those that hold now.
        object_xyz: (3,) m, world.
        gripper_xyz: ``ee_gripper_link``, (3,) m, world.
        stands_on: which plate the object stands on, as the environment counts them; -1: none.
        target: (H, W) bool, where the picture shows the object; None where nobody asks.
    """

    image: np.ndarray | None
    success: bool
    milestones: Milestones
    object_xyz: np.ndarray
    gripper_xyz: np.ndarray
    stands_on: int
    target: np.ndarray | None = None


@dataclass(frozen=True)
class Setup:
    """What a worker builds.

    Attributes:
        config: the whole configuration.
        images: whether replies include pictures.
        oracle: whether the planner acts here instead of the parent.
    """

    config: Config
    images: bool
    oracle: bool


class Scenes:
    """The scenes of one worker; a scene is built when it is first used."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._envs: dict[int, Any] = {}
        self._actors: dict[int, SceneActor] = {}

    def reset(self, scene: int, episode: Episode) -> Reply:
        """Start an episode."""
        if scene not in self._envs:
            self._envs[scene] = self._build(episode)
        obs, info = self._envs[scene].reset(options={"episode": episode})
        if self._setup.oracle:
            self._actors[scene] = OracleActor(self._setup.config.demos.euler)
        return reply(obs, info)

    def step(self, scene: int, action: np.ndarray | None) -> Reply:
        """Do one control step; without an action the scene's own actor chooses it."""
        env = self._envs[scene]
        if action is None:
            action = self._actors[scene].act(env)
        obs, _, _, _, info = env.step(action)
        return reply(obs, info)

    def _kind(self) -> Any:
        """Return the environment's class."""
        from unblind.sim.env import PutOnPlateEnv

        return PutOnPlateEnv

    def _build(self, episode: Episode) -> Any:
        kind = self._kind()
        if not self._envs:
            workers.settle_in()
        render = self._setup.config.render
        return kind(
            catalog=self._setup.config.catalog,
            width=render.width,
            height=render.height,
            shader=render.shader,
            episode=episode,
            obs_mode="rgb" if self._setup.images else "none",
        )


def reply(obs: dict, info: dict) -> Reply:
    """Return what the environment tells, as it is sent to the parent."""
    image = obs["image"][0].numpy() if obs else None
    object_xyz, gripper_xyz = (info[name][0].numpy() for name in ("object_xyz", "gripper_xyz"))
    success, stands_on = bool(info["success"]), int(info["stands_on"])
    return Reply(image, success, Milestones.from_info(info), object_xyz, gripper_xyz, stands_on)


def serve(pipe: Connection, setup: Setup, kind: type[Scenes] = Scenes) -> None:
    """Answer requests to scenes of a kind until the pipe closes.

    A request is a list of (method name, scene, argument); the answer is the list of replies, or
    the exception that a request raised.
    """
    workers.follow_parent()
    scenes = kind(setup)
    with contextlib.suppress(EOFError, ConnectionError):  # the parent has closed the pipe
        while True:
            requests = pipe.recv()
            try:
                answer = [getattr(scenes, name)(scene, value) for name, scene, value in requests]
            except Exception as error:  # the parent raises it again, with its own remedy
                answer = error
            pipe.send(answer)
