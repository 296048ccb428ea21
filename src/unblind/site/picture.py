"""The picture of the headline: differences in success with their intervals, beside the paper's."""

from collections.abc import Sequence
from dataclasses import dataclass

from unblind.report.differences import GROUPS, Difference

#: Sizes in pixels: the picture, the strip for names, and a line.
WIDTH, LEFT, RIGHT, LINE, TOP = 460, 148, 14, 40, 30
#: The least and the finest reach of the axis, in points.
_LEAST, _STEP = 10, 10


@dataclass(frozen=True)
class Mark:
    """A line of the picture.

    Attributes:
        group: of conditions.
        y: its middle.
        low, at, high: the interval and the difference on the axis.
        paper: where the paper's difference lies, if it prints one.
    """

    group: str
    y: int
    low: float
    at: float
    high: float
    paper: float | None


@dataclass(frozen=True)
class Picture:
    """What is drawn, in pixels.

    Attributes:
        height: of the picture.
        zero: where no difference lies.
        ticks: points and their places.
        marks: a line for each group of conditions.
    """

    height: int
    zero: float
    ticks: Sequence[tuple[int, float]]
    marks: Sequence[Mark]


def draw(one: Difference) -> Picture:
    """Return the picture of one comparison, on an axis that is as long to either side."""
    told = [100 * abs(v) for pair in one.groups.values() for v in (pair.low, pair.high)]
    told += [100 * abs(value) for value in one.published.values()]
    reach = max(_LEAST, -(-max(told, default=0) // _STEP) * _STEP)
    scale = (WIDTH - LEFT - RIGHT) / (2 * reach)

    def at(fraction: float) -> float:
        return round(LEFT + (100 * fraction + reach) * scale, 1)

    marks = []
    for group in GROUPS:
        if group in one.groups:
            pair, paper = one.groups[group], one.published.get(group)
            y = TOP + LINE * len(marks) + LINE // 2
            places = (at(pair.low), at(pair.delta), at(pair.high))
            marks.append(Mark(group, y, *places, None if paper is None else at(paper)))
    step = int(reach / 2) if reach <= 2 * _STEP else int(-(-reach // (2 * _STEP)) * _STEP)
    ends = range(-(int(reach) // step) * step, int(reach) + 1, step)
    ticks = [(value, at(value / 100)) for value in ends]
    return Picture(TOP + LINE * len(marks) + 34, at(0), ticks, marks)
