"""Power of the tests in `stats`: which difference so many pairs, or an interval, can find."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, norm

from unblind.errors import UnblindError

#: Tail of the number of discordant pairs that the power leaves out.
_RARE = 1e-9
#: Width of an interval up to which it has none: what rounding leaves of equal values.
_NO_WIDTH = 1e-9


def mcnemar_power(
    n_pairs: int, discordant_share: float, difference: float, level: float = 0.95
) -> float:
    """Return the chance that `stats.mcnemar_exact` finds a difference: p below 1 - level.

    The number of discordant pairs is binomial; given it, so is the number won. Exact but for
    numbers of discordant pairs that occur once in a billion times.

    Args:
        n_pairs: pairs of identical episodes.
        discordant_share: fraction of pairs that exactly one policy solves. Two rates cannot
            differ by more than that, so a larger ``difference`` raises it to its own size.
        difference: true difference of the two success rates, -1 to 1.
        level: of the test.

    Raises:
        UnblindError: no pairs, or a share or a difference out of range.
    """
    if n_pairs < 1 or not (0 <= discordant_share <= 1 and -1 <= difference <= 1):
        raise UnblindError(
            f"no power for {n_pairs} pairs, a share of {discordant_share} of them discordant, "
            f"and a difference of {difference}",
            "give at least one pair, a share of 0 to 1, and a difference of -1 to 1",
        )
    share = max(discordant_share, abs(difference))
    if share == 0:
        return 0.0
    fewest, most = binom.ppf((_RARE, 1 - _RARE), n_pairs, share).astype(int)
    discordant = np.arange(max(fewest, 1), most + 1)
    wins_needed = binom.isf((1 - level) / 2, discordant, 0.5) + 1
    chance_of_win = (share + difference) / (2 * share)
    power = binom.sf(wins_needed - 1, discordant, chance_of_win)
    power += binom.cdf(discordant - wins_needed, discordant, chance_of_win)
    return float(binom.pmf(discordant, n_pairs, share) @ power)


def minimum_detectable_difference(
    n_pairs: int, discordant_share: float, power: float = 0.8, level: float = 0.95
) -> float | None:
    """Return the smallest difference of success rates that n pairs detect, as a fraction.

    It is the difference at which `mcnemar_power` reaches ``power``. None if no difference does:
    at level 0.95 with fewer than 6 pairs. For a test that Holm adjusts in a family of m, give
    level 1 - 0.05 / m: that suffices, whatever the other tests say.

    Args:
        n_pairs: pairs of identical episodes.
        discordant_share: fraction of pairs that exactly one policy solves, as observed.
        power: wanted chance of detection, above 1 - level.
        level: of the test.

    Raises:
        UnblindError: no pairs, or a share or the power out of range.
    """
    if not 1 - level < power < 1:
        raise UnblindError(
            f"no test of level {level} has power {power}", "give a power such as 0.8"
        )

    def missing(difference: float) -> float:
        return power - mcnemar_power(n_pairs, discordant_share, difference, level)

    return None if missing(1.0) > 0 else float(brentq(missing, 0.0, 1.0, xtol=1e-6))


def detectable_mean(
    low: float, high: float, power: float = 0.8, level: float = 0.95, of_interval: float = 0.95
) -> float | None:
    """Return the smallest mean difference that a two-sided normal test finds.

    It is (z of level + z of power) standard errors; the error is taken from a normal interval.
    None for an interval without width (below 1e-9): it tells no error.

    Args:
        low, high: the interval.
        power: wanted chance of detection.
        level: of the test; see `minimum_detectable_difference` for tests that Holm adjusts.
        of_interval: level of the interval.

    Raises:
        UnblindError: the interval is reversed.
    """
    if high < low:
        raise UnblindError(f"no error of the interval [{low}, {high}]", "check the records")
    if high - low < _NO_WIDTH:
        return None
    error = (high - low) / (2 * norm.isf((1 - of_interval) / 2))
    return float((norm.isf((1 - level) / 2) + norm.ppf(power)) * error)
