"""What jobs are expected to need, and how such numbers are printed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Need:
    """What a stage, or one of its jobs, is expected to need; None: nothing, or not known.

    Attributes:
        stage: its name (`measured.line_of`).
        amount: what is done, in numbers.
        cpu_s: CPU-seconds.
        gpu_s: seconds of one GPU.
        gpu_bytes: memory of a GPU.
        disk: bytes that stay (paper scale alone).
    """

    stage: str
    amount: str
    cpu_s: float | None = None
    gpu_s: float | None = None
    gpu_bytes: float | None = None
    disk: float | None = None

    def times(self, jobs: int) -> "Need":
        """Return what so many jobs of this kind need; a GPU's memory is that of one."""
        if jobs == 1:
            return self
        sums = {key: getattr(self, key) for key in ("cpu_s", "gpu_s", "disk")}
        scaled = {key: value * jobs for key, value in sums.items() if value is not None}
        return replace(self, amount=f"{jobs} jobs of {self.amount}", **scaled)


def total(needs: Iterable[Need], stage: str = "together") -> Need:
    """Return the sum of needs under one name; the memory is that of the largest."""
    listed = list(needs)

    def over(key: str, function: Callable[[list[float]], float] = sum) -> float | None:
        known = [getattr(need, key) for need in listed if getattr(need, key) is not None]
        return function(known) if known else None

    sums = {key: over(key) for key in ("cpu_s", "gpu_s", "disk")}
    return Need(stage, "", gpu_bytes=over("gpu_bytes", max), **sums)


def hours(seconds: float | None) -> str:
    """Return seconds in hours with three significant digits at least; '-' for None."""
    if seconds is None:
        return "-"
    number = seconds / 3600
    return f"{number:,.0f}" if number >= 100 else f"{number:.{1 if number >= 10 else 3}f}"


def size(count: float | None) -> str:
    """Return bytes in decimal units; '-' for None."""
    if count is None:
        return "-"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
