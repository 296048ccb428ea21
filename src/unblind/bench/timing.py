"""Times of calls that take turns, so that whatever slows the machine slows all of them."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Calls = Mapping[str, Callable[[], object]]


def wall_s() -> float:
    """Return seconds of a clock, once a GPU has done what it was told."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def turns(
    calls: Calls,
    steps: int,
    rounds: int,
    end: float = float("inf"),
    clock: Callable[[], float] = wall_s,
    before: Calls | None = None,
) -> dict[str, list[float]]:
    """Return milliseconds of a call, one number a round.

    Args:
        calls: what is timed, by name.
        steps: calls in a row, whose mean is a round's number.
        rounds: how often each has its turn.
        end: by `time.monotonic`, when no other round begins; the first one always does.
        clock: seconds.
        before: what is done before the calls of that name, untimed.
    """
    took: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        if number and time.monotonic() > end:
            break
        for name, call in calls.items():
            if before:
                before[name]()
            start = clock()
            for _ in range(steps):
                call()
            took[name].append(1000 * (clock() - start) / steps)
    return took


def cpu_ms(calls: Calls, steps: int, rounds: int, before: Calls | None = None) -> dict[str, float]:
    """Return CPU-milliseconds of this process a call, medians over rounds (see :func:`turns`)."""
    took = turns(calls, steps, rounds, clock=time.process_time, before=before)
    return {name: statistics.median(numbers) for name, numbers in took.items()}
