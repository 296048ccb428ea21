"""Closed-loop evaluation of the published model and of runs trained on it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unblind.config import Config
from unblind.openvla.policy import Policy
from unblind.rollout.policies import Observation
from unblind.rollout.run import Evaluation, evaluate, made_from
from unblind.rollout.trained import details
from unblind.study import jobs


class ScenePolicy:
    """The model as scenes ask it (`unblind.rollout.policies.Policy`).

    Sampled actions have a stream of random numbers for each episode and step, so that the batch
    they are in does not matter.
    """

    needs_images = True

    def __init__(self, policy: Policy, seed: int) -> None:
        self._policy, self._seed = policy, seed

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return (N, 7) actions: m, rad, and -1 or 1 for the gripper."""
        return self._policy.act(
            np.stack([one.image for one in observations]),
            [one.episode.instruction for one in observations],
            [(self._seed, one.episode.episode_id, one.step) for one in observations],
        )


def load_policy(config: Config, run: str, seed: int) -> Policy:
    """Return the policy of a run, or of the base where the run has no method.

    Raises:
        UnblindError: something is missing, damaged, or belongs to another base.
    """
    from unblind.finetune import base
    from unblind.openvla import statistics
    from unblind.openvla.decode import Sampling
    from unblind.vla import lora

    chosen, folder = config.openvla, base.folder(config)
    loaded, key = base.load(config, folder, chosen.device), chosen.unnorm_key
    if config.run(run).method is not None:
        adapter = jobs.run_folder(config, run, seed)
        wrapped = lora.load_adapter(loaded.model, adapter, jobs.base_weights(config))
        own, key = statistics.read(adapter, {}), base.STATISTICS_KEY
        loaded = replace(loaded, model=lora.merge(wrapped).eval(), statistics=own)
    sampling = None if chosen.temperature is None else Sampling(chosen.temperature)
    return Policy(loaded, key, sampling)


def rollout(
    config: Config, run: str, seed: int, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Evaluate a run of the policy ``vla`` as `unblind.rollout.run.rollout` does the others.

    The configuration has a section `openvla`; the seed seeds sampled actions, too.
    """
    evaluation = Evaluation(
        run,
        seed,
        made_from(config, run, seed),
        details(config, run, seed),
        lambda: ScenePolicy(load_policy(config, run, seed), seed),
        unit_cpu_s=0.0,
    )
    evaluate(config, evaluation, out, names, n_workers)
