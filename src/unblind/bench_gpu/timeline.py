"""Where the time of a step goes: marks at the borders of its parts, on the device's own clock.

A mark says "from here on it is this part". All of a step's time belongs to exactly one part, so
parts add up to the step. On a GPU marks are CUDA events, which cost it nothing.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

#: An instant: a CUDA event, or seconds.
Mark = Any


class Clock:
    """Instants on a device.

    Args:
        device: a CUDA device, or the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> Mark:
        """Return the instant at which the device has done what it was told so far."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def wait(self) -> None:
        """Wait until the device has done everything."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def ms(self, start: Mark, end: Mark) -> float:
        """Return the milliseconds between two instants; see :meth:`wait`."""
        if self._device.type == "cuda":
            return start.elapsed_time(end)
        return 1000 * (end - start)

    def timed(self, work: Callable[[], object], times: int = 1) -> float:
        """Return the milliseconds of one of ``times`` calls in a row; the device idles before."""
        self.wait()
        start = self.now()
        for _ in range(times):
            work()
        end = self.now()
        self.wait()
        return self.ms(start, end) / times


class Timeline:
    """Marks of some steps.

    Args:
        clock: of the device.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: list[tuple[str, Mark]] = []
        self._steps: list[tuple[list[tuple[str, Mark]], Mark]] = []

    def mark(self, part: str) -> None:
        """Say that ``part`` begins."""
        self._marks.append((part, self._clock.now()))

    def end_step(self) -> None:
        """Say that the step ends; the device is not waited for."""
        self._steps.append((self._marks, self._clock.now()))
        self._marks = []

    def milliseconds(self) -> list[Counter[str]]:
        """Return the milliseconds of each step's parts (waits for the device)."""
        self._clock.wait()
        return [self._spent(marks, end) for marks, end in self._steps]

    def _spent(self, marks: list[tuple[str, Mark]], end: Mark) -> Counter[str]:
        spent: Counter[str] = Counter()
        ends = [instant for _, instant in marks[1:]] + [end]
        for (part, start), stop in zip(marks, ends, strict=True):
            spent[part] += self._clock.ms(start, stop)
        return spent
