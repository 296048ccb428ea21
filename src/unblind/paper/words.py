"""Words that follow from numbers, for sentences of the report."""

from collections.abc import Iterable, Mapping
from typing import Literal

from unblind.report.differences import Paired
from unblind.report.render import percent, signed

Comparison = Literal["more", "fewer", "no clear difference"]
#: What differences are printed with.
MINUS = "−"  # noqa: RUF001
_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SMALL += ("ten", "eleven", "twelve")


def comparison(low: float, high: float, margin: float = 0.0) -> Comparison:
    """Return what an interval of a difference says: an end on the margin decides nothing.

    Args:
        low, high: ends of the interval.
        margin: smallest difference that counts, not negative.
    """
    if low > margin:
        return "more"
    return "fewer" if high < -margin else "no clear difference"


def points(fraction: float) -> str:
    """Return a difference of fractions in percentage points, with a real minus sign."""
    return signed(fraction).replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """Return the ends of an interval of a difference in percentage points, in brackets."""
    return f"[{points(low)}, {points(high)}]"


def rate(value: float, low: float, high: float) -> str:
    """Return a rate in percent with its interval."""
    return f"{percent(value)} % [{percent(low)}, {percent(high)}]"


def success(first: str, second: str, where: str, paired: Paired) -> str:
    """Return in a clause whether one run succeeds more often than another on the same episodes.

    Args:
        first, second: labels of the runs.
        where: of which episodes, such as 'in distribution'.
        paired: the first's success minus the second's.
    """
    clause = {
        "more": f"{first} succeeds more often than {second} {where}",
        "fewer": f"{first} succeeds less often than {second} {where}",
        "no clear difference": f"there is no clear difference between {first} and {second} {where}",
    }[comparison(paired.low, paired.high)]
    bounds = interval(paired.low, paired.high)
    won_and_lost = (
        f"won {whole(paired.won)} and lost {whole(paired.lost)} of {whole(paired.n)} pairs"
    )
    return f"{clause} ({points(paired.delta)} points {bounds}; {won_and_lost})"


def often(group: str, paired: Paired) -> str:
    """Return in a few words whether the first of two runs succeeds more often in a group."""
    told = {"more": "more often", "fewer": "less often"}
    found = comparison(paired.low, paired.high)
    return f"{group} {told.get(found, found)}"


def chance(p: float) -> str:
    """Return a p-value with three decimals."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def whole(number: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return how many there are of something, small numbers in words.

    Args:
        number: not negative.
        noun: of one.
        plural: of several; default: with an s.
    """
    amount = _SMALL[number] if number < len(_SMALL) else whole(number)
    return f"{amount} {noun if number == 1 else plural or noun + 's'}"


def listed(items: Iterable[object]) -> str:
    """Return items as a list in a sentence: 'a', 'a and b', 'a, b and c'."""
    *first, last = [*map(str, items)] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def tally(counts: Mapping[str, int]) -> str:
    """Return verdicts with their numbers as a list in a sentence, those that occur.

    Args:
        counts: by verdict, in the order of the list.
    """
    return listed(f"{whole(number)} {verdict}" for verdict, number in counts.items() if number)


def sentence(clause: str) -> str:
    """Return a clause as a sentence: with a capital letter and a full stop."""
    return f"{clause[:1].upper()}{clause[1:]}."
