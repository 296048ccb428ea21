"""Writing files so that nothing is ever half-written."""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unblind.errors import UnblindError

# The last three: a file is where a folder is needed, or the other way round.
_NOT_WRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM)
_NOT_WRITABLE += (errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
_POINTER = b"version https://git-lfs.github.com/spec/"


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it onto ``path`` if the block succeeds.

    On failure the temporary file is removed and ``path`` stays as it was. The file gets the
    permissions of any new file (the process's umask), whatever those of its writer are:
    safetensors makes files that only their owner can read.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = _mode_of_new(temporary)
            yield temporary
            temporary.chmod(mode)
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _mode_of_new(path: Path) -> int:
    """Return the permissions that a new file gets here; the umask cannot be read otherwise."""
    path.touch(exist_ok=False)
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Translate the disk errors that a user can fix while ``path`` is written.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except UnblindError:
        raise
    except Exception as error:
        number = _errno(error)
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            cause = f"disk full while writing {path}"
            raise UnblindError(cause, "free space, then run the same command") from error
        if number in _NOT_WRITABLE:
            cause = f"cannot write {path}: {os.strerror(number)}"
            raise UnblindError(cause, "choose a writable folder") from error
        raise


def _errno(error: Exception) -> int | None:
    """Return the system's number of a disk error; safetensors tells it in its text alone."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else getattr(error, "errno", None)


def check_writable(folder: Path | str) -> None:
    """Refuse a folder that is there but takes no files.

    Raises:
        UnblindError: it lies on a read-only disk, or belongs to somebody else.
    """
    if Path(folder).is_dir() and not os.access(folder, os.W_OK):
        raise UnblindError(f"cannot write into {folder}", "make it writable, or choose another one")


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as sorted, indented JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def refuse_pointer(path: Path | str) -> None:
    """Refuse what Git LFS leaves in the place of a large file that it has not fetched.

    Raises:
        UnblindError: the file is such a pointer.
    """
    with open(path, "rb") as handle:
        if handle.read(len(_POINTER)) == _POINTER:
            raise UnblindError(f"{path} is a Git LFS pointer, not the file", "run: git lfs pull")


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
