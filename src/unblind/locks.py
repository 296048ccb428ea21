"""Locks, so that two processes never make the same thing at once.

A killed call may leave jobs behind that still work while the next call starts; two people may
start the same study. A lock is a file ``.NAME.lock`` beside what is made, held through the kernel:
it is free again when its holder dies, however that happens.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from unblind.errors import UnblindError


@contextlib.contextmanager
def alone(path: Path | str, busy: str = "") -> Iterator[None]:
    """Hold the lock of ``path`` (a file or folder that is made) while the block runs.

    Where no lock can be had (a read-only or full disk, a file system without locks) the block
    runs without one: the work itself tells what is wrong with the disk.

    Args:
        path: what is made.
        busy: what to say if another process holds it; if empty, wait for its end.

    Raises:
        UnblindError: there is another holder, and ``busy`` says what to say.
    """
    # Its fallback, a file that means a lock by being there, would outlive its holder.
    lock = FileLock(Path(path).with_name(f".{Path(path).name}.lock"), fallback_to_soft=False)
    with contextlib.suppress(OSError):
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if busy:
                remedy = "wait for its end, then run the same command"
                raise UnblindError(busy, remedy) from None
            print(f"waiting: another process makes {path}", file=sys.stderr, flush=True)
            lock.acquire()
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()  # whoever waits for it sees that and makes its own
            lock.release()
