"""What a source of assets holds: a folder, or an archive that is read without being unpacked.

Names of an archive's members are never used as paths: they are compared, and contents are asked
for. One that leads out of the archive is refused all the same, for no release has such a member.
"""

import contextlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from unblind.errors import UnblindError

_NOT_READABLE = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError)
_NOT_READABLE += (zipfile.BadZipFile, tarfile.TarError)
_FETCH = "fetch it again, or unpack it and name the folder"


class SourceError(UnblindError):
    """A source that cannot be read; others may still hold what lacks."""


@dataclass(frozen=True)
class Member:
    """A file of a source.

    Attributes:
        name: its path below the source, with "/".
        size: bytes, as the source states them.
        open: opens it for reading; an archive's members are to be read while they are listed.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    def read(self, most: int) -> bytes:
        """Return the content, or of one that is larger than ``most`` bytes as much and a byte."""
        with self.open() as handle:
            return handle.read(most + 1)


def members(source: Path) -> Iterator[Member]:
    """Yield the files of a folder, or of a zip or tar archive, in the order in which they lie.

    Raises:
        SourceError: there is no such source, it is no archive, or one of its members has a path
            that leads out of it. Other errors are those of `explained`.
    """
    if source.is_dir():
        yield from _of_folder(source)
        return
    if not source.is_file():
        raise SourceError(f"no folder and no archive at {source}", "name a clone, or its archive")
    if zipfile.is_zipfile(source):
        yield from _of_zip(source)
    elif tarfile.is_tarfile(source):
        yield from _of_tar(source)
    else:
        raise SourceError(f"{source} is no zip and no tar archive", _FETCH)


@contextlib.contextmanager
def explained(source: Path) -> Iterator[None]:
    """Translate what goes wrong while a source's members are listed and read.

    Raises:
        SourceError: it is damaged, encrypted, or may not be read.
    """
    try:
        yield
    except _NOT_READABLE as error:
        reason = " ".join(str(error).split()) or "it ends too soon"
        raise SourceError(f"cannot read {source}: {reason}", _FETCH) from None


def _of_folder(root: Path) -> Iterator[Member]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                below = path.relative_to(root).as_posix()
                yield Member(below, path.stat().st_size, lambda path=path: path.open("rb"))


def _of_zip(source: Path) -> Iterator[Member]:
    with zipfile.ZipFile(source) as archive:
        for one in archive.infolist():
            _check(source, one.filename)
            if not one.is_dir():
                yield Member(one.filename, one.file_size, lambda one=one: archive.open(one))


def _of_tar(source: Path) -> Iterator[Member]:
    with tarfile.open(source) as archive:
        for one in archive:
            _check(source, one.name)
            if one.isreg():
                yield Member(one.name, one.size, lambda one=one: archive.extractfile(one))


def _check(source: Path, name: str) -> None:
    """Refuse an archive one of whose members would be unpacked elsewhere."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or PureWindowsPath(name).drive:
        raise SourceError(
            f"{source} has a member that leads out of it: {name!r}",
            "take the archive that GitHub makes of the authors' repository",
        )
