"""Speed as ratios measured in one run, so that machines can be compared.

Here the simulator; `unblind.bench.training` and `unblind.bench.policy` measure the model.
"""

import unblind.sim.engine  # noqa: F401

# isort: split
import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import sapien
import torch
from mani_skill.envs.sapien_env import BaseEnv

from unblind import files
from unblind.bench import policy, training
from unblind.bench.timing import cpu_ms
from unblind.config import Config
from unblind.demos.collect import survey
from unblind.sim.actors import build_entity
from unblind.sim.env import PutOnPlateEnv
from unblind.sim.episodes import Episode, decode, sample_ids
from unblind.sim.planner import PickAndPlace

#: Names, widths and shaders of the measured pictures: ours, the policy's input at paper scale, and
#: the released frame.
SIZES = (("128x96", 128, "minimal"), ("224x168", 224, "minimal"), ("640x480", 640, "default"))
_STEPS, _ROUNDS = 30, 5
_DEMO_ATTEMPTS = 4  # for each of the 16 objects


class ReleasedLayoutEnv(PutOnPlateEnv):
    """The release's way: all 25 objects and 17 plates in the scene, ManiSkill's own loop."""

    def _load_scene(self, options: dict) -> None:
        super()._load_scene(options)
        self._parked = []
        visual = self.obs_mode != "none"
        rows = ((1.0, self.catalog.objects), (2.0, self.catalog.plates))
        for x, models in rows:
            for model in models:
                if model not in (self.object_model, self.plate_model):
                    entity = build_entity(model, f"parked {model.name}", visual=visual)
                    entity.pose = sapien.Pose([x, 0.3 * model.index, 1.0])
                    self._add(entity, entity.name)
                    self._parked.append(self.scene.actors[entity.name])
        self.scene.sub_scenes[0].add_ground(0.0, render=False)

    def _step_action(self, action: Any) -> torch.Tensor:
        return BaseEnv._step_action(self, action)

    def evaluate(self) -> dict[str, torch.Tensor]:
        """Ask of every object whether it is grasped, as the release does each step."""
        for actor in self._parked:
            self.agent.is_grasping(actor)
        return super().evaluate()


class _Replay:
    """Steps of an episode whose inputs are known; each call does the next one."""

    def __init__(
        self, env: PutOnPlateEnv, step: Callable[[Any], object], inputs: Sequence[Any]
    ) -> None:
        self._env, self._step, self._inputs = env, step, inputs

    def reset(self, episode: Episode) -> None:
        """Start over."""
        self._env.reset(options={"episode": episode})
        self._left = iter(self._inputs)

    def __call__(self) -> None:
        self._step(next(self._left))


def bench(config: Config, out: Path, n_workers: int = 2) -> None:
    """Measure and write ``out`` (JSON); print one line a figure.

    Every ratio compares blocks of steps that alternate in this process.

    Raises:
        UnblindError: the base is damaged, weights of a package are missing, or a worker died.
    """
    torch.set_num_threads(1)
    results: dict[str, Any] = {"memory_mib_per_scene": _memory(config)}  # first: a fresh heap
    results["steps"] = {"no picture": _compare(config, 128, "minimal", "none")}
    for name, width, shader in SIZES:
        results["steps"][name] = _compare(config, width, shader, "rgb")
    fast, slow = results["steps"]["128x96"], results["steps"]["640x480"]
    results["mini_to_released_layout_640x480"] = slow["released_ms"] / fast["ours_ms"]
    results["resets"] = _resets(config)
    results["demos"] = _demos(config, n_workers)
    results |= _learning(config)
    files.write_json(out, results)
    for name, value in results.items():
        print(f"{name}: {value}")


def _compare(config: Config, width: int, shader: str, obs_mode: str) -> dict[str, float]:
    """Return CPU-milliseconds a step: ours, bare SAPIEN, the released layout; and the ratios."""
    size = {"width": width, "height": width * 3 // 4, "shader": shader, "obs_mode": obs_mode}
    episode = decode("in_distribution", 0)
    ours = PutOnPlateEnv(catalog=config.catalog, episode=episode, **size)
    released = ReleasedLayoutEnv(catalog=config.catalog, episode=episode, **size)
    actions, targets = _motion(ours, episode)
    replays = {
        "ours": _Replay(ours, ours.step, actions),
        "bare": _Replay(ours, partial(_bare_step, ours), targets),
        "released": _Replay(released, released.step, actions),
    }
    before = {name: partial(replay.reset, episode) for name, replay in replays.items()}
    times = cpu_ms(replays, _STEPS, _ROUNDS, before)
    ms = {f"{name}_ms": value for name, value in times.items()}
    return {
        **{key: round(value, 3) for key, value in ms.items()},
        "steps_per_cpu_s": round(1000 / ms["ours_ms"], 1),
        "to_bare_sapien": round(ms["bare_ms"] / ms["ours_ms"], 3),
        "to_released_layout": round(ms["released_ms"] / ms["ours_ms"], 2),
    }


def _motion(env: PutOnPlateEnv, episode: Episode) -> tuple[list[np.ndarray], list[list[float]]]:
    """Return a demonstration's actions and the joint targets that they led to."""
    env.reset(options={"episode": episode})
    joints = env.agent.robot._objs[0].active_joints
    actions, targets = [], []
    for command, _ in zip(PickAndPlace().commands(env), range(_STEPS), strict=False):
        env.step(command.action)
        actions.append(command.action)
        targets.append([float(joint.drive_target[0]) for joint in joints])
    last = [actions[-1] * [0, 0, 0, 0, 0, 0, 1]] * (_STEPS - len(actions))
    return actions + last, targets + [targets[-1]] * (_STEPS - len(targets))


def _bare_step(env: PutOnPlateEnv, targets: list[float]) -> None:
    """Move the same arm in the same scene with SAPIEN alone: 100 physics steps and a picture."""
    for joint, target in zip(env.agent.robot._objs[0].active_joints, targets, strict=True):
        joint.set_drive_target(target)
    for _ in range(100):
        env._px.step()
    if env.obs_mode == "rgb":
        env.scene.sub_scenes[0].update_render()
        env._camera.take_picture()
        env._camera.get_picture("Color")


def _resets(config: Config) -> dict[str, float]:
    """Return CPU-milliseconds of a reset to another episode, with pictures."""
    env = PutOnPlateEnv(catalog=config.catalog)
    gc.collect()
    gc.freeze()  # as the workers do
    ids = sample_ids("in_distribution", 20, config.seed)
    start = time.process_time()
    for number in ids:
        env.reset(options={"episode": decode("in_distribution", number)})
    gc.unfreeze()
    return {"cpu_ms": round(1000 * (time.process_time() - start) / len(ids), 1)}


def _memory(config: Config) -> float:
    """Return MiB of resident memory that one more scene takes, over eight of them."""
    first = PutOnPlateEnv(catalog=config.catalog)  # brings the libraries and the renderer
    before = psutil.Process().memory_info().rss
    scenes = [PutOnPlateEnv(catalog=config.catalog) for _ in range(8)]
    grown = psutil.Process().memory_info().rss - before
    first.close()
    return round(grown / len(scenes) / 2**20, 1)


def _demos(config: Config, n_workers: int) -> dict[str, float]:
    """Return attempts a minute of wall time with worker processes, their start included."""
    start = time.monotonic()
    counts = survey(config, _DEMO_ATTEMPTS, n_workers)
    minutes = (time.monotonic() - start) / 60
    per_minute = counts["successes"] / minutes
    return {"workers": n_workers, "successes_per_minute": round(per_minute, 1)}


def _learning(config: Config) -> dict[str, Any]:
    """Return the speed of fine-tuning and of the policy."""
    loaded, weights = training.loaded_model(config)
    images = training.pictures(config, max(policy.BATCHES))
    return {
        "model": weights,
        "training": training.bench(config, loaded),
        "policy": policy.milliseconds(loaded, images, training.INSTRUCTION),
    }
