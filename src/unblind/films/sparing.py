"""A model that acts in one scene as in many, for a fraction of the work.

Evaluations compute pictures in batches of one width, because the last digits of a product depend
on its shape; for a single scene most of the batch is padding. Here a narrow batch is computed, with
a random number somewhat below that of the evaluation and one somewhat above it. Where both draw the
same tokens, so does every number between them, and so does the wide batch: its shares differ by far
less. Only where they differ is the wide batch computed.
"""

from collections.abc import Sequence

import numpy as np
import torch

from unblind.rollout.factory import ScenePolicy
from unblind.rollout.policies import Observation
from unblind.vla.decode import Sampling, decode, draws
from unblind.vla.policy import Policy
from unblind.vla.tokens import ACTION_WIDTH

#: How far the numbers lie from that of the evaluation. Cumulated shares in single precision differ
#: by 1e-6 from one width to another.
MARGIN = 1e-4
#: More scenes than this are computed as in evaluations.
FEW = 4


class SparingPolicy:
    """A model for scenes (`unblind.rollout.policies.Policy`) that acts as `ScenePolicy` does.

    Args:
        policy: the model.
        seed: of its random numbers.
        temperature: it samples at; None: greedily, and then nothing is spared.
    """

    needs_images = True

    def __init__(self, policy: Policy, seed: int, temperature: float | None) -> None:
        self._policy, self._seed = policy, seed
        self._whole = ScenePolicy(policy, seed)
        self._sampling = None if temperature is None else Sampling(temperature)
        weight = policy.loaded.model.language_model.lm_head.weight
        self._where = (weight.device, weight.dtype)
        self._spares = self._sampling is not None and self._where[0].type == "cpu"
        self._spares &= weight.dtype == torch.float32

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return (N, 7) float32 actions: m, rad, and -1 or 1 for the gripper."""
        if not self._spares or len(observations) > FEW:
            return self._whole.act(observations)
        low, high = self._between(observations)
        actions = self._policy.codec.decode(low).astype(np.float32)
        for row in np.flatnonzero((low != high).any(1)):
            actions[row] = self._whole.act([observations[row]])[0]
        return actions

    def _between(self, observations: Sequence[Observation]) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens, (N, 7), that a somewhat smaller and a somewhat larger number draw."""
        loaded = self._policy.loaded
        keys = [(self._seed, seen.episode.episode_id, seen.step) for seen in observations]
        numbers = draws(keys, ACTION_WIDTH)
        both = torch.cat([numbers - MARGIN, numbers + MARGIN]).clamp(0, 1 - 1e-9)
        images = np.stack([seen.image for seen in observations] * 2)
        ids = decode(
            loaded.model,
            loaded.pixels.evaluation(images, *self._where),
            [loaded.vocabulary.action_prompt(s.episode.instruction) for s in observations] * 2,
            ACTION_WIDTH,
            loaded.vocabulary.actions,
            sampling=self._sampling,
            numbers=both,
        )
        return tuple(ids.numpy().reshape(2, len(observations), ACTION_WIDTH))
