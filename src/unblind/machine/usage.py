"""What this process and its descendants have used of the machine."""

import contextlib
import resource
from pathlib import Path

import psutil


def cpu_seconds() -> float:
    """Return the CPU-seconds so far of this process and all its descendants, dead or alive."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def peak_memory_mib() -> int:
    """Return the peak resident memory in MiB: this process plus its descendants' peaks."""
    own = psutil.Process()
    living = sum(_peak_kib(child.pid) for child in own.children(recursive=True))
    dead = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + max(living, dead)) // 1024


def _peak_kib(process: int) -> int:
    """Return a living process's peak resident memory in KiB, 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
