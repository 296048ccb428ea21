"""Figure 4: maps over a few pictures, and curves over the decoder's layers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from unblind import png
from unblind.report import by_model, figures
from unblind.report.by_model import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Columns that name a map.
ITEMS = ("frame", "condition", "prompt", "variant", "layer")
#: Runs whose maps are shown, of the instruction, undivided.
SHOWN = ("base", "default", "align")
#: Curves: heading, measure, prompt, variant, and the value of an even map.
_CURVES = (
    ("target, instruction", "target_lift", "action", "raw", 1.0),
    ("target, question, as released", "target_lift", "question", "divided", 1.0),
    ("entropy, instruction", "entropy", "action", "raw", 1.0),
    ("strongest token, instruction", "sink", "action", "raw", None),
)
#: The same where there is no model with an instruction.
_ASKED = (
    ("target, question", "target_lift", "question", "raw", 1.0),
    _CURVES[1],
    ("entropy, question", "entropy", "question", "raw", 1.0),
    ("strongest token, question", "sink", "question", "raw", None),
)
_UNITS = {
    "target_lift": "share of attention / share of area",
    "entropy": "entropy / its largest value",
    "sink": "share of the attention to the picture",
}
_CLUSTERS = ("condition", "episode_id")
#: Colours of maps by matplotlib's name, and how much of a picture they cover.
COLOURS, COVER = "viridis", 0.65
#: Inches of the headings above the pictures, and of a row of five of them as wide as there is room:
#: with fewer rows the headings take a larger share.
_HEAD, _ROW = 0.45, 1.34


class Others(NamedTuple):
    """Vision-language models of others by run: their attention, and maps of the question."""

    models: Mapping[str, Measured]
    maps: Mapping[str, Measured]


_NOBODY = Others({}, {})


class Shown(NamedTuple):
    """A row of maps, a picture each: what it is called, and the maps with their pictures."""

    label: str
    maps: pd.DataFrame


def draw(
    models: Mapping[str, Measured],
    maps: Mapping[str, Measured],
    layer: int,
    others: Others = _NOBODY,
) -> "Figure":
    """Return the figure.

    Args:
        models: attention by run.
        maps: maps of each condition's first frame by run.
        layer: of the maps.
        others: models of others, of which all is of the question; maps are of half their depth.
    """
    from matplotlib.figure import Figure

    shown = [_of_layer(maps[run], layer) for run in SHOWN if run in maps]
    shown += [_of_question(model) for model in others.maps.values()]
    columns = len(shown[0].maps) if shown else 1
    height = _HEAD + _ROW * (len(shown) + 1) if shown else 0.0
    figure = Figure(figsize=(10.0, height + 2.9), layout="constrained")
    # Room for the names of rows, which the layout measures before pictures keep their shape.
    figure.get_layout_engine().set(w_pad=0.15)
    if shown:
        above, below = figure.subfigures(2, 1, height_ratios=(height, 2.9))
        _overlays(above.subplots(len(shown) + 1, columns, squeeze=False), shown)
        told = f"attention of the instruction's last token at layer {layer}"
        above.suptitle(told if maps else "attention of the question's last token", fontsize=9)
    else:
        below = figure
    curves = _CURVES if models else _ASKED
    for axes, curve in zip(below.subplots(1, len(curves)), curves, strict=True):
        _curves(axes, {**models, **others.models}, *curve)
    handles, names = below.axes[0].get_legend_handles_labels()
    if handles:
        below.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    return figure


def _of_layer(model: Measured, layer: int, prompt: str = "action") -> Shown:
    """Return a prompt's maps at a layer, a row a picture; of several seeds, the first's."""
    frame = next(iter(model.by_seed.values()))
    wanted = (frame["prompt"] == prompt) & (frame["variant"] == "raw")
    label = model.label.split(" (")[0]
    return Shown(label, frame[wanted & (frame["layer"] == layer)].reset_index(drop=True))


def _of_question(model: Measured) -> Shown:
    """Return the question's maps of a model of others, at half of its depth."""
    layer = max(1, int(next(iter(model.by_seed.values()))["layer"].max()) // 2)
    shown = _of_layer(model, layer, "question")
    return shown._replace(label=f"{shown.label},\nquestion, layer {layer}")


def _overlays(grid: np.ndarray, shown: Sequence[Shown]) -> None:
    """Draw the pictures, and below them a row of maps a model, on one scale in all."""
    top = max(even(row).max() for one in shown for _, row in one.maps.iterrows())
    for column, row in shown[0].maps.iterrows():
        picture = png.decode(row["image"])
        mask = png.decode(row["target"])[..., 0] > 0
        for number, axes in enumerate(grid[:, column]):
            axes.imshow(picture, interpolation="nearest")
            if number:
                own = shown[number - 1].maps.iloc[column]
                _lay_over(axes, even(own), picture.shape, top)
            axes.contour(mask, levels=[0.5], colors="white" if number else "black", linewidths=0.8)
            axes.set_xticks([])
            axes.set_yticks([])
        grid[0, column].set_title(f"{row['condition']}: {row['object']}", fontsize=7)
    for number, name in enumerate(["picture", *(one.label for one in shown)]):
        grid[number, 0].set_ylabel(name, fontsize=8)
    image = grid[1, 0].images[-1]
    bar = grid[0, 0].figure.colorbar(image, ax=grid, shrink=0.8, aspect=30)
    bar.set_label("attention (even map: 1)", fontsize=7)
    bar.ax.tick_params(labelsize=7)


def even(row: Mapping[str, Any] | pd.Series) -> np.ndarray:
    """Return a map, (rows, columns), in multiples of an even one; ours are square.

    Args:
        row: ``map`` over visual tokens, row by row; ``rows`` and ``columns`` if it is no square.
    """
    flat = np.asarray(row["map"], dtype=float)
    side = round(len(flat) ** 0.5)
    return (flat * len(flat)).reshape(row.get("rows", side), row.get("columns", side))


def _lay_over(axes: "Axes", values: np.ndarray, shape: Sequence[int], top: float) -> None:
    extent = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    look = {"cmap": COLOURS, "alpha": COVER, "interpolation": "nearest"}
    axes.imshow(values, extent=extent, vmin=0, vmax=top, aspect="auto", **look)
    axes.set_aspect("equal")


def _curves(
    axes: "Axes",
    models: Mapping[str, Measured],
    heading: str,
    measure: str,
    prompt: str,
    variant: str,
    even: float | None,
) -> None:
    """Draw one measure over the layers, a curve a model with its 95 % interval."""
    for number, model in enumerate(models.values()):
        frame = model.frame
        some = frame[(frame["prompt"] == prompt) & (frame["variant"] == variant)]
        layers = sorted(some["layer"].unique())
        rates = [
            by_model.interval(some[some["layer"] == n], measure, "condition", _CLUSTERS)
            for n in layers
        ]
        known = [(n, rate) for n, rate in zip(layers, rates, strict=True) if rate]
        places, values = [n for n, _ in known], [rate for _, rate in known]
        figures.draw(axes, places, values, number, model.label)
    if even is not None:
        axes.axhline(even, color="0.5", linewidth=0.8)
    axes.set_title(heading, fontsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("decoder layer", fontsize=8)
    axes.set_ylabel(_UNITS[measure], fontsize=7)
    axes.tick_params(labelsize=7)
