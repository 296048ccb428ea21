"""Limits of time: a part that has used up its own stops early, and what was measured is kept."""

import time
from collections.abc import Callable, Iterator

Seconds = Callable[[], float]


class OutOfTime(Exception):
    """A part had to leave something out."""


class Budget:
    """Seconds that may still be spent.

    Args:
        seconds: from now on.
        clock: seconds that only grow.
    """

    def __init__(self, seconds: float, clock: Seconds = time.monotonic) -> None:
        self._clock, self._end = clock, clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left, not below 0."""
        return max(0.0, self._end - self._clock())

    def part(self, seconds: float) -> "Budget":
        """Return the budget of a part: at most ``seconds``, at most what is left."""
        return Budget(min(seconds, self.left), self._clock)

    def rounds(self, most: int) -> Iterator[int]:
        """Yield 0, 1, ... below ``most``, as long as another round of the longest kind fits.

        The first round always takes place.
        """
        longest = 0.0
        for number in range(most):
            if number and longest >= self.left:
                return
            start = self._clock()
            yield number
            longest = max(longest, self._clock() - start)
