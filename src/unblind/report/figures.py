"""What all figures share: colours that the colour-blind can tell apart, and files without a clock.

Colours are those of Okabe and Ito (2008, "Color Universal Design"); line styles and markers tell
the same once more, for print in black and white.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unblind import files
from unblind.report.stats import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Dots an inch.
RESOLUTION = 150


class Style(NamedTuple):
    """How one series is drawn."""

    color: str
    linestyle: str
    marker: str


#: Of the first, second, ... series of a figure; further ones begin again.
STYLES = (
    Style("#0072B2", "-", "o"),
    Style("#D55E00", "--", "s"),
    Style("#009E73", "-.", "^"),
    Style("#CC79A7", ":", "D"),
    Style("#E69F00", "-", "v"),
    Style("#56B4E9", "--", "P"),
    Style("#000000", "-.", "X"),
)


def style(number: int) -> Style:
    """Return the style of a series by its number."""
    return STYLES[number % len(STYLES)]


def new(
    rows: int, columns: int, width: float, height: float, widths: Sequence[float] | None = None
) -> "tuple[Figure, list]":
    """Return a figure and its panels, row by row; no window and no global state.

    Args:
        rows: of panels.
        columns: of panels.
        width: of the figure in inches.
        height: of the figure in inches.
        widths: of the columns, in proportion; equal by default.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, list(panels.flat)


def draw(
    panel: Any,
    places: Sequence[Any],
    rates: Sequence[Estimate],
    number: int,
    label: str,
    joined: bool = True,
) -> None:
    """Draw a series with its intervals.

    Args:
        panel: where.
        places: of the points along x.
        rates: values with intervals.
        number: of the series, for its style.
        label: in the legend.
        joined: whether a line leads from point to point.
    """
    values = [rate.value for rate in rates]
    # Rounding may put a bound of an interval without width beyond its value.
    below = [max(rate.value - rate.low, 0.0) for rate in rates]
    above = [max(rate.high - rate.value, 0.0) for rate in rates]
    look = {"capsize": 2, "markersize": 4, "elinewidth": 0.8, **style(number)._asdict()}
    look |= {} if joined else {"linestyle": "none"}
    panel.errorbar(places, values, [below, above], label=label, **look)


def thin(panel: Any, places: Sequence[Any], values: Sequence[float], number: int) -> None:
    """Draw a thin line of one seed below the series of a number."""
    panel.plot(places, values, color=style(number).color, linewidth=0.5)


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG; equal figures give equal bytes.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=RESOLUTION, metadata={"Software": None})
