"""The folder that ``catalog: released`` reads, put together from clones, archives and folders.

A file is recognised by its content, wherever it lies in a source: by the SHA-256 of the manifests,
or git's own id where these hold no other (`unblind.sim.released_files`). So sources may be laid out
in any way, and nothing gets into the folder that the manifests do not approve.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unblind import files
from unblind.assets.sources import Member, SourceError, explained, members
from unblind.errors import UnblindError
from unblind.sim import released_files
from unblind.sim.released_files import Entry, Store

#: Bytes of the largest file of which the manifests tell no size: GitHub takes no larger one.
LARGEST = 100 * 2**20
# A pointer of Git LFS: its beginning, and bytes within which it ends.
_LFS, _SHORT = b"version https://git-lfs", 1024
#: Where the files are to be had, a line each.
ORIGINS = (
    "github.com/CognitiveAISystems/BlindVLA, folder ManiSkill/mani_skill/assets: all of them",
    "github.com/gen-robot/RL4VLA, the same folder: all but the boards of VL-Think",
    "huggingface.co/datasets/RLinf/maniskill_assets: objects, plates and tables, as RLinf's "
    "documentation says; its files were never seen here",
)


@dataclass
class Assembly:
    """What a folder of assets holds in the end; paths are those of the manifests.

    Attributes:
        kept: files that were there, unchanged.
        copied: by path the source.
        missing: files that are nowhere.
        differing: by path of a file of which only another content was found, where that lies.
        problems: sources that could not be read, or not to their end.
    """

    kept: list[str] = field(default_factory=list)
    copied: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    differing: dict[str, str] = field(default_factory=dict)
    problems: list[SourceError] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every file is there, and every source could be read."""
        return not (self.missing or self.differing or self.problems)


def assemble(sources: Iterable[Path], out: Path) -> Assembly:
    """Lay out the authors' files below ``out``; what is there already and right stays.

    Each file is written whole or not at all, so that a call that was interrupted is continued by
    the next one. A source is read only as long as something lacks; earlier ones come first.

    Args:
        sources: clones of the authors' repository, other folders, or zip and tar archives.
        out: the folder, which is made.

    Raises:
        UnblindError: ``out`` cannot be written, or leads elsewhere by a link inside it.
    """
    wanted = {**released_files.manifest(), **released_files.boards()}
    store, result = _opened(out), Assembly()
    lacking: dict[str, Entry] = {}
    for path, entry in wanted.items():
        state = store.state(path)
        if state == "present":
            result.kept.append(path)
            continue
        lacking[path] = entry
        if state == "corrupt":
            result.differing[path] = str(store.root / path)
    for source in sources:
        try:
            _take(source, store.root, lacking, result)
        except SourceError as error:
            result.problems.append(error)
    result.differing = {
        path: result.differing[path] for path in lacking if path in result.differing
    }
    result.missing = [path for path in lacking if path not in result.differing]
    return result


def _opened(out: Path) -> Store:
    with files.explained(out):
        out.mkdir(parents=True, exist_ok=True)
    files.check_writable(out)
    return Store(out)


def _take(source: Path, root: Path, lacking: dict[str, Entry], result: Assembly) -> None:
    """Copy what a source holds of the lacking files, and take it from their list."""
    sizes: dict[str, set[str]] = {}
    for path, entry in lacking.items():
        sizes.setdefault(_name(path), set()).add(entry.size)
    listed = members(source)
    while lacking:
        with explained(source):
            member = next(listed, None)
            if member is None:
                return
            place = _place(member)
            content = _content(member, sizes)
            pointer = place in lacking and member.size < _SHORT and member.read(_SHORT)
        for path in [] if content is None else _described(content, lacking):
            _write(root, path, content or b"")
            result.copied[path] = source
            del lacking[path]
        if place in lacking:
            remark = " (a Git LFS pointer)" if (pointer or b"").startswith(_LFS) else ""
            result.differing[place] = f"{source / member.name}{remark}"


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _place(member: Member) -> str:
    """Return which path of the manifests a member has if it lies as in the release."""
    _, folder, below = f"/{member.name}".rpartition("/carrot/")
    return f"carrot/{below}" if folder else ""


def _content(member: Member, sizes: Mapping[str, set[str]]) -> bytes | None:
    """Return the content of a member that may be wanted: one of this name and size is."""
    known = sizes.get(_name(member.name), set())
    if str(member.size) in known or ("-" in known and member.size <= LARGEST):
        return member.read(member.size)
    return None


def _described(content: bytes, lacking: Mapping[str, Entry]) -> list[str]:
    """Return the lacking files that have this content."""
    header = f"blob {len(content)}\0".encode()
    by_git = hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
    ids = {hashlib.sha256(content).hexdigest(), by_git}
    return [path for path, entry in lacking.items() if entry.checksum in ids]


def _write(root: Path, path: str, content: bytes) -> None:
    place = root / path
    if not place.parent.resolve().is_relative_to(root):
        raise UnblindError(
            f"{place.parent} is a link that leads out of {root}",
            "remove it, or choose another --out",
        )
    with files.atomic_path(place) as temporary:
        temporary.write_bytes(content)
