"""Intervals, paired tests and effect sizes of success rates; rates are fractions.

`docs/statistics.md` says which number answers which question and what none of them covers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev
from typing import overload

import numpy as np
from scipy.special import logsumexp
from scipy.stats import binomtest, norm, t, wilcoxon
from statsmodels.stats.proportion import proportion_confint, proportion_effectsize

from unblind.errors import UnblindError

#: Significance level of every test: the highest chance of a false finding, of a whole family of
#: tests after Holm's correction.
ALPHA = 0.05
_REMEDY = "check the records"
#: Differences of per-seed rates are rounded to this many decimals before they are ranked.
_DECIMALS = 9
#: Fractions that the betting test stakes on a pair, all with the same weight: Chebyshev's nodes, so
#: that half the bets are on each side and some are nearly all or nothing. Chosen before any result.
_BETS = np.cos((np.arange(64) + 0.5) * np.pi / 64)


@dataclass(frozen=True)
class Estimate:
    """A rate, a mean or a difference of two, with its interval.

    Attributes:
        value: in the unit of what is estimated; rates are fractions.
        low, high: ends of the interval, of 95 % unless its maker was given another level.
        n: episodes, answers, pictures or other items that it is of.
    """

    value: float
    low: float
    high: float
    n: int

    def scaled(self, factor: float) -> "Estimate":
        """Return the same in another unit, of which ``factor``, above 0, make one of this."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high, self.n)


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a success rate, as fractions.

    Raises:
        UnblindError: no episodes, or not 0 <= successes <= n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise UnblindError(
            f"no interval for {successes} successes of {n} episodes", "check the records"
        )
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    return max(float(low), 0.0), min(float(high), 1.0)


def paired_bootstrap(
    outcomes: Sequence[np.ndarray],
    seed: int,
    resamples: int = 10_000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Return the mean over conditions of their mean outcomes and its percentile interval.

    Episodes are resampled with replacement within each condition; conditions are fixed, so the
    interval says nothing about other conditions or other trained policies. For the difference
    of two policies on identical episodes give the differences, episode by episode: pairs then
    stay together.

    Args:
        outcomes: one array a condition: (n,) outcomes, 0 and 1, or their differences.
        seed: of the resampling.
        resamples: number of resampled means.
        level: of the interval.

    Raises:
        UnblindError: there is no condition, or one without episodes.
    """
    arrays = [np.asarray(outcome, dtype=np.float64) for outcome in outcomes]
    if not arrays or not all(len(array) for array in arrays):
        raise UnblindError("no mean over conditions without episodes", "check the records")
    values, counts = zip(*(np.unique(array, return_counts=True) for array in arrays), strict=True)
    drawn = _drawn(seed, tuple(tuple(some.tolist()) for some in counts), resamples)
    means = np.zeros(resamples)
    for array, distinct, times in zip(arrays, values, drawn, strict=True):
        means += times @ distinct / len(array)
    tail = (1 - level) / 2
    low, high = np.quantile(means / len(arrays), (tail, 1 - tail))
    return float(np.mean([array.mean() for array in arrays])), float(low), float(high)


@lru_cache(maxsize=8)
def _drawn(seed: int, counts: tuple[tuple[int, ...], ...], resamples: int) -> list[np.ndarray]:
    """Return of each condition how often each of its values is drawn, (resamples, values).

    That is multinomial: no need to draw single episodes. Figures ask for one sample many times.
    """
    rng = np.random.default_rng(seed)
    return [
        rng.multinomial(sum(some), np.array(some) / sum(some), size=resamples) for some in counts
    ]


def clustered_rate(
    values: np.ndarray, strata: np.ndarray, clusters: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean over strata of their mean values, and its interval, as fractions.

    The interval is Wilson's for as many independent answers as give the same standard error
    (Korn and Graubard 1998); it has a width, too, where all values agree.

    Args:
        values: (n,) of 0 to 1, such as right answers.
        strata: (n,) such as kinds of question; each weighs the same.
        clusters: (n,) what values have in common, such as a picture: they are not independent.
        level: of the interval.

    Raises:
        UnblindError: there are no values.
    """
    rate, error, count = _clustered(values, strata, clusters)
    effective = rate * (1 - rate) / error**2 if error else count
    effective = min(effective, len(values))
    low, high = proportion_confint(rate * effective, effective, alpha=1 - level, method="wilson")
    return rate, max(float(low), 0.0), min(float(high), 1.0)


def clustered_difference(
    values: np.ndarray, strata: np.ndarray, clusters: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean over strata of mean differences, and its normal interval.

    Args:
        values: (n,) differences of two on the same question, -1 to 1.
        strata: see `clustered_rate`.
        clusters: see `clustered_rate`.
        level: of the interval.

    Raises:
        UnblindError: there are no values.
    """
    mean, error, _ = _clustered(values, strata, clusters)
    half = float(norm.isf((1 - level) / 2)) * error
    return mean, mean - half, mean + half


def clustered_p(values: np.ndarray, strata: np.ndarray, clusters: np.ndarray) -> float:
    """Return the two-sided p of no difference, of the normal test that fits the interval above.

    Arguments and errors are those of `clustered_difference`.
    """
    mean, error, _ = _clustered(values, strata, clusters)
    if not error:
        return 1.0 if mean == 0 else 0.0
    return float(2 * norm.sf(abs(mean) / error))


def _clustered(
    values: np.ndarray, strata: np.ndarray, clusters: np.ndarray
) -> tuple[float, float, int]:
    """Return a mean over strata, its standard error and the number of clusters.

    The error is that of the linearised estimator with clusters as units (Cochran 1977, chapters 6
    and 9A): a stratum's size is random, too.
    """
    if not len(values):
        raise UnblindError("no mean over strata without values", _REMEDY)
    names, stratum = np.unique(strata, return_inverse=True)
    units, unit = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(stratum)
    means = np.bincount(stratum, weights=values) / sizes
    pull = (values - means[stratum]) / sizes[stratum] / len(names)
    by_unit = np.bincount(unit, weights=pull)
    spread = float(by_unit @ by_unit) * len(units) / max(len(units) - 1, 1)
    return float(means.mean()), spread**0.5, len(units)


@dataclass(frozen=True)
class Spread:
    """Spread of a rate over seeds.

    Attributes:
        mean: of the seeds' rates.
        sd: their plain standard deviation (n - 1); None with one seed.
        half: half-width of Student's 95 % interval of the mean, with n - 1 degrees of freedom; None
            with one seed.
        n: seeds.
    """

    mean: float
    sd: float | None
    half: float | None
    n: int


def seed_spread(values: Sequence[float]) -> Spread:
    """Return mean and spread of one rate, or one difference of rates, a seed.

    Raises:
        UnblindError: there is no seed, or a value is not a number.
    """
    rates = _finite(values, "spread over seeds").tolist()
    n = len(rates)
    if n == 1:
        return Spread(rates[0], None, None, n)
    sd = stdev(rates)
    return Spread(fmean(rates), sd, float(t.ppf(0.975, n - 1)) * sd / n**0.5, n)


def mcnemar_exact(won: int, lost: int) -> float:
    """Return the two-sided p of the exact McNemar test.

    Under the hypothesis of equal success rates, a pair that only one of two policies solves is
    as likely won as lost: ``won`` is binomial(won + lost, 1/2). Without such pairs p is 1.

    Args:
        won: pairs of identical episodes in which the first policy alone succeeds.
        lost: pairs in which the second alone does.

    Raises:
        UnblindError: a count is negative.
    """
    _check_pairs(won, lost)
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def e_process(differences: Sequence[float]) -> np.ndarray:
    """Return the e-value after each pair: the evidence that one of two policies is better.

    Each of 64 players starts with 1 and stakes a fixed fraction of what it has, from nearly all on
    the second policy to nearly all on the first: a stake of b makes it 1 + b d times as much after
    a difference d. The e-value is their mean. If no policy is better than the other, no player can
    hope to gain, so the chance that it ever reaches 1 / alpha is at most alpha, however often and
    long one looks (Ville's inequality; Waudby-Smith and Ramdas 2024, "Estimating means of bounded
    random variables by betting"). For successes it is a function of the pairs won and lost alone,
    up to 127 of them 2**(won + lost) B(won + 1/2, lost + 1/2) / pi, the bets of Krichevsky and
    Trofimov (1981).

    Args:
        differences: (n,) first minus second outcome of each pair in order, -1 to 1.

    Raises:
        UnblindError: there is no pair, or a difference that is no number from -1 to 1.
    """
    delta = _finite(differences, "betting test")
    if np.abs(delta).max() > 1:
        raise UnblindError(f"no betting test of differences beyond 1: {delta.tolist()}", _REMEDY)
    wealth = np.log1p(np.outer(_BETS, delta)).cumsum(axis=1)
    return np.exp(logsumexp(wealth, axis=0)) / len(_BETS)


def wilcoxon_greater(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the one-sided p of Wilcoxon's signed-rank test on per-seed success rates.

    Small where ``first`` is greater. This is the test of the paper's appendix A.5. Seeds with
    equal rates are left out; if all are equal, p is 1. With n seeds left p is at least
    1 / 2**n, so one seed gives no less than 0.5. It is exact for up to 13 seeds, and for up to
    50 without ties; beyond that the normal approximation with continuity correction.

    Args:
        first: one rate a seed.
        second: the other policy's rates, same seeds in the same order.

    Raises:
        UnblindError: no seeds, not the same number of them, or a value that is not a number.
    """
    own, other = (_finite(values, "Wilcoxon test") for values in (first, second))
    if len(own) != len(other):
        raise UnblindError(f"no Wilcoxon test of {len(own)} against {len(other)} seeds", _REMEDY)
    # Rates of few episodes tie often; in floating point 0.3 - 0.2 and 0.2 - 0.1 would not.
    delta = np.round(own - other, _DECIMALS)
    delta = delta[delta != 0]
    return float(wilcoxon(delta, alternative="greater").pvalue) if len(delta) else 1.0


@overload
def holm(p: Mapping[str, float]) -> dict[str, float]: ...
@overload
def holm(p: Sequence[float]) -> list[float]: ...
def holm(p: Mapping[str, float] | Sequence[float]) -> dict[str, float] | list[float]:
    """Return Holm's step-down adjusted p of one family of tests, in the given order.

    An adjusted p below 1 - level is a finding while the chance of any false finding in the
    family stays below 1 - level, however the tests depend on each other (Holm 1979).

    Args:
        p: of every test of the family, by name or in a row; none gives none.

    Raises:
        UnblindError: a p is not within 0 and 1.
    """
    if isinstance(p, Mapping):
        return dict(zip(p, holm(list(p.values())), strict=True))
    if not all(0 <= value <= 1 for value in p):
        raise UnblindError(f"a p-value is not within 0 and 1: {list(p)}", _REMEDY)
    order, n = np.argsort(p), len(p)
    adjusted = np.empty(n)
    # Each of the ordered p, times how many are as large at least, and no smaller than those before.
    adjusted[order] = np.maximum.accumulate(np.take(p, order) * np.arange(n, 0, -1))
    return np.minimum(adjusted, 1).tolist()


def cohens_h(first: float, second: float) -> float:
    """Return Cohen's h, 2 asin sqrt(first) - 2 asin sqrt(second), from -pi to pi.

    A difference of rates on a scale on which it is equally hard to detect everywhere; Cohen
    (1988, chapter 6) calls 0.2 small, 0.5 medium and 0.8 large.

    Raises:
        UnblindError: a rate is not within 0 and 1.
    """
    if not (0 <= first <= 1 and 0 <= second <= 1):
        raise UnblindError(f"no effect size of rates {first} and {second}", _REMEDY)
    return float(proportion_effectsize(first, second))


def least_p(units: int) -> float:
    """Return the smallest two-sided p that a sign test over so many independent units can give.

    Where few units happen to agree, a normal test has no error and its p is 0: it is not to be
    believed below this.
    """
    return min(1.0, 2.0 ** (1 - units))


def _check_pairs(won: int, lost: int) -> None:
    if won < 0 or lost < 0:
        raise UnblindError(f"no comparison with {won} pairs won and {lost} lost", _REMEDY)


def _finite(values: Sequence[float], what: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not len(array) or not np.isfinite(array).all():
        raise UnblindError(f"no {what} of {array.tolist()}", _REMEDY)
    return array
