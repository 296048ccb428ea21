"""Evaluation of one run with one seed under all conditions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.config import Config, digest
from unblind.files import sha256
from unblind.progress import UNIT_CPU_S, Progress
from unblind.provenance import code_hash, is_current, record, rollout_code
from unblind.rollout import records
from unblind.rollout.loop import Crew
from unblind.rollout.policies import Policy, make_policy
from unblind.rollout.trained import details, model_files, trained
from unblind.rollout.worker import Setup
from unblind.sim import conditions
from unblind.sim.episodes import Episode, decode, sample_ids


def evaluation_episodes(config: Config, condition: str, seed: int) -> list[Episode]:
    """Return the episodes of a condition: the same for every run with this seed."""
    chosen = conditions.get(condition)
    wanted = config.rollout.count(condition)
    ids = sample_ids(condition, wanted, seed, chosen.split, fidelity=config.fidelity)
    return [decode(condition, number, chosen.split, config.fidelity) for number in ids]


@dataclass(frozen=True)
class Evaluation:
    """What a run's records are made with.

    Attributes:
        run: the run's name.
        seed: evaluation seed.
        made_from: what they depend on, as `provenance.record` takes it.
        details: what they tell of the model.
        policy: makes the policy, None for the planner; called only if something is to do.
        unit_cpu_s: expected CPU-seconds an episode, 0 where nothing is known of them.
    """

    run: str
    seed: int
    made_from: Mapping[str, Any]
    details: Mapping[str, Any]
    policy: Callable[[], Policy | None]
    unit_cpu_s: float


def rollout(
    config: Config, run: str, seed: int, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Write ``out/{condition}.parquet`` for every condition whose record is not current.

    Finished episodes of an interrupted call are kept.

    Args:
        config: the whole configuration.
        run: one of ``config.runs``.
        seed: evaluation seed; draws the episode ids and seeds the policy.
        out: folder of the records.
        names: conditions, all if None.
        n_workers: processes; the result does not depend on it.

    Raises:
        UnblindError: unknown run or condition, the base or the run's adapter is missing, damaged
            or of another base, a worker died, or the disk is full.
    """
    kind, model = config.run(run).policy, trained(config, run, seed)
    evaluation = Evaluation(
        run,
        seed,
        made_from(config, run, seed, rollout_code(kind)),
        details(config, run, seed),
        lambda: make_policy(kind, seed, model),
        UNIT_CPU_S[kind] * config.rollout.max_steps / 80,
    )
    evaluate(config, evaluation, out, names, n_workers)


def made_from(config: Config, run: str, seed: int, code: tuple[str, ...]) -> dict[str, Any]:
    """Return what a run's records depend on, as `provenance.record` takes it.

    Raises:
        UnblindError: the run is unknown or not trained, or the base is missing.
    """
    settings, inputs = config.part("rollout", run), model_files(config, run, seed)
    return {"config": settings, "code": code, "seed": seed, "inputs": inputs}


def evaluate(
    config: Config, evaluation: Evaluation, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Write the records that are not current (see `rollout`)."""
    run, seed, origin = evaluation.run, evaluation.seed, evaluation.made_from
    chosen = [conditions.get(n).name for n in names or [c.name for c in conditions.CONDITIONS]]
    todo = [n for n in chosen if not is_current(Path(out) / f"{n}.parquet", **origin)]
    total = sum(map(config.rollout.count, todo))
    progress = Progress(f"episodes of {run}, seed {seed}", total, evaluation.unit_cpu_s)
    if not todo:
        return
    policy, stamp = evaluation.policy(), _stamp(run, **origin)
    extra = {"run_details": evaluation.details} if evaluation.details else {}
    setup = Setup(config, images=bool(policy and policy.needs_images), oracle=policy is None)
    with Crew(setup, n_workers, policy) as crew:
        for name in todo:
            path = Path(out) / f"{name}.parquet"
            journal = records.Journal(path, stamp)
            progress.advance(len(journal.rows))
            episodes = evaluation_episodes(config, name, seed)
            with record(path, **origin, extra=extra):
                for outcome in crew.run([e for e in episodes if e.episode_id not in journal.rows]):
                    journal.add(records.row(outcome, run, seed))
                    progress.advance()
                records.write(path, [journal.rows[e.episode_id] for e in episodes])
            journal.remove()


def _stamp(run: str, config: Any, code: tuple[str, ...], seed: int, inputs: list[Path]) -> str:
    return digest([config, code_hash(*code), run, seed, [sha256(path) for path in inputs]])
