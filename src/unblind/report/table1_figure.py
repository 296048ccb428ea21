"""The figure of Table 1: success by condition, and differences of runs on the same episodes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from unblind.report import figures
from unblind.report.differences import GROUPS, Difference
from unblind.report.stats import Estimate
from unblind.report.summary import COLUMN_OF, COLUMNS, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Sideways distance of two rows' points; columns are 1 apart.
_DODGE = 0.17


def draw(rows: Sequence[Row], compared: Sequence[Difference]) -> "Figure":
    """Return the figure: success of each row left, differences right, all in percent.

    Args:
        rows: of the table, those of models; what was not run is left out.
        compared: the table's differences.
    """
    figure, (success, changes) = figures.new(1, 2, 13, 4.4, widths=(14, 5))
    shown = [row for row in rows if row.cells]
    _draw_success(success, shown)
    names = [row.name for row in shown]
    told = {one.name.partition(" - ")[0]: one for one in compared if one.groups}
    _draw_changes(changes, {names.index(name): one for name, one in told.items() if name in names})
    for panel in (success, changes):
        panel.tick_params(labelsize=8)
    handles, labels = success.get_legend_handles_labels()
    more = changes.get_legend_handles_labels()
    figure.legend(
        [*handles, *more[0]],
        [*labels, *more[1]],
        **{"loc": "outside lower center", "ncols": 8, "fontsize": 8, "frameon": False},
    )
    return figure


def _draw_success(panel: "Axes", rows: Sequence[Row]) -> None:
    columns = list(COLUMN_OF.values())
    for number, row in enumerate(rows):
        told = [column for column in columns if column in row.cells]
        places = [columns.index(column) + _aside(number, len(rows)) for column in told]
        cells = [row.cells[column] for column in told]
        rates = [Estimate(cell.rate, cell.low, cell.high, cell.n).scaled(100) for cell in cells]
        figures.draw(panel, places, rates, number, row.label, joined=False)
    ends = [len(group) for group in COLUMNS.values()]
    for end in (sum(ends[: n + 1]) for n in range(len(ends) - 1)):
        panel.axvline(end - 0.5, color="#BBBBBB", linewidth=0.8)
    panel.set_xticks(range(len(columns)), columns, rotation=35, ha="right")
    counts = sorted({cell.n for row in rows for cell in row.cells.values()}) or [0]
    n = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    panel.set_title(f"success at the last step in percent, {n} episodes a point", fontsize=9)
    panel.set_ylim(-2, 102)


def _draw_changes(panel: "Axes", compared: Mapping[int, Difference]) -> None:
    """Draw differences in the look of the row whose number leads to each."""
    groups = list(GROUPS)
    panel.axhline(0, color="#BBBBBB", linewidth=0.8)
    for line, (number, one) in enumerate(compared.items()):
        told = [group for group in groups if group in one.groups]
        aside = _aside(line, len(compared))
        pairs = [one.groups[group] for group in told]
        rates = [Estimate(pair.delta, pair.low, pair.high, pair.n).scaled(100) for pair in pairs]
        label = f"{one.first} - {one.second}"
        places = [groups.index(group) + aside for group in told]
        figures.draw(panel, places, rates, number, label, joined=False)
        printed = [groups.index(group) + aside for group in one.published]
        values = [100 * value for value in one.published.values()]
        color = figures.style(number).color
        panel.scatter(printed, values, marker="_", s=90, color=color)
    panel.set_xticks(range(len(groups)), groups, rotation=35, ha="right")
    panel.set_title("difference, points (dash: the paper's)", fontsize=9)


def _aside(number: int, count: int) -> float:
    """Return how far beside its column the point of a row lies."""
    return (number - (count - 1) / 2) * _DODGE
