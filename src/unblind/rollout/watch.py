"""One episode as a film."""

from pathlib import Path

import imageio_ffmpeg

from unblind.config import Config
from unblind.files import atomic_path
from unblind.rollout.policies import Observation, OracleActor, make_policy
from unblind.sim.episodes import Episode, decode


def watch(
    config: Config, condition: str, episode_id: int, policy: str, out: Path, split: str | None
) -> Path:
    """Film an episode at 640 x 480 and in real time, as the policy's camera sees it.

    Args:
        config: the whole configuration.
        condition: name or released env id.
        episode_id: within the condition's space.
        policy: ``oracle``, ``random`` or ``noop``.
        out: mp4 file.
        split: the condition's evaluation split if None.

    Raises:
        UnblindError: unknown condition or policy, or an id beyond the space.
    """
    chosen = {"split": split} if split else {}
    episode = decode(condition, episode_id, fidelity=config.fidelity, **chosen)
    with atomic_path(out) as temporary:
        _film(config, episode, policy, temporary)
    return out


def _film(config: Config, episode: Episode, kind: str, path: Path) -> None:
    from unblind.sim.env import CONTROL_HZ, PutOnPlateEnv
    from unblind.sim.studio import FULL_HEIGHT, FULL_WIDTH

    policy = make_policy(kind, config.seed)
    actor = OracleActor(config.demos.euler) if policy is None else None
    env = PutOnPlateEnv(
        catalog=config.catalog, width=FULL_WIDTH, height=FULL_HEIGHT, episode=episode
    )
    obs, info = env.reset(options={"episode": episode})
    writer = imageio_ffmpeg.write_frames(
        path, (FULL_WIDTH, FULL_HEIGHT), fps=CONTROL_HZ, output_params=["-f", "mp4"]
    )
    writer.send(None)
    for step in range(config.rollout.max_steps):
        image = obs["image"][0].numpy()
        writer.send(image.tobytes())
        action = actor.act(env) if actor else policy.act([Observation(episode, step, image)])[0]
        obs, _, _, _, info = env.step(action)
    writer.send(obs["image"][0].numpy().tobytes())
    writer.close()
    print(f"'{episode.instruction}': {'success' if info['success'] else 'no success'}")
