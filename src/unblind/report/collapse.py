"""Figure 5 and its page: how far apart models keep objects of different classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from unblind.config import Config
from unblind.report import by_model, figures
from unblind.report.by_model import Change, Measured, Row
from unblind.report.page import write_page
from unblind.report.published import PAPER
from unblind.report.render import render
from unblind.report.stats import ALPHA, Estimate, clustered_difference, clustered_rate
from unblind.study.jobs import Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Tokens whose classes are told apart, and what the page calls them; the first are drawn.
TOKENS: Mapping[str, str] = {
    "object": "visual tokens of the object",
    "picture": "all visual tokens",
    "prompt": "last token of the prompt",
    "released": "as released: what stands at the word's index (a patch)",
}
MEASURES: Mapping[str, str] = {
    "silhouette": "silhouette",
    "right": "nearest neighbours right",
    "overlap": "overlap",
}
#: Columns of a record that name an item, and those that hold numbers.
ITEMS = ("frame", "episode_id", "class", "tokens", "layer")
VALUES = (*MEASURES, "x", "y")
#: What is drawn independently, and what weighs the same.
CLUSTERS, STRATA = ("episode_id",), "class"


def page(config: Config) -> list[Path]:
    """Write ``collapse.md`` and ``figure5.png``; return their paths.

    Raises:
        UnblindError: a record is missing, corrupt or of another configuration, or the disk is full.
    """
    job = Job(config, "figure5")
    models = by_model.load(config, "collapse", ITEMS, VALUES)
    models |= by_model.load(config, "answerer_collapse", ITEMS, VALUES)
    template = PAPER / "templates" / "collapse.md.j2"
    inputs = [*(path for model in models.values() for path in model.paths), template]
    contents = (render("collapse.md.j2", context(config, models)), draw(config, models))
    return [
        write_page(config, "figure5", path, content, inputs)
        for path, content in zip(job.outputs, contents, strict=True)
    ]


def context(config: Config, models: Mapping[str, Measured]) -> dict[str, Any]:
    """Return what the template shows."""
    layers, classes = config.collapse.layers, config.collapse.classes
    first = next(iter(models.values())).frame if models else pd.DataFrame({"frame": []})
    return {
        "classes": classes,
        "layers": layers,
        "n": first["frame"].nunique(),
        "neighbours": config.collapse.neighbours,
        "prompt": config.collapse.prompt,
        "measures": MEASURES,
        "tables": {
            (tokens, measure): rows(models, tokens, measure, layers)
            for tokens in TOKENS
            for measure in MEASURES
        },
        "names": TOKENS,
        "changes": changes(models, layers),
        "chance": 1 / len(classes),
        "alpha": ALPHA,
    }


def rows(
    models: Mapping[str, Measured], tokens: str, measure: str, layers: Sequence[int]
) -> list[Row]:
    """Return one measure, a line a model and a cell a layer."""
    return [
        Row(model.label, [estimate(of(model.frame, tokens, n), measure) for n in layers])
        for model in models.values()
    ]


def of(frame: pd.DataFrame, tokens: str, layer: int) -> pd.DataFrame:
    """Return the rows of one kind of tokens at one layer."""
    return frame[(frame["tokens"] == tokens) & (frame["layer"] == layer)]


def estimate(some: pd.DataFrame, measure: str) -> Estimate | None:
    """Return a measure's mean: classes weigh the same, episodes are drawn.

    Shares have Wilson's form of interval, silhouettes the normal one.
    """
    of = clustered_difference if measure == "silhouette" else clustered_rate
    return by_model.interval(some, measure, STRATA, CLUSTERS, of)


def changes(models: Mapping[str, Measured], layers: Sequence[int]) -> list[Change]:
    """Return how the silhouette of the object's tokens differs, layer by layer."""
    deltas = {}
    for first, second in by_model.pairs(models):
        delta = first.minus(second)
        deltas[first.label, second.label] = {n: of(delta, "object", n) for n in layers}
    return by_model.changes(deltas, "silhouette", STRATA, CLUSTERS)


def draw(config: Config, models: Mapping[str, Measured]) -> "Figure":
    """Return the t-SNE of the object's tokens: a row a model, a column a layer."""
    layers, classes = config.collapse.layers, config.collapse.classes
    count, width = max(len(models), 1), len(layers)
    figure, panels = figures.new(count, width, 2.3 * width + 0.6, 2.0 * count + 0.7)
    for row, model in enumerate(models.values()):
        line = panels[row * width : (row + 1) * width]
        # A t-SNE has no meaning but that of one model: of several seeds, the first's.
        frame = next(iter(model.by_seed.values()))
        for axes, layer in zip(line, layers, strict=True):
            some = of(frame, "object", layer)
            for number, name in enumerate(classes):
                mine, look = some[some["class"] == name], figures.style(number)
                axes.scatter(
                    *(mine["x"], mine["y"]),
                    **{"s": 14, "alpha": 0.8, "linewidths": 0, "label": name},
                    **{"color": look.color, "marker": look.marker},
                )
            mean = estimate(some, "silhouette")
            axes.set_title(f"layer {layer}, silhouette {mean.value:.2f}", fontsize=8)
        line[0].set_ylabel(model.label.split(" (")[0], fontsize=9)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    return figure
