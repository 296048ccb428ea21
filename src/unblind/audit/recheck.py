"""A sample of stored episodes, rolled out again here."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from unblind.audit.records import Evidence, Piece
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report.records import OUTCOME, not_run
from unblind.rollout.factory import make_policy
from unblind.rollout.loop import Crew
from unblind.rollout.run import made_from
from unblind.rollout.worker import Setup
from unblind.sim import blocked, conditions
from unblind.sim.episodes import Episode, decode
from unblind.study import jobs
from unblind.study.provenance import is_current


@dataclass(frozen=True)
class Rerun:
    """One stored episode and how it went here.

    Attributes:
        run, seed, condition, episode_id: which episode.
        stored, again: outcome by column, see `unblind.report.records.OUTCOME`.
        is_current: whether the record was made by this very code from this very model.
    """

    run: str
    seed: int
    condition: str
    episode_id: int
    stored: dict[str, Any]
    again: dict[str, Any]
    is_current: bool

    @property
    def agrees(self) -> bool:
        """Whether both went the same way."""
        return self.stored == self.again


def recheck(config: Config, evidence: Evidence, n: int, n_workers: int) -> list[Rerun]:
    """Roll out a seeded random sample of the stored episodes again.

    Args:
        config: the study; its seed draws the sample.
        evidence: the records.
        n: episodes; all of them if there are fewer.
        n_workers: processes; the result does not depend on it.

    Raises:
        UnblindError: there is no record, a model is missing or damaged, or a worker died.
    """
    sample = _sample(config, evidence, n)
    if not sample:
        raise UnblindError("there is no record to check", "run: make table1")
    reruns: list[Rerun] = []
    for (run, seed), group in groupby(sample, lambda entry: (entry[0].run, entry[0].seed)):
        reruns += _again(config, run, seed, list(group), n_workers)
    return reruns


def report(reruns: Iterable[Rerun]) -> str:
    """Return the agreement as text, an episode a line."""
    reruns = list(reruns)
    lines = []
    for rerun in reruns:
        episode = f"{rerun.run}/{rerun.seed}/{rerun.condition} episode {rerun.episode_id}"
        differ = [
            f"{name} {rerun.stored[name]} stored, {rerun.again[name]} here"
            for name in OUTCOME
            if rerun.stored[name] != rerun.again[name]
        ]
        origin = "" if rerun.is_current else " (made by other code or from another model)"
        lines.append(f"{episode}: {', '.join(differ) or 'agrees'}{origin}")
    agreed = sum(rerun.agrees for rerun in reruns)
    lines.append(f"{agreed} of {len(reruns)} episodes went as stored")
    return "\n".join(lines)


def _sample(config: Config, evidence: Evidence, n: int) -> list[tuple[Piece, int]]:
    """Draw records and rows of them, without replacement, in the order of the records.

    What acted behind a socket is not here to act again.
    """
    rows = [
        (piece, row)
        for piece in evidence.pieces.values()
        if config.run(piece.run).policy != "served"
        for row in range(len(piece.episodes))
    ]
    indices = np.random.default_rng(config.seed).choice(len(rows), min(n, len(rows)), replace=False)
    return [rows[index] for index in sorted(indices)]


def _again(
    config: Config, run: str, seed: int, pairs: list[tuple[Piece, int]], n_workers: int
) -> list[Rerun]:
    """Roll out episodes of one run and seed."""
    episodes = [_episode(config, piece, row) for piece, row in pairs]
    _refuse_blocked(config, episodes)
    origin = made_from(jobs.Job(config, jobs.rollout_stage(config, run), run, seed))
    policy = make_policy(config, run, seed)
    setup = Setup(config, images=bool(policy and policy.needs_images), oracle=policy is None)
    with Crew(setup, min(n_workers, len(episodes)), policy) as crew:
        outcomes = {
            (outcome.episode.condition, outcome.episode.episode_id): outcome.columns()
            for outcome in crew.run(episodes)
        }
    return [
        Rerun(
            run,
            seed,
            episode.condition,
            episode.episode_id,
            stored={name: piece.episodes[name].iloc[row].item() for name in OUTCOME},
            again=outcomes[episode.condition, episode.episode_id],
            is_current=is_current(
                piece.path, **origin, lacking=blocked.paths(config.catalog, not_run(piece.meta))
            ),
        )
        for episode, (piece, row) in zip(episodes, pairs, strict=True)
    ]


def _refuse_blocked(config: Config, episodes: Iterable[Episode]) -> None:
    """Stop if files of the catalog have gone since these episodes were rolled out.

    Raises:
        UnblindError: some have.
    """
    by_condition: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_condition.setdefault(episode.condition, []).append(episode)
    blocked.refuse(config, blocked.find(config.catalog, by_condition))


def _episode(config: Config, piece: Piece, row: int) -> Episode:
    split = conditions.get(piece.condition).split
    number = piece.episodes["episode_id"].iloc[row].item()
    return decode(piece.condition, number, split, config.fidelity)
