"""Locks, so that two processes never make the same thing at once.

A killed call may leave jobs behind that still work while the next call starts; two people may
start the same study. A lock is a file ``.NAME.lock`` next to what is made, held through the kernel:
it is free again when its holder dies, however that happens.
"""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

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
    lock_file = Path(path).with_name(f".{Path(path).name}.lock")
    held = None
    with contextlib.suppress(OSError):
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        held = _take(lock_file, wait=False)
        if held is None and busy:
            raise UnblindError(busy, "wait for its end, then run the same command")
        if held is None:
            print(f"waiting: another process makes {path}", file=sys.stderr, flush=True)
            held = _take(lock_file, wait=True)
    try:
        yield
    finally:
        if held:
            with contextlib.suppress(OSError):
                lock_file.unlink()
            held.close()


def _take(file: Path, wait: bool) -> TextIO | None:
    """Return the locked file, None if another process holds it and ``wait`` is false."""
    while True:
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(open(file, "a"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            # The last holder deletes the file: a lock on a deleted one keeps nobody out.
            if _is_at(lock, file):
                stack.pop_all()
                return lock


def _is_at(lock: TextIO, file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(file))
    return False
