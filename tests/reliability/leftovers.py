"""What a killed call of the suite leaves behind: running studies and mounted disks."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

#: On the module path of every study that the suite starts, and of nothing else.
HOOK = Path(__file__).parent / "hook"


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Hold the lock of a folder; it is free again when its holder dies.

    Raises:
        SystemExit: another call holds it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.with_name(place.name + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"error: another call works in {place} (wait for its end)") from None
        yield


def clear(place: Path) -> None:
    """End the studies that still run below a folder, and unmount what is mounted there."""
    place = place.resolve()
    found = [one for one in psutil.process_iter() if _is_study(one, place)]
    for one in found:
        with contextlib.suppress(psutil.Error):
            one.kill()
    wait_gone(found)
    for disk in reversed(psutil.disk_partitions(all=True)):
        if Path(disk.mountpoint).is_relative_to(place):
            subprocess.run(["umount", disk.mountpoint], check=True)


def wait_gone(processes: Iterable[psutil.Process], patience_s: float = 60) -> None:
    """Wait until killed processes are gone, or dead and only not yet collected by init.

    Raises:
        TimeoutError: one lives on.
    """
    wait_until(lambda: not any(map(_lives, processes)), patience_s)


def wait_until(ready: Callable[[], bool], patience_s: float) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not in time.
    """
    end = time.monotonic() + patience_s
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing happened in {patience_s} s")
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _is_study(process: psutil.Process, place: Path) -> bool:
    """Tell whether the suite started a process in a tree below ``place``; a shell there is not."""
    with contextlib.suppress(psutil.Error, OSError):
        modules = process.environ().get("PYTHONPATH", "").split(os.pathsep)
        return str(HOOK) in modules and Path(process.cwd()).is_relative_to(place)
    return False
