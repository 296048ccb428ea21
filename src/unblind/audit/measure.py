"""What the records say about a claim: our value with its interval, and paired effects."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from unblind.report import power, stats
from unblind.report.differences import paired
from unblind.report.stats import Estimate


@dataclass(frozen=True)
class Effect:
    """How much more one run has than another on identical items; rates are fractions.

    Attributes:
        delta: mean over conditions, or other groups that weigh the same, of the difference.
        low, high: its interval: of success the paired bootstrap's over episodes within
            conditions, else the normal one with clusters.
        n: pairs of items.
        first, second: both values.
        p: of success that of the two-sided exact McNemar test, else of the normal test, but not
            below `unblind.report.stats.least_p` of its clusters.
        detectable: difference that so many pairs detect with a power of 80 % at the first level
            of Holm's correction; None if none.
        won, lost: pairs in which the first run alone, or the second alone, succeeds; of success.
        wilcoxon: p of the one-sided signed-rank test over seeds; of success, with several seeds.
        cohens_h: effect size of the two rates; of success.
        clusters: independent units; None of success, where each pair is one.
    """

    delta: float
    low: float
    high: float
    n: int
    first: float
    second: float
    p: float
    detectable: float | None
    won: int | None = None
    lost: int | None = None
    wilcoxon: float | None = None
    cohens_h: float | None = None
    clusters: int | None = None


def rate(episodes: pd.DataFrame, seed: int, level: float) -> Estimate:
    """Return the success rate at the last step.

    Args:
        episodes: of one condition or several, all seeds.
        seed: of the bootstrap.
        level: of the interval.
    """
    groups = episodes.groupby("condition", sort=False)["success_final"]
    outcomes = [group.to_numpy(dtype=np.int64) for _, group in groups]
    if len(outcomes) > 1:
        return Estimate(*stats.paired_bootstrap(outcomes, seed, level=level), len(episodes))
    won, n = int(outcomes[0].sum()), len(episodes)
    return Estimate(won / n, *stats.wilson(won, n, level), n)


def effect(pairs: pd.DataFrame, seed: int, level: float, family: int = 1) -> Effect:
    """Compare the success of two runs on identical episodes.

    Args:
        pairs: as `unblind.report.differences.pair` returns them.
        seed: of the bootstrap.
        level: of intervals and tests.
        family: tests that Holm's correction runs over.
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
        detectable=power.minimum_detectable_difference(
            counts.n, discordant, level=_first_level(level, family)
        ),
    )


def clustered_effect(
    pairs: pd.DataFrame, groups: tuple[np.ndarray, np.ndarray], level: float, family: int = 1
) -> Effect:
    """Compare two runs on identical items that are not all independent.

    Args:
        pairs: columns ``first`` and ``second``, numbers; a row an item.
        groups: of each row, (n,) and (n,), the stratum (strata weigh the same) and the cluster.
        level: of intervals and tests.
        family: tests that Holm's correction runs over.

    Raises:
        UnblindError: there is no pair.
    """
    strata, clusters = groups
    own, other = (pairs[name].to_numpy(dtype=float) for name in _RUNS)
    delta, low, high = stats.clustered_difference(own - other, strata, clusters, level)
    units, first_level = len(np.unique(clusters)), _first_level(level, family)
    detectable = power.detectable_mean(low, high, level=first_level, of_interval=level)
    # So few clusters can never reach that level.
    detectable = None if stats.least_p(units) > 1 - first_level else detectable
    return Effect(
        delta=delta,
        low=low,
        high=high,
        n=len(pairs),
        first=stats.clustered_difference(own, strata, clusters)[0],
        second=stats.clustered_difference(other, strata, clusters)[0],
        p=max(stats.clustered_p(own - other, strata, clusters), stats.least_p(units)),
        detectable=detectable,
        clusters=units,
    )


def _first_level(level: float, family: int) -> float:
    """Return the level that Holm's correction asks of the smallest p of a family."""
    return 1 - (1 - level) / max(family, 1)


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
