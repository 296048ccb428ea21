"""What a check of a defect finds."""

from collections.abc import Callable
from typing import NamedTuple


class Outcome(NamedTuple):
    """Both behaviours, as computed.

    Attributes:
        released: what the released rule does.
        corrected: what the fixed rule does with the same input.
        shown: whether the numbers show the defect, and that the fixed rule is free of it.
    """

    released: str
    corrected: str
    shown: bool


Check = Callable[[], Outcome]


def by_name(*checks: Check) -> dict[str, Check]:
    """Return the checks by the names of their functions."""
    return {check.__name__: check for check in checks}
