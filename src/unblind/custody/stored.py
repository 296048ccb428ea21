"""Which bytes were stored by DVC: what has been pulled must not pass for recomputed."""

import json
from pathlib import Path
from typing import Literal

from unblind.errors import UnblindError
from unblind.study import store

#: 'cached': the bytes are stored ones, so they may have been pulled. 'recomputed': made here.
Origin = Literal["recomputed", "cached"]

#: The embedded store, and DVC's cache of what it has pulled or added, from whatever remote.
_PLACES = (store.STORE, Path(".dvc", "cache"))


class Stored:
    """Knows which bytes the pointers of the checkout name, and which the stores hold."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, str]] = {}

    def origin(self, path: Path) -> Origin:
        """Tell whether a file is what a pointer to it, or to a folder around it, names.

        Bytes of an older pointer, still held by the embedded store or by DVC's cache, are cached
        too. So are bytes that were made again here and came out the same: nothing tells them
        from pulled ones.

        Raises:
            UnblindError: the pointer, or the list of a stored folder's files, is unreadable.
        """
        named = self.named(path)
        own = store.md5(path)
        held = named == own or any(store.blob_path(own, cache).is_file() for cache in _PLACES)
        return "cached" if held else "recomputed"

    def named(self, path: Path) -> str | None:
        """Return the MD5 that a pointer names for a file; None if no pointer names it.

        Raises:
            UnblindError: see `origin`.
        """
        target = self.target(path)
        if target is None:
            return None
        return self._list(target).get(path.relative_to(target).as_posix())

    def target(self, path: Path) -> Path | None:
        """Return the file or folder around ``path`` that has a pointer, if there is one."""
        candidates = (path, *path.parents[:-1])
        return next(
            (candidate for candidate in candidates if store.pointer_path(candidate).is_file()), None
        )

    def _list(self, target: Path) -> dict[str, str]:
        """Return the hashes that a pointer names, by path inside its target."""
        if target not in self._listed:
            name = store.read_pointer(target).md5
            self._listed[target] = _listing(name) if name.endswith(".dir") else {".": name}
        return self._listed[target]


def damaged_blobs() -> tuple[int, list[Path]]:
    """Return how many contents the embedded store has, and which differ from their names."""
    folder = store.STORE / "files" / "md5"
    blobs = sorted(path for path in folder.glob("??/*") if path.is_file())
    wrong = [p for p in blobs if store.md5(p) != p.parent.name + p.name.removesuffix(".dir")]
    return len(blobs), wrong


def _listing(name: str) -> dict[str, str]:
    """Return the hashes of a stored folder's files by path."""
    for cache in _PLACES:
        try:
            entries = json.loads(store.blob_path(name, cache).read_bytes())
            return {entry["relpath"]: entry["md5"] for entry in entries}
        except (OSError, ValueError, TypeError, KeyError):
            continue
    raise UnblindError(
        f"the list of stored files {store.blob_path(name)} is missing or unreadable",
        f"restore it: git checkout -- {store.STORE}",
    )
