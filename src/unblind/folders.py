"""New folders that are there whole or not at all."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
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
    with files.explained(folder), locks.alone(folder, busy=f"another process makes {folder}"):
        for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.mkdir(parents=True)
            yield temporary
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something already.

    Raises:
        UnblindError: it does, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UnblindError(f"{folder} already holds something", "name a folder that is not there")
