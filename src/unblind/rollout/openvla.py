"""Closed-loop evaluation of the published model and of runs trained on it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unblind import places
from unblind.config import Config, digest
from unblind.files import sha256
from unblind.openvla.policy import Policy
from unblind.progress import Progress
from unblind.provenance import CODE, code_hash, is_current, record
from unblind.rollout import records
from unblind.rollout.loop import Crew
from unblind.rollout.policies import Observation
from unblind.rollout.run import evaluation_episodes
from unblind.rollout.trained import details, model_files
from unblind.rollout.worker import Setup
from unblind.sim import conditions


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
        adapter = places.run_folder(config, run, seed)
        wrapped = lora.load_adapter(loaded.model, adapter, places.openvla_base(config))
        own, key = statistics.read(adapter, {}), base.STATISTICS_KEY
        loaded = replace(loaded, model=lora.merge(wrapped).eval(), statistics=own)
    sampling = None if chosen.temperature is None else Sampling(chosen.temperature)
    return Policy(loaded, key, sampling)


def rollout(
    config: Config, run: str, seed: int, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Write ``out/{condition}.parquet`` for every condition whose record is not current.

    Finished episodes of an interrupted call are kept.

    Args:
        config: the whole configuration, with a section `openvla`.
        run: one of ``config.runs`` with the policy ``vla``.
        seed: evaluation seed; draws the episode ids and seeds sampled actions.
        out: folder of the records.
        names: conditions, all if None.
        n_workers: processes of scenes.

    Raises:
        UnblindError: unknown run or condition, the base or the run's adapter is missing, damaged
            or of another base, a worker died, or the disk is full.
    """
    made_from = {
        "config": config.part("rollout", run),
        "code": CODE["openvla_rollout"],
        "seed": seed,
        "inputs": model_files(config, run, seed),
    }
    chosen = [conditions.get(n).name for n in names or [c.name for c in conditions.CONDITIONS]]
    todo = [n for n in chosen if not is_current(Path(out) / f"{n}.parquet", **made_from)]
    total = sum(map(config.rollout.count, todo))
    progress = Progress(f"episodes of {run}, seed {seed}", total, 0.0)
    if not todo:
        return
    extra = {"run_details": _details(config, run, seed)}
    policy = ScenePolicy(load_policy(config, run, seed), seed)
    with Crew(Setup(config, images=True, oracle=False), n_workers, policy) as crew:
        for name in todo:
            path, episodes = Path(out) / f"{name}.parquet", evaluation_episodes(config, name, seed)
            journal = records.Journal(path, _stamp(run, made_from))
            progress.advance(len(journal.rows))
            with record(path, **made_from, extra=extra):
                for outcome in crew.run([e for e in episodes if e.episode_id not in journal.rows]):
                    journal.add(records.row(outcome, run, seed))
                    progress.advance()
                records.write(path, [journal.rows[e.episode_id] for e in episodes])
            journal.remove()


def _details(config: Config, run: str, seed: int) -> dict[str, Any]:
    """Return what a record tells of its model; of the base, which one it is."""
    if config.run(run).method is not None:
        return details(config, run, seed)
    return {"base": sha256(places.openvla_base(config))[:12]}


def _stamp(run: str, made_from: dict[str, Any]) -> str:
    checksums = [sha256(path) for path in made_from["inputs"]]
    settings = (made_from["config"], code_hash(*made_from["code"]), run, made_from["seed"])
    return digest([*settings, checksums])
