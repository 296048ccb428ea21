"""What the records say about a claim: our rate with its interval, and paired effects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unblind.audit.records import Piece
from unblind.report import stats
from unblind.report.differences import paired


@dataclass(frozen=True)
class Ours:
    """A success rate of our own; rates are fractions.

    Attributes:
        value: share of episodes that end in success; of several conditions, the mean of theirs.
        low, high: its interval: Wilson's for one condition, bootstrap for a mean.
        n: episodes.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Effect:
    """How much better one run is than another on identical episodes; rates are fractions.

    Attributes:
        delta: mean over conditions of the difference in success rate.
        low, high: its paired bootstrap interval over episodes within conditions.
        n: pairs of episodes.
        won, lost: pairs in which the first run alone, or the second alone, succeeds.
        first, second: both rates.
        p: of the two-sided exact McNemar test.
        wilcoxon: p of the one-sided signed-rank test over seeds; None with one seed.
        cohens_h: effect size of the two rates.
        detectable: difference that so many pairs detect with a power of 80 %; None if none.
    """

    delta: float
    low: float
    high: float
    n: int
    won: int
    lost: int
    first: float
    second: float
    p: float
    wilcoxon: float | None
    cohens_h: float
    detectable: float | None


def rate(pieces: Sequence[Piece], seed: int, level: float) -> Ours:
    """Return the success rate at the last step.

    Args:
        pieces: records of one condition or several, all seeds.
        seed: of the bootstrap.
        level: of the interval.
    """
    episodes = pd.concat([piece.episodes for piece in pieces])
    groups = episodes.groupby("condition", sort=False)["success_final"]
    outcomes = [group.to_numpy(dtype=np.int64) for _, group in groups]
    if len(outcomes) > 1:
        return Ours(*stats.paired_bootstrap(outcomes, seed, level=level), len(episodes))
    won, n = int(outcomes[0].sum()), len(episodes)
    return Ours(won / n, *stats.wilson(won, n, level), n)


def effect(pairs: pd.DataFrame, seed: int, level: float) -> Effect:
    """Compare two runs on identical episodes.

    Args:
        pairs: as `unblind.report.differences.pair` returns them.
        seed: of the bootstrap.
        level: of intervals and tests.
    """
    counts = paired(pairs, pairs["column"].unique(), seed, level)
    first, second = (float(pairs.groupby("column")[name].mean().mean()) for name in _RUNS)
    discordant = (counts.won + counts.lost) / counts.n
    return Effect(
        delta=counts.delta,
        low=counts.low,
        high=counts.high,
        n=counts.n,
        won=counts.won,
        lost=counts.lost,
        first=first,
        second=second,
        p=stats.mcnemar_exact(counts.won, counts.lost),
        wilcoxon=_wilcoxon(pairs),
        cohens_h=stats.cohens_h(first, second),
        detectable=stats.minimum_detectable_difference(counts.n, discordant, level=level),
    )


def excess(
    pairs: pd.DataFrame, share: float, seed: int, level: float
) -> tuple[float, float, float]:
    """Return how far the second run's rate lies above a share of the first's, with interval.

    Below 0 throughout means that the second run reaches less than this share.

    Args:
        pairs: as `unblind.report.differences.pair` returns them.
        share: fraction of the first run's success rate.
        seed: of the bootstrap.
        level: of the interval.
    """
    rest = pairs["second"] - share * pairs["first"]
    groups = [group.to_numpy() for _, group in rest.groupby(pairs["column"], sort=False)]
    return stats.paired_bootstrap(groups, seed, level=level)


_RUNS = ("first", "second")


def _wilcoxon(pairs: pd.DataFrame) -> float | None:
    """Return the p of the paper's test (appendix A.5): each seed's mean over conditions."""
    cells = pairs.groupby(["seed", "column"])[list(_RUNS)].mean()
    by_seed = cells.groupby("seed").mean()
    if len(by_seed) < 2:
        return None
    return stats.wilcoxon_greater(by_seed["first"].tolist(), by_seed["second"].tolist())
