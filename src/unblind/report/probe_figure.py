"""The figure of Table 3: what is read at each place of the model, a curve a model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unblind.report import figures
from unblind.report.probes import MEASURES, Measure, Probed
from unblind.report.stats import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colour and dashes of what is read at one place alone: a level line.
_LEVELS = {"teacher": ("#555555", (0, (5, 1))), "pixels": ("#555555", (0, (1, 1)))}
#: Sideways distance of two curves, so that intervals do not hide each other; sites are 1 apart.
_DODGE = 0.07


def draw(
    models: Mapping[str, Probed],
    references: Mapping[str, Probed],
    shown: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
    chances: Mapping[str, float],
) -> "Figure":
    """Return the figure.

    Args:
        models: probed at every site.
        references: the same, or at one place of their own: then a level line.
        shown: rates by measure, model and site.
        chances: by measure, what needs no picture.
    """
    figure, panels = figures.new(2, 3, 11, 6.4)
    for axes, measure in zip(panels, MEASURES, strict=True):
        _panel(axes, measure, {**models, **references}, shown[measure.key], chances[measure.key])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


def _panel(
    axes: "Axes",
    measure: Measure,
    probed: Mapping[str, Probed],
    rates: Mapping[str, Mapping[str, Estimate]],
    chance: float,
) -> None:
    sites = max((model.sites for model in probed.values()), key=len)
    curves = [name for name, model in probed.items() if len(model.sites) > 1]
    for number, name in enumerate(curves):
        off = (number - (len(curves) - 1) / 2) * _DODGE
        places = [place + off for place in range(len(sites))]
        values = [rates[name][site].scaled(measure.scale) for site in sites]
        figures.draw(axes, places, values, number, probed[name].label)
    for name, (color, dash) in _LEVELS.items():
        (rate,) = rates[name].values()
        label = probed[name].label
        axes.axhline(measure.scale * rate.value, color=color, linestyle=dash, lw=1, label=label)
    axes.axhline(measure.scale * chance, color="#BBBBBB", linewidth=1, label="without a picture")
    axes.set_xticks(range(len(sites)), [_short(site) for site in sites])
    axes.set_xlabel("tokens of: T tower, P projector, 1 ... decoder block", fontsize=8)
    n = next(iter(next(iter(rates.values())).values())).n
    axes.set_ylabel(measure.title, fontsize=8)
    axes.set_title(f"{measure.key} (n = {n})", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)


def _short(site: str) -> str:
    return {"tower": "T", "projector": "P"}.get(site, site.removeprefix("block "))
