"""Evaluation of one run with one seed under all conditions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unblind.config import Config, digest
from unblind.files import sha256
from unblind.progress import UNIT_CPU_S, Progress
from unblind.provenance import code_hash, is_current, record, rollout_code
from unblind.rollout import records
from unblind.rollout.loop import Crew
from unblind.rollout.policies import make_policy
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
    made_from = _made_from(config, run, seed)
    chosen = [conditions.get(n).name for n in names or [c.name for c in conditions.CONDITIONS]]
    todo = [n for n in chosen if not is_current(Path(out) / f"{n}.parquet", **made_from)]
    kind, total = config.run(run).policy, sum(map(config.rollout.count, todo))
    unit = UNIT_CPU_S[kind] * config.rollout.max_steps / 80
    progress = Progress(f"episodes of {run}, seed {seed}", total, unit)
    if not todo:
        return
    policy, extra = make_policy(kind, seed, trained(config, run, seed)), _extra(config, run, seed)
    stamp = _stamp(run, **made_from)
    setup = Setup(config, images=bool(policy and policy.needs_images), oracle=policy is None)
    with Crew(setup, n_workers, policy) as crew:
        for name in todo:
            path = Path(out) / f"{name}.parquet"
            journal = records.Journal(path, stamp)
            progress.advance(len(journal.rows))
            episodes = evaluation_episodes(config, name, seed)
            with record(path, **made_from, extra=extra):
                for outcome in crew.run([e for e in episodes if e.episode_id not in journal.rows]):
                    journal.add(records.row(outcome, run, seed))
                    progress.advance()
                records.write(path, [journal.rows[e.episode_id] for e in episodes])
            journal.remove()


def _made_from(config: Config, run: str, seed: int) -> dict[str, Any]:
    """Return what a record depends on, as `provenance.record` takes it."""
    return {
        "config": config.part("rollout", run),
        "code": rollout_code(config.run(run).policy),
        "seed": seed,
        "inputs": model_files(config, run, seed),
    }


def _stamp(run: str, config: Any, code: tuple[str, ...], seed: int, inputs: list[Path]) -> str:
    return digest([config, code_hash(*code), run, seed, [sha256(path) for path in inputs]])


def _extra(config: Config, run: str, seed: int) -> dict[str, Any]:
    """Return what a record tells of its model."""
    found = details(config, run, seed)
    return {"run_details": found} if found else {}
