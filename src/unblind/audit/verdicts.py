"""The rules that turn a claim and our numbers into a verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scipy.stats import norm

from unblind.audit.measure import Effect
from unblind.custody.stored import Origin
from unblind.report.render import percent, signed
from unblind.report.stats import Estimate

Verdict = Literal[
    "reproduced",
    "cached",
    "contradicted",
    "inconclusive",
    "confirmed",
    "not confirmed",
    "same setting",
    "not comparable",
    "not run",
]
#: Every verdict in the order of the pages, with its meaning.
VERDICTS: Mapping[Verdict, str] = {
    "reproduced": "our measurement agrees, and its interval says so",
    "cached": "it agrees as well, but the records were pulled, not made here",
    "contradicted": "our measurement says the opposite, and its interval says so",
    "inconclusive": "our interval leaves both answers open",
    "confirmed": "the paper contradicts itself: its own numbers show it",
    "not confirmed": "a suspected contradiction that the paper's numbers do not show",
    "same setting": "a setting of the experiments that our configuration shares",
    "not comparable": "a value of another scale; ours is shown for orientation",
    "not run": "no records of what it speaks of",
}

#: The unit of differences of rates; other quantities have a word of their own.
POINTS = "points"
#: Printed with every verdict of a study that is not at the paper's scale.
REMARK = (
    "The models of this scale have a few million parameters. How one method compares with another "
    "here is no evidence about models of 7 billion parameters."
)


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reason in a sentence."""

    verdict: Verdict
    why: str


def of_value(
    printed: float, spread: float | None, ours: Estimate, z: float, level: float, scale: str
) -> Judgement:
    """Judge a printed success rate; all rates are fractions.

    Two values agree within z standard errors of their difference: ours by the interval, the
    paper's by the printed spread (0 where none is printed).

    Args:
        printed: the paper's value.
        spread: its printed spread.
        ours: our rate.
        z: multiple of the standard error.
        level: of our interval.
        scale: of the study.
    """
    if scale != "paper":
        return Judgement(
            "not comparable",
            f"published values, of models of 7 B parameters, are not comparable at scale '{scale}'",
        )
    reach = z * (spread or 0.0)
    error = (ours.high - ours.low) / (2 * _quantile(level))
    tolerance = z * math.hypot(error, spread or 0.0)
    delta = ours.value - printed
    said = f"{signed(delta)} points from the printed value"
    if abs(delta) <= tolerance:
        return Judgement("reproduced", f"{said}, within {percent(tolerance, 1)}")
    if not ours.low - reach <= printed <= ours.high + reach:
        return Judgement("contradicted", f"{said}, which lies outside our interval and its spread")
    return Judgement("inconclusive", f"{said}: beyond {percent(tolerance, 1)}, not beyond doubt")


def of_ordering(
    effect: Effect, p_holm: float, margin: float, level: float, unit: str = POINTS
) -> Judgement:
    """Judge the claim that the first run has more than the second by more than ``margin``.

    Args:
        effect: of the first against the second.
        p_holm: its p adjusted over the table's or figure's orderings.
        margin: fraction.
        level: 1 minus the level of significance.
        unit: of the effect; see `amount`.
    """
    chance = f"p after Holm {_p(p_holm)}"
    significant = p_holm < 1 - level
    if effect.low > margin and significant:
        return Judgement("reproduced", f"the interval lies above {_whole(margin, unit)}; {chance}")
    if effect.high < -margin and significant:
        return Judgement(
            "contradicted", f"the interval lies below {_whole(-margin, unit)}; {chance}"
        )
    if effect.detectable is None:
        return Judgement("inconclusive", f"{chance}; these pairs can detect no difference")
    power = f"so many pairs detect {amount(effect.detectable, unit)} with a power of 80 %"
    return Judgement("inconclusive", f"{chance}; {power}")


def of_collapse(
    effect: Effect,
    p_holm: float,
    share: float,
    excess: tuple[float, float, float],
    level: float,
) -> Judgement:
    """Judge the claim that the second run reaches less than a share of the first's success.

    Args:
        effect: of the first against the second.
        p_holm: its p adjusted over the table's orderings.
        share: fraction of the first's success rate that the second stays below.
        excess: by how much the second lies above it, with interval.
        level: 1 minus the level of significance.
    """
    _, low, high = excess
    verdict: Verdict = "inconclusive"
    # Where all episodes agree the interval has no width: few of them would be enough.
    if high < 0 and p_holm < 1 - level:
        verdict = "reproduced"
    elif low > 0:
        verdict = "contradicted"
    return Judgement(
        verdict,
        f"{percent(effect.second, 1)} % against {percent(effect.first, 1)} %: "
        f"{signed(low)} to {signed(high)} points above {percent(share)} % of it",
    )


def with_origin(judgement: Judgement, origin: Origin) -> Judgement:
    """Say of a verdict on pulled records that it is one; agreement is then 'cached'."""
    if origin == "recomputed":
        return judgement
    verdict = "cached" if judgement.verdict == "reproduced" else judgement.verdict
    return Judgement(verdict, f"cached, from pulled records: {judgement.why}")


def amount(value: float, unit: str) -> str:
    """Return a number without its sign and with its unit: points are hundredths."""
    return f"{percent(value, 1)} {unit}" if unit == POINTS else f"{value:.3f} {unit}"


def difference(value: float, unit: str) -> str:
    """Return a difference with its sign, without its unit; no minus zero."""
    return signed(value) if unit == POINTS else f"{round(value, 3) + 0.0:+.3f}"


def _whole(fraction: float, unit: str) -> str:
    return f"{100 * fraction + 0.0:.0f} {unit}" if unit == POINTS else f"{fraction + 0.0:g} {unit}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _quantile(level: float) -> float:
    return float(norm.ppf((1 + level) / 2))
