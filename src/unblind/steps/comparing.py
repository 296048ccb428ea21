"""A rollout that ends as soon as its run differs from another one, whose records are there.

Episodes are run in rounds of one a condition, and a look is taken after each round: the betting
test (`unblind.report.stats.e_process`) then holds for the mean difference over the conditions, even
where single conditions favour different runs. For the bets of a round multiply, and by the
inequality of arithmetic and geometric means no stake gains on a round whose mean difference is 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.progress import Progress
from unblind.report.records import STOPPED, load_cell, record_path
from unblind.report.stats import e_process
from unblind.rollout import records
from unblind.rollout.factory import make_policy
from unblind.rollout.loop import Crew
from unblind.rollout.run import evaluation_episodes, made_from
from unblind.rollout.trained import details
from unblind.rollout.worker import Setup
from unblind.sim import blocked, conditions
from unblind.sim.episodes import Episode
from unblind.study import jobs, making, provenance
from unblind.study.jobs import Job, Origin

_CODE = ("unblind.report.stats", "unblind.steps.comparing")


@dataclass(frozen=True)
class Standing:
    """How a run stands against another one after some rounds.

    Attributes:
        rounds: that were run whole.
        pairs: of identical episodes in them.
        won, lost: pairs in which the run alone, or the other alone, succeeds at the last step.
        e_value: the largest after a round so far; 1 before the first.
        differs: whether it has reached 1 / alpha.
    """

    rounds: int
    pairs: int
    won: int
    lost: int
    e_value: float
    differs: bool


def standing(differences: np.ndarray, alpha: float) -> Standing:
    """Return how a run stands after the round that decided, or else after all.

    Args:
        differences: (rounds, conditions) of success, -1, 0 or 1.
        alpha: highest chance to find a difference where there is none.
    """
    rounds, width = differences.shape
    if not rounds:
        return Standing(0, 0, 0, 0, 1.0, False)
    evidence = e_process(differences.ravel())[width - 1 :: width]
    decided = np.flatnonzero(evidence >= 1 / alpha)
    seen = int(decided[0]) + 1 if len(decided) else rounds
    counted = differences[:seen]
    return Standing(
        rounds=seen,
        pairs=counted.size,
        won=int((counted > 0).sum()),
        lost=int((counted < 0).sum()),
        e_value=max(1.0, float(evidence[:seen].max())),
        differs=len(decided) > 0,
    )


def compare(
    config: Config, run: str, seed: int, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Write ``out/{condition}.parquet`` with the rounds after which the run differs, or with all.

    The records do not depend on the number of workers: what they had in hand when the test decided
    is dropped. An interrupted call is continued.

    Args:
        config: the whole configuration, with ``rollout.stop_early``.
        run: one of ``config.runs``.
        seed: evaluation seed.
        out: folder of the records.
        names: conditions, all if None.
        n_workers: processes.

    Raises:
        UnblindError: unknown run or condition, the other run's records are missing or of another
            configuration, the run's model is missing or damaged, the catalog lacks files, a worker
            died, or the disk is full.
    """
    stop = config.rollout.stop_early
    names = names or [condition.name for condition in conditions.CONDITIONS]
    names = list(dict.fromkeys(conditions.get(name).name for name in names))
    config.run(stop.against)
    successes = _successes(config, stop.against, seed, names)
    origin = _origin(config, run, seed, names)
    paths = {name: out / f"{name}.parquet" for name in names}
    duel = _Duel(config, run, seed, _rounds(config, seed, successes), successes, paths, origin)
    if making.make(list(paths.values()), origin, lambda: duel.run_rounds(n_workers)):
        duel.forget()
    print(_told(run, provenance.read(paths[names[0]])["extra"][STOPPED]))


def _successes(
    config: Config, run: str, seed: int, names: Sequence[str]
) -> dict[str, dict[int, bool]]:
    """Return by condition and episode id whether a run that has been evaluated succeeds."""
    folder = Path(config.results, "rollouts")
    cells = {name: load_cell(config, run, seed, name, folder)[0] for name in names}
    return {
        name: dict(zip(frame["episode_id"], frame["success_final"], strict=True))
        for name, frame in cells.items()
    }


def _origin(config: Config, run: str, seed: int, names: Sequence[str]) -> Origin:
    """Return what the records are made from: the other run's records, too."""
    stop, folder = config.rollout.stop_early, Path(config.results, "rollouts")
    own = Origin(**made_from(Job(config, jobs.rollout_stage(config, run), run, seed)))
    return Origin(
        {**own.config, STOPPED: {**stop.model_dump(), "conditions": list(names)}},
        (*own.code, *_CODE),
        (*own.inputs, *(record_path(folder, stop.against, seed, name) for name in names)),
        seed,
    )


def _rounds(
    config: Config, seed: int, successes: Mapping[str, Mapping[int, bool]]
) -> list[tuple[Episode, ...]]:
    """Return the episodes in rounds of one a condition, as many as every condition has.

    Raises:
        UnblindError: the other run was not evaluated on these episodes, or the catalog lacks files.
    """
    shared = {
        name: [e for e in evaluation_episodes(config, name, seed) if e.episode_id in done]
        for name, done in successes.items()
    }
    against = config.rollout.stop_early.against
    for name, episodes in shared.items():
        if not episodes:
            cause = f"the record of '{against}' holds no episode of '{name}' with seed {seed}"
            raise UnblindError(cause, f"evaluate '{against}' again, or choose other conditions")
    blocked.refuse(config, blocked.find(config.catalog, shared))
    return list(zip(*shared.values(), strict=False))


@dataclass(frozen=True)
class _Duel:
    """A run against another one.

    Attributes:
        config, run, seed: what is rolled out.
        rounds: the episodes in order.
        successes: of the other run, by condition and episode id.
        paths: of the records, by condition.
        origin: what they are made from.
    """

    config: Config
    run: str
    seed: int
    rounds: list[tuple[Episode, ...]]
    successes: Mapping[str, Mapping[int, bool]]
    paths: Mapping[str, Path]
    origin: Origin

    @cached_property
    def journals(self) -> dict[str, records.Journal]:
        """Episodes that are done, by condition."""
        stamp = self.origin.stamp()
        return {name: records.Journal(path, stamp) for name, path in self.paths.items()}

    def run_rounds(self, n_workers: int) -> dict[str, Any]:
        """Run episodes until the test decides or none is left; return the sidecars' facts."""
        order = [episode for one in self.rounds for episode in one]
        waiting = [episode for episode in order if not self._is_done(episode)]
        policy = make_policy(self.config, self.run, self.seed)
        setup = Setup(self.config, bool(policy and policy.needs_images), oracle=policy is None)
        what = f"episodes of {self.run}, seed {self.seed}, at most"
        progress = Progress(what, len(waiting), 0.0)
        with Crew(setup, n_workers, policy) as crew:
            outcomes = crew.run(waiting)
            while not ((now := self._standing()).differs or now.rounds == len(self.rounds)):
                outcome = next(outcomes)
                row = records.row(outcome, self.run, self.seed)
                self.journals[outcome.episode.condition].add(row)
                progress.advance()
        progress.close()
        for column, name in enumerate(self.paths):
            ids = [one[column].episode_id for one in self.rounds[: now.rounds]]
            records.write(self.paths[name], [self.journals[name].rows[number] for number in ids])
        told = details(self.config, self.run, self.seed)
        stop = self.config.rollout.stop_early.model_dump()
        facts = stop | asdict(now) | {"of_pairs": len(order)}
        return {STOPPED: facts} | ({"run_details": told} if told else {})

    def forget(self) -> None:
        """Delete what an interrupted call would go on from."""
        for journal in self.journals.values():
            journal.remove()

    def _is_done(self, episode: Episode) -> bool:
        return episode.episode_id in self.journals[episode.condition].rows

    def _standing(self) -> Standing:
        """Return how the run stands after the rounds before the first that is not whole."""
        whole = next(
            (i for i, one in enumerate(self.rounds) if not all(map(self._is_done, one))),
            len(self.rounds),
        )
        differences = [self._difference(e) for one in self.rounds[:whole] for e in one]
        shape = whole, len(self.paths)
        return standing(
            np.array(differences, dtype=np.int64).reshape(shape),
            self.config.rollout.stop_early.alpha,
        )

    def _difference(self, episode: Episode) -> int:
        own = self.journals[episode.condition].rows[episode.episode_id]["success_final"]
        return int(own) - int(self.successes[episode.condition][episode.episode_id])


def _told(run: str, facts: Mapping[str, Any]) -> str:
    """Return the outcome in one line."""
    bound, p = 1 / facts["alpha"], 1 / facts["e_value"]
    how = "differs" if facts["differs"] else "is not shown to differ"
    return (
        f"{run} {how} from {facts['against']}: {facts['won']} pairs won, {facts['lost']} lost in "
        f"{facts['pairs']} of {facts['of_pairs']} (e-value {facts['e_value']:.3g}, needed "
        f"{bound:.3g}; p {p:.2g}); no whole record, so no row of a table"
    )
