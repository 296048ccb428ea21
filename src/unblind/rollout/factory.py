"""Makes the policy of a run: scripted, or a model with the adapter that the run has trained."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unblind.config import Config
from unblind.machine import allocator
from unblind.rollout.policies import SCRIPTED, NoopPolicy, Observation, Policy, RandomPolicy
from unblind.study import jobs

if TYPE_CHECKING:
    from unblind.vla.policy import Policy as Model

#: Makes a policy that needs no model from its seed; None where an actor in the worker acts.
_MAKERS: Mapping[str, Callable[[int], Policy | None]] = {
    "oracle": lambda seed: None,
    "always_left": lambda seed: None,
    "random": RandomPolicy,
    "noop": lambda seed: NoopPolicy(),
}

#: Pictures in a batch of a model: a picture costs a quarter less than in batches of 8.
_WIDTH = 16


class ScenePolicy:
    """A model as scenes ask it (`unblind.rollout.policies.Policy`).

    Sampled actions have a stream of random numbers for each episode and step, so that the batch
    they are in does not matter.
    """

    needs_images = True

    def __init__(self, policy: "Model", seed: int) -> None:
        self._policy, self._seed = policy, seed

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return (N, 7) float32 actions: m, rad, and -1 or 1 for the gripper."""
        return self._policy.act(
            np.stack([seen.image for seen in observations]),
            [seen.episode.instruction for seen in observations],
            [(self._seed, seen.episode.episode_id, seen.step) for seen in observations],
        )


def make_policy(config: Config, actor: str, seed: int) -> Policy | None:
    """Return who acts for scenes, or None where an actor in the worker does the work.

    Args:
        config: the whole configuration.
        actor: one of ``config.runs``, or a scripted policy's name.
        seed: of the policy and of its training.

    Raises:
        UnblindError: the run is unknown, acts behind a socket or not at all, or its model is
            missing or damaged.
    """
    kind = actor if actor in SCRIPTED and actor not in config.runs else config.run(actor).policy
    if kind in _MAKERS:
        return _MAKERS[kind](seed)
    if actor in config.runs:
        jobs.rollout_stage(config, actor)  # refuses what acts elsewhere, or not at all
    return ScenePolicy(load_policy(config, actor, seed), seed)


def load_policy(config: Config, run: str, seed: int) -> "Model":
    """Return the model of a run, or the base where the run has no method.

    Raises:
        UnblindError: the run is unknown, or something is missing, damaged, or belongs to another
            base.
    """
    from unblind.training import base
    from unblind.vla import policy as vla
    from unblind.vla.decode import Sampling
    from unblind.vla.loading import check_device

    adapter = jobs.run_folder(config, run, seed) if config.run(run).method else None
    device, temperature = check_device(config.training.device), config.rollout.temperature
    loaded = base.load(config, base.folder(config), jobs.record(config), device)
    sampling = None if temperature is None else Sampling(temperature)
    allocator.keep()
    return vla.load(loaded, adapter, config.base.unnorm_key, sampling, _WIDTH)
