"""What the stages of a study took, beside what was expected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unblind.audit.html import anchor
from unblind.config import Config
from unblind.costs import formulas, measured
from unblind.costs.measured import Cost
from unblind.errors import UnblindError
from unblind.site.numbers import Number
from unblind.study.jobs import Job


@dataclass(frozen=True)
class Line:
    """What one stage, or one of its runs, takes.

    Attributes:
        name: of the line.
        expected: CPU-seconds by formula; None: no formula.
        cost: as measured; None: something of it is not run, or was made with other settings.
        number: the measured CPU-seconds with the records whose sidecars tell them.
    """

    name: str
    expected: float | None
    cost: Cost | None
    number: Number | None


def lines(config: Config) -> list[Line]:
    """Return the stages of a study, but those that render pages; damaged sidecars do not count."""
    each = formulas.needs(config)
    return [_line(name, made_by, each) for name, made_by in measured.lines(config).items()]


def _line(name: str, made_by: Sequence[Job], each: Mapping[str, formulas.Need]) -> Line:
    listed = list(made_by)
    expected = each[name].times(measured.count(listed)).cpu_s if name in each else None
    try:
        cost = measured.measure(listed)
    except UnblindError:
        cost = None
    if cost is None:
        return Line(name, expected, None, None)
    number = Number(
        id=anchor(name, "cost"),
        what=f"Cost of {name}: CPU-seconds",
        text=f"{cost.cpu_s:,.0f}",
        n=f"{measured.count(listed)} job{'s' if measured.count(listed) != 1 else ''}",
        records=tuple(path for job in listed for path in job.outputs),
        command="unblind costs",
    )
    return Line(name, expected, cost, number)
