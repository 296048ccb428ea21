"""Do two studies agree within noise? Paired tests of the same runs' episodes, here and there.

Another processor changes the last digits of a training, and with them some episodes of its policy,
either way alike: that is noise. A study that was made in another way shifts success.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unblind.audit.compare import Cell
from unblind.report import power, stats
from unblind.report.render import signed

LEVEL = 0.95
#: How many of the comparisons that differ the verdict names.
_NAMED = 3


@dataclass(frozen=True)
class Comparison:
    """Success at the last step of one run, there and here; episodes of all seeds.

    Attributes:
        name: the run, or ``run/condition``.
        differences: for each condition (n,) differences, theirs minus ours: -1, 0 or 1.
        p: of the exact McNemar test, by Holm adjusted over all comparisons.
    """

    name: str
    differences: tuple[np.ndarray, ...]
    p: float

    @property
    def differs(self) -> bool:
        """Whether success differs by more than chance explains."""
        return self.p < 1 - LEVEL


def comparisons(cells: Iterable[Cell]) -> list[Comparison]:
    """Compare each run as a whole and in each condition, on the episodes that both studies have.

    Args:
        cells: as `compare.compare` returns them.
    """
    groups: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        if cell.n:
            run, _, condition = cell.record.split("/")
            for name in (run, f"{run}/{condition}"):
                groups.setdefault(name, {}).setdefault(condition, []).append(cell)
    pairs = {name: tuple(map(_differences, by.values())) for name, by in groups.items()}
    p = stats.holm({name: stats.mcnemar_exact(*_alone(some)) for name, some in pairs.items()})
    return [Comparison(name, some, p[name]) for name, some in pairs.items()]


def report(compared: Sequence[Comparison], seed: int) -> str:
    """Return a line for each run and each condition that differs, and the verdict in the last.

    Args:
        compared: all comparisons of two studies.
        seed: of the bootstrap.
    """
    if not compared:
        return "verdict: nothing to compare: no episode of both"
    lines = ["success on the same episodes, theirs minus ours:"]
    shown = (one for one in compared if one.differs or "/" not in one.name)
    lines += [_line(one, seed, len(compared)) for one in shown]
    differing = [one.name for one in sorted(compared, key=lambda one: one.p) if one.differs]
    verdict = "agree within noise"
    if differing:
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        verdict = f"differ in {', '.join(differing[:_NAMED])}{more}"
    elif not any(pairs.any() for one in compared for pairs in one.differences):
        verdict = "the same success in every episode"
    lines.append(f"verdict: {verdict} ({len(compared)} paired tests, Holm)")
    return "\n".join(lines)


def _line(one: Comparison, seed: int, family: int) -> str:
    """Return a comparison with what it could have shown: the smallest difference at power 80 %."""
    delta, low, high = map(signed, stats.paired_bootstrap(one.differences, seed, level=LEVEL))
    (won, lost), n = _alone(one.differences), sum(map(len, one.differences))
    level = 1 - (1 - LEVEL) / family
    least = power.minimum_detectable_difference(n, (won + lost) / n, level=level)
    would_show = "no difference" if least is None else f"{100 * least:.1f} points"
    return (
        f"{one.name:<28}{delta} points [{low}, {high}]; {won} won, {lost} lost of {n}; "
        f"p = {one.p:.3f}; {would_show} would have shown"
    )


def _differences(cells: list[Cell]) -> np.ndarray:
    won, lost = (sum(c.theirs_alone for c in cells), sum(c.ours_alone for c in cells))
    return np.repeat([1, -1, 0], [won, lost, sum(cell.n for cell in cells) - won - lost])


def _alone(differences: Iterable[np.ndarray]) -> tuple[int, int]:
    """Return how many episodes they alone solve, and how many we alone do."""
    pairs = np.concatenate(list(differences))
    return int((pairs > 0).sum()), int((pairs < 0).sum())
