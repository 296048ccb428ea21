"""The provenance of a file as a text tree: similar files share a line, nothing is printed twice."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unblind.custody.changes import plain, some
from unblind.custody.sidecars import Sidecar
from unblind.custody.trace import Input, Node
from unblind.errors import shortened

_SHORT = 12  # hexadecimal digits shown of a hash
_NAMES_SHOWN = 3
_WIDTH = 90  # characters shown of settings
_BLANK = "   "


class Lines(NamedTuple):
    """What the branches of a tree are drawn with, each three characters wide."""

    down: str
    branch: str
    last: str


_BOXES, _ASCII = Lines("│  ", "├─ ", "└─ "), Lines("|  ", "|- ", "`- ")


def lines_for(encoding: str | None) -> Lines:
    """Return the lines that a terminal with this encoding can show."""
    try:
        "".join(_BOXES).encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return _ASCII
    return _BOXES


def render(nodes: Mapping[Path, Node], every_file: bool = False, lines: Lines = _BOXES) -> str:
    """Return a tree as text.

    Args:
        nodes: as `trace.trace` returns them, the root first.
        every_file: give each file a line of its own, instead of one to files of a folder that
            were made from the same inputs by the same code with the same settings.
        lines: what branches are drawn with (`lines_for`).
    """
    root = next(iter(nodes.values()))
    below = _Tree(nodes, every_file, lines).below([root])
    return "\n".join([plain(root.path.as_posix()), *below])


class _Tree:
    def __init__(self, nodes: Mapping[Path, Node], every_file: bool, lines: Lines) -> None:
        self._nodes, self._every_file, self._lines = nodes, every_file, lines
        self._shown: set[Path] = set()

    def below(self, group: Sequence[Node], read: str | None = None) -> Iterator[str]:
        """Yield the lines under alike files: how they were made, and from what.

        Args:
            group: the files.
            read: checksum already printed for a single file.
        """
        if group[0].sidecar is None:
            return
        self._shown |= {node.path for node in group}
        branches = self._grouped(group[0].inputs)
        bar = self._lines.down if branches else _BLANK
        if len(group) == 1 and group[0].sidecar.sha256 != read:
            yield f"{bar}sha256 {group[0].sidecar.sha256[:_SHORT]}"
        yield from (bar + line for line in _story(group))
        for number, branch in enumerate(branches, 1):
            more = number < len(branches)
            first = self._lines.branch if more else self._lines.last
            rest = self._lines.down if more else _BLANK
            members = [self._nodes[entry.path] for entry in branch]
            told = members[0].path in self._shown
            yield first + _title(branch) + (" (see above)" if told else "")
            if not told:
                yield from (rest + line for line in self.below(members, branch[0].sha256))

    def _grouped(self, inputs: Sequence[Input]) -> list[list[Input]]:
        groups: dict[object, list[Input]] = {}
        for entry in inputs:
            node = self._nodes[entry.path]
            key = entry.path if self._every_file else _kind(entry, node, entry.path in self._shown)
            groups.setdefault(key, []).append(entry)
        return [*groups.values()]


def _kind(entry: Input, node: Node, shown: bool) -> object:
    """Return what similar files share."""
    kind = (entry.path.parent, entry.state, shown)
    if shown or node.sidecar is None:
        return kind
    made = node.sidecar
    made_by = (made.config_hash, made.code_hash, made.seed, made.commit, made.dirty)
    return (*kind, made_by, node.inputs, node.changed)


def _title(branch: Sequence[Input]) -> str:
    """Return the line of similar inputs: names, checksums as they were read, and what is now."""
    first = branch[0]
    if len(branch) == 1:
        text = f"{first.path.as_posix()}  sha256 {first.sha256[:_SHORT]}"
    else:
        names = ", ".join(entry.path.name for entry in branch[:_NAMES_SHOWN])
        more = ", ..." if len(branch) > _NAMES_SHOWN else ""
        text = f"{first.path.parent.as_posix()}/: {len(branch)} files ({names}{more})"
    marks = {"as read": "", "changed": "  CHANGED SINCE", "absent": "  not here"}
    return plain(text) + marks[first.state]


def _story(group: Sequence[Node]) -> Iterator[str]:
    """Yield how similar files were made. One job may have made them all: costs are not added up."""
    made = [node.sidecar for node in group if node.sidecar]
    first = made[0]
    yield plain(f"made {min(meta.started for meta in made)} at commit {_commit(first)}")
    equal = "" if first.source_hash in (None, first.code_hash) else " (proved equal to older code)"
    yield plain(f"code {first.code_hash[:_SHORT]}{equal}: {some(first.code)}")
    yield plain(f"config {first.config_hash[:_SHORT]}: {_short(first.config)}")
    yield f"seed {'none' if first.seed is None else first.seed}"
    keys = ("cpu_s", "wall_s", "peak_memory_mib")
    cpu, wall, memory = (max(getattr(meta, key) for meta in made) for key in keys)
    each = "" if len(group) == 1 else " for the dearest of them"
    yield f"cost {cpu:,.1f} CPU-seconds, {wall:,.1f} s, {memory:,.0f} MiB{each}"
    for change in group[0].changed:
        yield plain(f"CHANGED SINCE: {change}")


def _short(config: Any) -> str:
    """Return settings in one line, which may be cut off."""
    text = json.dumps(config, sort_keys=True)
    return shortened(text, _WIDTH)


def _commit(made: Sidecar) -> str:
    return f"{made.commit[:_SHORT]}{' (with changes)' if made.dirty else ''}"
