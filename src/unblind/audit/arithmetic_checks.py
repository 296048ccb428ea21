"""Checks of the paper's printed numbers against each other.

Each compares two statements and returns whether they exclude each other, and the numbers. All
rates are fractions.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from statistics import fmean

from pydantic import validate_call
from scipy.stats import norm, spearmanr

from unblind.errors import UnblindError, near
from unblind.report.printed import PublishedTable, Suite
from unblind.report.published import Claims

#: Whether the statements exclude each other, and the numbers.
Outcome = tuple[bool, str]
Check = Callable[..., Outcome]

SUITES: tuple[Suite, ...] = ("semantic", "vision", "execution")
# A mean of rates that are rounded to two digits is off by up to 0.005, and so is its own rounding.
ROUNDING = 0.01
EPSILON = 1e-9

CHECKS: dict[str, Check] = {}
"""Check by its name in the claims' file."""


def _check(function: Check) -> Check:
    CHECKS[function.__name__] = validate_call(function)
    return function


def _table(claims: Claims, key: str) -> PublishedTable:
    if key not in claims.tables:
        raise UnblindError(f"there is no table '{key}'", f"tables: {', '.join(claims.tables)}")
    return claims.tables[key]


def _number(claims: Claims, name: str) -> float:
    numbers = {number.id: number.value for number in claims.text}
    if name not in numbers:
        cause = f"there is no number '{name}' of the text{near(name, numbers)}"
        raise UnblindError(cause, "fix paper/claims.yaml")
    return numbers[name]


def _p(table: PublishedTable, row: str, suite: Suite) -> float:
    """Return the printed p value, of '<0.01' the lower end."""
    p = table.row(row).p.get(table.headings(suite)[0])
    if p is None:
        raise UnblindError(f"{table.location} has no p value of '{row}'", "name another row")
    return 0.0 if isinstance(p, str) else p


def _means(table: PublishedTable, row: str) -> list[float]:
    """Return the means of the three groups."""
    return [table.mean(row, table.headings(suite)) for suite in SUITES]


def _agree(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(a - b) <= ROUNDING + EPSILON for a, b in zip(first, second, strict=True))


def _listed(numbers: Sequence[float], digits: int) -> str:
    return " / ".join(f"{number:.{digits}f}" for number in numbers)


@_check
def printed_twice(claims: Claims, row: str, tables: list[str]) -> Outcome:
    """One run's cells differ between tables."""
    printed = [_table(claims, key) for key in tables]
    conflicts = []
    for column in printed[0].columns:
        means = [table.mean(row, [column]) for table in printed]
        if len(set(means)) > 1:
            pairs = zip(means, printed, strict=True)
            conflicts.append(
                f"{column}: " + ", ".join(f"{v:.2f} in {t.location}" for v, t in pairs)
            )
    return bool(conflicts), "; ".join(conflicts) or "the same value in every table"


@_check
def summary_differs(claims: Claims, summary: str, row: str, full: str, full_row: str) -> Outcome:
    """A summary's group rates are not the means of the full table, however they were rounded."""
    printed = _means(_table(claims, summary), row)
    computed = _means(_table(claims, full), full_row)
    detail = f"printed {_listed(printed, 2)}, mean of the conditions {_listed(computed, 3)}"
    return not _agree(printed, computed), f"{detail} (semantic / vision / execution)"


@_check
def summary_of_another(
    claims: Claims, summary: str, row: str, full: str, full_row: str, other: str
) -> Outcome:
    """A summary's row is not the mean of its own full row, but of another one."""
    printed = _means(_table(claims, summary), row)
    own, others = (_means(_table(claims, full), key) for key in (full_row, other))
    detail = f"printed {_listed(printed, 2)}, own mean {_listed(own, 3)}"
    detail += f", mean of {_table(claims, full).row(other).label} {_listed(others, 3)}"
    return not _agree(printed, own) and _agree(printed, others), detail


@_check
def summary_of_none(claims: Claims, summary: str, row: str, full: str) -> Outcome:
    """A summary's row is the mean of no row of the full table."""
    printed, table = _means(_table(claims, summary), row), _table(claims, full)
    means = {entry.label: _means(table, key) for key, entry in table.rows.items()}

    def distance(label: str) -> float:
        return max(abs(a - b) for a, b in zip(printed, means[label], strict=True))

    nearest = min(means, key=distance)
    detail = f"printed {_listed(printed, 2)}, nearest mean {_listed(means[nearest], 3)} ({nearest})"
    return not any(_agree(printed, mean) for mean in means.values()), detail


@_check
def twins(claims: Claims, table: str, first: str, second: str) -> Outcome:
    """Two rows share more than half of their cells, and no other pair does."""
    rows = _table(claims, table).rows

    def shared(mine_key: str, theirs_key: str) -> int:
        mine, theirs = (_table(claims, table).row(key).cells for key in (mine_key, theirs_key))
        return sum(mine[column][0] == theirs[column][0] for column in mine)

    count, total = shared(first, second), len(_table(claims, table).columns)
    others = max(
        shared(*pair) for pair in itertools.combinations(rows, 2) if set(pair) != {first, second}
    )
    detail = f"{count} of {total} rates are equal; no other two rows share more than {others}"
    return count > total / 2 >= others, detail


@_check
def gain_exceeds(claims: Claims, table: str, better: str, worse: str, text: str) -> Outcome:
    """A group's relative gain is above the largest that the text names."""
    named = _number(claims, text)
    means = [_means(_table(claims, table), key) for key in (better, worse)]
    gains = [high / low - 1 for high, low in zip(*means, strict=True)]
    shown = ", ".join(f"{s} {100 * g:.1f} %" for s, g in zip(SUITES, gains, strict=True))
    # A gain that rounds to the named one is no contradiction.
    return max(gains) >= named + 0.005, f"up to {100 * named:.0f} % named; relative gains: {shown}"


@_check
def not_best(
    claims: Claims,
    table: str,
    claimed: str,
    rival: str,
    suites: Sequence[Suite] = (),
    columns: Sequence[str] = (),
) -> Outcome:
    """Another row has a higher rate than the one called best, in every group or column named."""
    printed = _table(claims, table)
    places = {suite: printed.headings(suite) for suite in suites}
    places |= {column: [column] for column in columns}
    labels = [printed.row(key).label for key in (claimed, rival)]
    rival_wins, parts = True, []
    for scope, headings in places.items():
        mine, theirs = printed.mean(claimed, headings), printed.mean(rival, headings)
        rival_wins &= theirs > mine + EPSILON
        parts.append(f"{scope}: {labels[0]} {mine:.3f}, {labels[1]} {theirs:.3f}")
    return rival_wins and bool(parts), "; ".join(parts)


@_check
def significantly_worse(
    claims: Claims, table: str, rival: str, suite: Suite, level: float
) -> Outcome:
    """The one-sided p value of 'best beats rival' is so large that its reverse is significant."""
    p = _p(_table(claims, table), rival, suite)
    detail = f"p = {p:.2f} that the best row beats it, so about {1 - p:.2f} for the reverse"
    return p > level, f"{detail}; significant below {1 - level:.2f}"


@_check
def p_against_difference(claims: Claims, table: str, best: str, row: str, suite: Suite) -> Outcome:
    """A row has the lower rate, but the one-sided p value of 'best beats it' is above one half."""
    printed, p = _table(claims, table), _p(_table(claims, table), row, suite)
    high, low = (printed.mean(key, printed.headings(suite)) for key in (best, row))
    detail = f"{low:.2f} against {high:.2f}, yet p = {p:.2f} that the best row beats it"
    return low < high - EPSILON and p > 0.5, detail


@_check
def p_against_spread(
    claims: Claims, summary: str, row: str, full: str, best: str, suite: Suite, seeds: str
) -> Outcome:
    """The printed p value is far above what difference, spreads and number of seeds allow.

    A mean's spread over seeds is at most the mean of its conditions' spreads, and that of a
    difference at most the sum of both; so the z computed here is the least possible one.
    """
    p, table = _p(_table(claims, summary), row, suite), _table(claims, full)
    headings, n = table.headings(suite), _number(claims, seeds)
    difference = table.mean(best, headings) - table.mean(row, headings)
    spread = sum(_mean_spread(table, key, headings) for key in (best, row))
    z = difference / (spread / math.sqrt(n))
    largest = float(norm.sf(z))
    detail = f"difference {difference:.3f}, spread at most {spread:.3f} over {n:.0f} seeds: z at "
    detail += f"least {z:.1f}, p at most {largest:.0e}; printed p = {p:.2f}"
    # Two orders of magnitude leave room for ranks in place of means.
    return p > 100 * largest, detail


def _mean_spread(table: PublishedTable, row: str, headings: Sequence[str]) -> float:
    spreads = [table.row(row).cells[heading][1] for heading in headings]
    if any(spread is None for spread in spreads):
        raise UnblindError(f"{table.location} prints no spread of '{row}'", "name another row")
    return fmean(spread for spread in spreads if spread is not None)


@_check
def spread_too_small(claims: Claims, table: str, episodes: str) -> Outcome:
    """Most spreads are below the binomial SD of a seed's rate, even if rounded down."""
    n, cells = _number(claims, episodes), []
    for row in _table(claims, table).rows.values():
        cells += [(rate, spread) for rate, spread in row.cells.values() if spread is not None]
    binomial = [math.sqrt(rate * (1 - rate) / n) for rate, _ in cells]
    small = sum(spread + 0.005 < sd for (_, spread), sd in zip(cells, binomial, strict=True))
    detail = f"{small} of {len(cells)} spreads are below the binomial SD of {n:.0f} episodes"
    mean = fmean(spread for _, spread in cells)
    return small > len(cells) / 2, f"{detail}; on average {mean:.3f} against {fmean(binomial):.3f}"


@_check
def listed(claims: Claims, text: str, table: str) -> Outcome:
    """The text lists another number of variants than the table has rows."""
    named, rows = _number(claims, text), _table(claims, table).rows
    labels = ", ".join(row.label for row in rows.values())
    return named != len(rows), f"{named:.0f} in the text, {len(rows)} in the table: {labels}"


@_check
def rises(claims: Claims, table: str, rows: list[str], suite: Suite) -> Outcome:
    """A group's rate rises from each row to the next."""
    printed = _table(claims, table)
    means = [printed.mean(row, printed.headings(suite)) for row in rows]
    labels = [printed.row(row).label for row in rows]
    steps = ", ".join(f"{m:.3f} at {name}" for m, name in zip(means, labels, strict=True))
    return all(b > a + EPSILON for a, b in itertools.pairwise(means)), f"{suite}: {steps}"


@_check
def text_differs(claims: Claims, text: str, other: float, because: str) -> Outcome:
    """A number of the text differs from the one that follows from elsewhere."""
    named = _number(claims, text)
    return named != other, f"{named:g} in the text, {other:g} is the {because}"


@_check
def variant_missing(claims: Claims, table: str, endings: list[str], frozen_mlp: str) -> Outcome:
    """A row has no counterpart with the other ending."""
    rows, missing = _table(claims, table).rows, []
    ending, other = endings
    # The frozen MLP is the paper's method and has its name.
    known = {*rows, f"projector-mlp{ending}"} if frozen_mlp in rows else set(rows)
    for row in sorted(known):
        for mine, theirs in ((ending, other), (other, ending)):
            twin = row.removesuffix(mine) + theirs
            if row.endswith(mine) and twin not in known:
                missing.append(twin.removeprefix("projector-"))
    return bool(missing), f"missing: {', '.join(missing) or 'none'}"


@_check
def no_correlation(claims: Claims, table: str, sizes: dict[str, float], strong: float) -> Outcome:
    """Spearman's correlation of a model's size with its mean rate is not strong."""
    printed = _table(claims, table)
    means = [printed.mean(row, printed.columns) for row in sizes]
    rho = float(spearmanr(list(sizes.values()), means).statistic)
    pairs = zip(sizes, means, strict=True)
    shown = ", ".join(f"{printed.row(row).label} {mean:.3f}" for row, mean in pairs)
    return rho < strong, f"Spearman's rank correlation {rho:.2f}; means: {shown}"


@_check
def drop_within_spread(claims: Claims, table: str, before: str, after: str, column: str) -> Outcome:
    """A drop is smaller than the sum of the two printed spreads."""
    printed = _table(claims, table)
    high, low = (printed.mean(key, [column]) for key in (before, after))
    spread = sum(_mean_spread(printed, key, [column]) for key in (before, after))
    detail = f"{column}: {high:.2f} to {low:.2f}, a drop of {high - low:.2f}"
    return high - low < spread - EPSILON, f"{detail}; sum of the spreads {spread:.2f}"


@_check
def below(
    claims: Claims, table: str, rows: list[str], columns: list[str], text: str, most: float
) -> Outcome:
    """More than a share of cells lie below chance by over two spreads.

    Args:
        claims: the published numbers.
        table, rows, columns: the cells.
        text: number of equally likely choices.
        most: the share.
    """
    printed, chance = _table(claims, table), 1 / _number(claims, text)
    low, shown = 0, []
    for row, column in itertools.product(rows, columns):
        value, spread = printed.mean(row, [column]), _mean_spread(printed, row, [column])
        low += value + 2 * spread < chance
        shown.append(f"{printed.row(row).label} {column} {value:.2f} ± {spread:.2f}")
    detail = f"{low} of {len(shown)} lie below {chance:.3f} by over two spreads"
    return low > most * len(shown), f"{detail}: {', '.join(shown)}"


@_check
def gap_open(claims: Claims, table: str, teacher: str, after: str, before: list[str]) -> Outcome:
    """Less than half of the gap to the teacher is closed, seen from each row named."""
    printed = _table(claims, table)
    goal, reached = (printed.mean(key, printed.columns) for key in (teacher, after))
    closed = {}
    for key in before:
        start = printed.mean(key, printed.columns)
        closed[printed.row(key).label] = (reached - start) / (goal - start)
    shown = ", ".join(f"{100 * share:.0f} % from {name}" for name, share in closed.items())
    return all(share < 0.5 for share in closed.values()), f"closed: {shown}"
