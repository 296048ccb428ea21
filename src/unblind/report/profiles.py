"""Performance profiles and probability of improvement over conditions and seeds.

Definitions of Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical
Precipice", sections 4.1 and 4.3, as their library rliable computes them. A task is one of the 13
conditions, a run of it one seed, and its score the success rate at the last step, a fraction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unblind.errors import UnblindError
from unblind.report.differences import PAIRS
from unblind.report.records import Records
from unblind.report.summary import COLUMN_OF, MEANS, Row

#: Success rates at which profiles are told.
THRESHOLDS = tuple(n / 10 for n in range(10))
_RESAMPLES = 2_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Bootstrapped:
    """A share with its 95 % interval; None with one seed, where nothing can be resampled."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Profile:
    """One row's distribution of scores.

    Attributes:
        name, label: of the row.
        shares: by threshold, the share of conditions and seeds with a higher success rate.
        seeds: how many there are.
    """

    name: str
    label: str
    shares: Mapping[float, Bootstrapped]
    seeds: int


@dataclass(frozen=True)
class Improvement:
    """How likely a seed of one run has a higher success rate than one of another.

    Attributes:
        name: both rows' names.
        first, second: both rows' labels.
        chance: the mean over conditions.
    """

    name: str
    first: str
    second: str
    chance: Bootstrapped


def profiles(rows: Sequence[Row], records: Mapping[str, Records], seed: int) -> list[Profile]:
    """Return the profile of each row that has episodes of all seeds and conditions.

    Args:
        rows: of the table.
        records: by run.
        seed: of the bootstrap.
    """
    found = []
    for row in rows:
        scores = _scores(records.get(row.name))
        if scores is not None:
            shares = performance_profile(scores, THRESHOLDS, seed)
            told = dict(zip(THRESHOLDS, shares, strict=True))
            found.append(Profile(row.name, row.label, told, len(scores)))
    return found


def improvements(
    rows: Sequence[Row], records: Mapping[str, Records], seed: int
) -> list[Improvement]:
    """Return the probability of improvement of each of `differences.PAIRS`; see `profiles`."""
    labels = {row.name: row.label for row in rows}
    found = []
    for pair in PAIRS:
        first, second = (_scores(records.get(name)) for name in pair)
        if first is not None and second is not None and set(pair) <= labels.keys():
            chance = probability_of_improvement(first, second, seed)
            found.append(Improvement(" - ".join(pair), *(labels[n] for n in pair), chance))
    return found


def performance_profile(
    scores: np.ndarray, thresholds: Sequence[float], seed: int, resamples: int = _RESAMPLES
) -> list[Bootstrapped]:
    """Return the share of runs, over all tasks, whose score is above each threshold.

    Tasks weigh the same. The interval is that of the stratified bootstrap: runs are drawn with
    replacement within each task.

    Args:
        scores: (runs, tasks).
        thresholds: of scores.
        seed: of the resampling.
        resamples: how many.

    Raises:
        UnblindError: there is no score, or one that is no number.
    """
    drawn = _drawn(_checked(scores), resamples, np.random.default_rng(seed))
    return [
        _estimate(
            float((scores > one).mean()),
            None if drawn is None else (drawn > one).mean(axis=(1, 2)),
        )
        for one in thresholds
    ]


def probability_of_improvement(
    first: np.ndarray, second: np.ndarray, seed: int, resamples: int = _RESAMPLES
) -> Bootstrapped:
    """Return the chance that a run of ``first`` scores higher than one of ``second``.

    Of each task all pairs of runs are compared, equal ones counting half: the Mann-Whitney
    statistic over the number of pairs. Tasks weigh the same. The interval is that of the
    stratified bootstrap, both sides drawn independently.

    Args:
        first: (runs, tasks).
        second: (other runs, the same tasks).
        seed: of the resampling.
        resamples: how many.

    Raises:
        UnblindError: there is no score, one that is no number, or the tasks differ in number.
    """
    if _checked(first).shape[1] != _checked(second).shape[1]:
        raise UnblindError(
            f"no comparison of {first.shape[1]} tasks with {second.shape[1]}", "check the records"
        )
    rng = np.random.default_rng(seed)
    mine, theirs = (_drawn(scores, resamples, rng) for scores in (first, second))
    both = None if mine is None or theirs is None else _ahead(mine, theirs)
    return _estimate(float(_ahead(first[None], second[None])[0]), both)


def _ahead(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return (draws,) means over tasks and pairs of runs, of (draws, runs, tasks) of both."""
    own, other = first[:, :, None], second[:, None]
    return ((own > other) + 0.5 * (own == other)).mean(axis=(1, 2, 3))


def _drawn(scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray | None:
    """Return (resamples, runs, tasks) scores, each task's runs drawn anew; None of one run."""
    runs, tasks = scores.shape
    if runs < 2:
        return None
    chosen = rng.integers(runs, size=(resamples, runs, tasks))
    return scores[chosen, np.arange(tasks)]


def _estimate(value: float, drawn: np.ndarray | None) -> Bootstrapped:
    if drawn is None:
        return Bootstrapped(value, None, None)
    tail = (1 - _LEVEL) / 2
    return Bootstrapped(value, *map(float, np.quantile(drawn, (tail, 1 - tail))))


def _checked(scores: np.ndarray) -> np.ndarray:
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise UnblindError(
            f"no profile of scores of shape {scores.shape}", "check the records for missing rates"
        )
    return scores


def _scores(records: Records | None) -> np.ndarray | None:
    """Return (seeds, 13) success rates; None where one of them is not known."""
    if records is None:
        return None
    episodes = records.episodes.assign(column=records.episodes["condition"].map(COLUMN_OF))
    cells = episodes.groupby(["seed", "column"])["success_final"].mean().unstack()
    cells = cells.reindex(columns=list(MEANS["all 13"]))
    return None if cells.isna().any(axis=None) or cells.empty else cells.to_numpy(dtype=float)
