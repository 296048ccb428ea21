"""From which layer on the named board is read: the second half of Table 3's page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from unblind.config import Config
from unblind.report import by_model, figures
from unblind.report.by_model import Measured, Row
from unblind.report.stats import ALPHA, Estimate, clustered_rate, holm

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of three boards: one, and all three one after the other, by guessing.
CHANCES: Mapping[str, float] = {"right": 1 / 3, "all_right": 1 / 27}
#: What is counted, and what the page calls it.
MEASURES: Mapping[str, str] = {
    "right": "named board read right",
    "all_right": "all three boards of a frame read right",
}
_ITEMS = ("domain", "episode_id", "style", "site", "place")
_CLUSTERS = ("domain", "episode_id")


@dataclass(frozen=True)
class Reading:
    """Where more than chance is read from a model.

    Attributes:
        label: of the model.
        above: sites, first to last, by Holm's test over all of them.
        best: the site at which most is read.
        rate: there.
    """

    label: str
    above: Sequence[str]
    best: str
    rate: Estimate


def load(config: Config) -> dict[str, Measured]:
    """Return the records of all models that are there.

    Raises:
        UnblindError: one is corrupt or of another configuration, or two are of other frames.
    """
    return by_model.load(config, "probe", _ITEMS, tuple(MEASURES), output=1)


def context(models: Mapping[str, Measured]) -> dict[str, Any]:
    """Return what the template shows."""
    if not models:
        return {"readings": []}
    frame = next(iter(models.values())).frame
    sites = list(dict.fromkeys(frame["site"]))
    one = frame[frame["site"] == sites[0]]
    return {
        "sites": sites,
        "frames": len(one) // 3,
        "ids": one.groupby(list(_CLUSTERS), observed=True).ngroups,
        "measures": MEASURES,
        "chances": CHANCES,
        "rows": {name: rows(models, name, sites) for name in MEASURES},
        "readings": [reading(model, sites) for model in models.values()],
        "changes": [change(*pair, sites) for pair in by_model.pairs(models)],
        "alpha": ALPHA,
    }


def rows(models: Mapping[str, Measured], measure: str, sites: Sequence[str]) -> list[Row]:
    """Return one of `MEASURES`, a line a model and a cell a site."""
    return [
        Row(model.label, [rate(_at(model.frame, site), measure) for site in sites])
        for model in models.values()
    ]


def rate(some: pd.DataFrame, measure: str) -> Estimate | None:
    """Return a share with its interval: domains weigh the same, episode ids are drawn."""
    return by_model.interval(some, measure, "domain", _CLUSTERS, clustered_rate)


def reading(model: Measured, sites: Sequence[str]) -> Reading:
    """Return where more than chance is read from a model's states."""
    beyond = model.frame.assign(right=model.frame["right"] - CHANCES["right"])
    at = [_at(beyond, site) for site in sites]
    p = holm([by_model.p_value(some, "right", "domain", _CLUSTERS) for some in at])
    rates = {site: rate(_at(model.frame, site), "right") for site in sites}
    above = [
        site
        for site, adjusted in zip(sites, p, strict=True)
        if adjusted < ALPHA and rates[site].value > CHANCES["right"]
    ]
    best = max(sites, key=lambda site: rates[site].value)
    return Reading(model.label, above, best, rates[best])


def change(first: Measured, second: Measured, sites: Sequence[str]) -> by_model.Change:
    """Return how much more is read right from the first of two models; sites are a family."""
    delta = first.minus(second)
    deltas = {(first.label, second.label): {site: _at(delta, site) for site in sites}}
    (found,) = by_model.changes(deltas, "right", "domain", _CLUSTERS)
    return found


def _at(frame: pd.DataFrame, site: str) -> pd.DataFrame:
    return frame[frame["site"] == site]


def draw(models: Mapping[str, Measured]) -> "Figure":
    """Return the figure: both measures over the sites, a curve a model."""
    figure, panels = figures.new(1, len(MEASURES), 9.0, 3.4)
    for panel, (measure, name) in zip(panels, MEASURES.items(), strict=True):
        for number, model in enumerate(models.values()):
            sites = list(dict.fromkeys(model.frame["site"]))
            rates = [rate(_at(model.frame, site), measure) for site in sites]
            figures.draw(panel, range(len(sites)), rates, number, model.label)
            panel.set_xticks(range(len(sites)), ["E", *range(1, len(sites))])
        panel.axhline(CHANCES[measure], color="0.5", linewidth=0.8)
        panel.set_ylim(0, 1.02)
        panel.set_title(name, fontsize=9)
        panel.set_xlabel("E embedding, 1 ... decoder block", fontsize=8)
        panel.set_ylabel("share", fontsize=8)
        panel.tick_params(labelsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure
