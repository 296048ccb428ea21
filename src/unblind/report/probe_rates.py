"""What linear probes read: rates and errors by site, and differences of two models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from unblind.report.probes import ASPECT, CONCEPTS, MEASURES, Measure, Probed, chosen, groups
from unblind.report.stats import (
    ALPHA,
    Estimate,
    clustered_difference,
    clustered_p,
    clustered_rate,
    holm,
    seed_spread,
)

#: What is compared: the first minus the second, on the same pictures.
PAIRS = (
    ("base", "vlm"),
    ("default", "base"),
    ("freeze", "base"),
    ("align", "base"),
    ("align", "default"),
)


@dataclass(frozen=True)
class Difference:
    """Two models at every site, on the same pictures.

    Attributes:
        labels: of both; the second is subtracted.
        runs: their names.
        measure: what is compared.
        sites: by site, the mean difference with its interval.
        differing: sites at which Holm's test over all sites finds one.
        by_seed: at the study's site, the difference of each training seed; empty with one.
    """

    labels: tuple[str, str]
    runs: tuple[str, str]
    measure: Measure
    sites: Mapping[str, Estimate]
    differing: tuple[str, ...]
    by_seed: tuple[float, ...]

    def verdict(self, site: str) -> Literal["better", "worse", "no difference seen"]:
        """Return what the interval at a site says of the first model."""
        rate, sign = self.sites[site], 1 if self.measure.kind == "rate" else -1
        if rate.low <= 0 <= rate.high:
            return "no difference seen"
        return "better" if sign * rate.value > 0 else "worse"


def rates(model: Probed, measure: Measure) -> dict[str, Estimate]:
    """Return by site how much is read, with 95 % intervals; looks weigh the same.

    What is drawn or portrayed several times is one cluster: its pictures are not independent.
    """
    function = clustered_rate if measure.kind == "rate" else clustered_difference
    return {site: _estimate(function, some, measure) for site, some in _by_site(model, measure)}


def spread(model: Probed, measure: Measure, site: str) -> float | None:
    """Return the standard deviation over training seeds at a site; None with one seed."""
    means = [
        float(chosen(frame, measure, site)[measure.column].mean())
        for frame in model.by_seed.values()
    ]
    return seed_spread(means).sd


def chance(model: Probed, measure: Measure) -> float:
    """Return what needs no picture: one name for all, or the mean place of all test pictures."""
    _, some = next(_by_site(model, measure))
    if measure.kind == "rate":
        return 1 / some["name"].nunique()
    if measure.column == "place":
        x, y = some["column"] - some["column"].mean(), some["row"] - some["row"].mean()
        return float(np.hypot(x, ASPECT * y).mean())
    values = some[f"{measure.column}_cm"]
    return float((values - values.mean()).abs().mean())


def differences(models: Mapping[str, Probed], site: str) -> list[Difference]:
    """Return those of `PAIRS` whose models were probed, for each measure.

    Args:
        models: by run.
        site: at which seeds are told apart.
    """
    return [
        _difference(models[first], models[second], measure, site)
        for measure in MEASURES
        for first, second in PAIRS
        if first in models and second in models
    ]


def _difference(first: Probed, second: Probed, measure: Measure, site: str) -> Difference:
    by_site = {name: some for name, some in _by_site(first, measure, second)}
    p = holm({name: _call(clustered_p, some, measure) for name, some in by_site.items()})
    seeds = []
    if len(first.by_seed) > 1:
        for seed, frame in first.by_seed.items():
            other = second.by_seed.get(seed, second.frame)
            some = _minus(chosen(frame, measure, site), other, measure)
            seeds.append(float(some[measure.column].mean()))
    return Difference(
        (first.label, second.label),
        (first.run, second.run),
        measure,
        {name: _estimate(clustered_difference, some, measure) for name, some in by_site.items()},
        tuple(name for name in by_site if p[name] < ALPHA),
        tuple(seeds),
    )


def _by_site(
    model: Probed, measure: Measure, other: Probed | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each site, or the differences to another model's."""
    for site in model.sites:
        some = chosen(model.frame, measure, site)
        yield site, some if other is None else _minus(some, other.frame, measure)


def _minus(some: pd.DataFrame, other: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Return rows with the values of another model's same rows subtracted."""
    column = measure.column
    return some.assign(**{column: some[column] - other.loc[some.index, column]})


def _estimate(function: Any, some: pd.DataFrame, measure: Measure) -> Estimate:
    return Estimate(*_call(function, some, measure), len(some))


def _call(function: Any, some: pd.DataFrame, measure: Measure) -> Any:
    return function(some[measure.column].to_numpy(dtype=float), *groups(some))


def sentence(found: Sequence[Difference], site: str) -> str:
    """Return in one sentence what the concepts' probe says at a site of the two comparisons."""
    told = [
        one
        for pair in (("default", "base"), ("align", "default"))
        for one in found
        if one.runs == pair and one.measure is CONCEPTS
    ]
    if not told:
        return "Without the base, Default and Align there is nothing to compare."
    text = "; ".join(_clause(one, site) for one in told) + "."
    return text[0].upper() + text[1:]


def _clause(one: Difference, site: str) -> str:
    first, second = one.labels
    rate, points = one.sites[site], [100 * v for v in (one.sites[site].low, one.sites[site].high)]
    words = {
        "better": f"more is read from {first} than from {second}",
        "worse": f"less is read from {first} than from {second}",
        "no difference seen": f"no difference is seen between {first} and {second}",
    }[one.verdict(site)]
    return (
        f"at {site} {words} ({100 * rate.value:+.1f} points [{points[0]:+.1f}, {points[1]:+.1f}])"
    )
