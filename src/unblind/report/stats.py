"""Intervals for success rates."""

from collections.abc import Sequence

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from unblind.errors import UnblindError


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
    rng = np.random.default_rng(seed)
    means = np.zeros(resamples)
    for array in arrays:
        # How often each value is drawn is multinomial: no need to draw single episodes.
        values, counts = np.unique(array, return_counts=True)
        drawn = rng.multinomial(len(array), counts / len(array), size=resamples)
        means += drawn @ values / len(array)
    tail = (1 - level) / 2
    low, high = np.quantile(means / len(arrays), (tail, 1 - tail))
    return float(np.mean([array.mean() for array in arrays])), float(low), float(high)
