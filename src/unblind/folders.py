"""New folders that are there whole or not at all."""

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from unblind import files, locks
from unblind.errors import UnblindError


@contextlib.contextmanager
def new(folder: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; give it that name if the block succeeds.

    On failure nothing is left behind; what a killed process left is removed by the next one.

    Args:
        folder: must not exist, or be empty.

    Raises:
        UnblindError: the folder holds something, another process makes it, the disk is full or
            the folder above cannot be written.
    """
    folder = Path(folder)
    check_free(folder)
    with _beside(folder) as temporary:
        yield temporary
        temporary.replace(folder)


@contextlib.contextmanager
def replaced(folder: Path | str, check: Callable[[Path], None]) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; put it in its place if the block succeeds.

    What is there stays until the new one is whole, and on failure. Two renames follow each other:
    who is killed between them leaves no folder, and the next call makes it.

    Args:
        folder: need not exist.
        check: called with the folder if it is not free (`check_free`); refuses it with an error.

    Raises:
        UnblindError: what ``check`` raises, or as for `new`.
    """
    folder = Path(folder)
    with _beside(folder) as temporary:
        _check_replaced(folder, check)
        yield temporary
        old = temporary.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        _check_replaced(folder, check)  # what was put there meanwhile
        if folder.exists():
            folder.replace(old)
        try:
            temporary.replace(folder)
        except BaseException:
            if old.exists():
                old.replace(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _check_replaced(folder: Path, check: Callable[[Path], None]) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        check_free(folder)
        raise UnblindError(f"{folder} is a link", "name the folder that it leads to")
    if folder.is_dir() and any(folder.iterdir()):
        check(folder)


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside another, alone; remove it, and what killed ones have left."""
    with files.explained(folder), locks.alone(folder, busy=f"another process makes {folder}"):
        for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.mkdir(parents=True)
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something already.

    Raises:
        UnblindError: it does, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UnblindError(f"{folder} already holds something", "name a folder that is not there")
