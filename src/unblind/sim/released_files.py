"""The files of the authors' catalog: which there are, and whether a folder holds them unchanged.

None of them is part of this package. The folder is laid out as the release's ``assets`` folder:
``carrot/more_carrot``, ``carrot/more_plate`` and ``carrot/more_table``. The manifest
(``released_manifest.tsv``) lists path, size and checksum of each file. The checksum is the SHA-256,
but for the three files that no public copy held when the manifest was made: of these the release's
history tells git's own id of the content, a SHA-1 that counts the size in. The boards of VL-Think,
which the 14 conditions do without, have a manifest of their own (``released_boards.tsv``).
"""

import hashlib
from collections import ChainMap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from unblind import files
from unblind.errors import UnblindError

MANIFEST = Path(__file__).with_name("released_manifest.tsv")
BOARDS = Path(__file__).with_name("released_boards.tsv")
REMEDY = "copy it unchanged from the authors' release, or use the built-in catalog"
_GIT_DIGITS = 40


class Entry(NamedTuple):
    """A manifest row: size in bytes ("-" where unknown), and SHA-256 or, of 40 digits, git's id."""

    size: str
    checksum: str

    def describes(self, path: Path) -> bool:
        """Tell whether a file has this content."""
        if len(self.checksum) == _GIT_DIGITS:
            return git_blob_id(path) == self.checksum
        return path.stat().st_size == int(self.size) and files.sha256(path) == self.checksum


@cache
def manifest() -> dict[str, Entry]:
    """Return path (relative, with "/") -> entry, in the manifest's order."""
    return _read(MANIFEST)


@cache
def boards() -> dict[str, Entry]:
    """Return the same of the boards of VL-Think."""
    return _read(BOARDS)


def known() -> Mapping[str, Entry]:
    """Return the entries of all files that may be read."""
    return ChainMap(manifest(), boards())


def _read(path: Path) -> dict[str, Entry]:
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: Entry(size, checksum) for name, size, checksum in rows if name != "path"}


def git_blob_id(path: Path) -> str:
    """Return the id under which git stores a file's content: SHA-1 over a header and the bytes."""
    content = path.read_bytes()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def check(folder: Path | str) -> tuple[list[str], list[str], list[str]]:
    """Return the manifest's paths that are present and right, missing, and corrupt in ``folder``.

    Raises:
        UnblindError: ``folder`` is no folder.
    """
    store = Store(folder)
    found: dict[str, list[str]] = {"present": [], "missing": [], "corrupt": []}
    for path in manifest():
        found[store.state(path)].append(path)
    return found["present"], found["missing"], found["corrupt"]


class Store:
    """A folder of released files: nothing is read that the manifest does not know and approve.

    Raises:
        UnblindError: ``folder`` is no folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self.root = Path(folder).resolve()
        if not self.root.is_dir():
            raise UnblindError(
                f"no folder of released assets at {folder}",
                "name the folder that holds carrot/more_carrot, or use the built-in catalog",
            )

    def state(self, path: str) -> str:
        """Return "present", "missing" or "corrupt" for a manifest path.

        A link that leads out of the folder counts as missing.
        """
        full = (self.root / path).resolve()
        if not full.is_relative_to(self.root) or not full.is_file():
            return "missing"
        return "present" if known()[path].describes(full) else "corrupt"

    def path(self, path: str) -> Path:
        """Return where a manifest file lies, after checking it.

        Raises:
            UnblindError: it is unknown, missing or differs from the manifest.
        """
        if path not in known():
            raise UnblindError(f"{path} is not among the released files", REMEDY)
        state = self.state(path)
        if state != "present":
            what = "is missing" if state == "missing" else "differs from the manifest's checksum"
            raise UnblindError(f"released file {self.root / path} {what}", REMEDY)
        return self.root / path
