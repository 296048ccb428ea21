"""One episode as a film."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

from unblind.config import Config
from unblind.files import atomic_path
from unblind.rollout.factory import make_policy
from unblind.rollout.policies import Observation, OracleActor, Policy
from unblind.rollout.trained import model_files
from unblind.sim.episodes import Episode, decode


def watch(
    config: Config,
    condition: str,
    episode_id: int,
    actor: str,
    seed: int,
    out: Path,
    split: str | None,
) -> Path:
    """Film an episode at 640 x 480 and in real time, as the policy's camera sees it.

    The policy acts first, on pictures of the size that it is evaluated with; the film shows the
    same actions again.

    Args:
        config: the whole configuration.
        condition: name or released env id.
        episode_id: within the condition's space.
        actor: one of ``config.runs``, or ``oracle``, ``random`` or ``noop``.
        seed: of the policy and of its training.
        out: mp4 file.
        split: the condition's evaluation split if None.

    Raises:
        UnblindError: unknown condition or actor, an id beyond the space, or a model that is
            missing or damaged.
    """
    options = {"split": split} if split else {}
    episode = decode(condition, episode_id, fidelity=config.fidelity, **options)
    if actor in config.runs:
        model_files(config, actor, seed)
    policy = make_policy(config, actor, seed)
    actions = _act(config, episode, policy)
    with atomic_path(out) as temporary:
        _film(config, episode, actions, temporary)
    return out


def _act(config: Config, episode: Episode, policy: Policy | None) -> list[np.ndarray]:
    """Return the actions of a whole episode; without a policy the planner's."""
    actor = OracleActor(config.demos.euler) if policy is None else None
    sees = policy is not None and policy.needs_images
    size = (config.render.width, config.render.height)
    env = _env(config, episode, size, "rgb" if sees else "none")
    obs, _ = env.reset(options={"episode": episode})
    actions = []
    for step in range(config.rollout.max_steps):
        image = obs["image"][0].numpy() if sees else None
        action = actor.act(env) if actor else policy.act([Observation(episode, step, image)])[0]
        actions.append(action)
        obs, *_ = env.step(action)
    env.close()
    return actions


def _film(config: Config, episode: Episode, actions: Sequence[np.ndarray], path: Path) -> None:
    from unblind.sim.env import CONTROL_HZ
    from unblind.sim.studio import FULL_HEIGHT, FULL_WIDTH

    env = _env(config, episode, (FULL_WIDTH, FULL_HEIGHT), "rgb")
    obs, info = env.reset(options={"episode": episode})
    writer = imageio_ffmpeg.write_frames(
        path, (FULL_WIDTH, FULL_HEIGHT), fps=CONTROL_HZ, output_params=["-f", "mp4"]
    )
    writer.send(None)
    for action in actions:
        writer.send(obs["image"][0].numpy().tobytes())
        obs, _, _, _, info = env.step(action)
    writer.send(obs["image"][0].numpy().tobytes())
    writer.close()
    print(f"'{episode.instruction}': {'success' if info['success'] else 'no success'}")


def _env(config: Config, episode: Episode, size: tuple[int, int], obs_mode: str) -> Any:
    from unblind.sim.env import PutOnPlateEnv

    return PutOnPlateEnv(
        catalog=config.catalog,
        width=size[0],
        height=size[1],
        shader=config.render.shader,
        episode=episode,
        obs_mode=obs_mode,
    )
