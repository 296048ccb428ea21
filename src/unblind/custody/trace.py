"""The tree of what made a file: sidecar by sidecar, down to sources and to what is not here."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unblind.custody import changes, sidecars
from unblind.custody.artifacts import Artifact
from unblind.custody.parts import adapter_damage, shards
from unblind.custody.sidecars import Sidecar
from unblind.errors import UnblindError
from unblind.study import provenance
from unblind.study.rows.names import ADAPTER_FILES, MANIFEST, RUN_FILES

#: 'as read': the input still has the bytes that were read. 'absent': it is not here.
InputState = Literal["as read", "changed", "absent"]
_SUFFIX = ".meta.json"


@dataclass(frozen=True)
class Input:
    """A file that an artifact was made from.

    Attributes:
        path: of the file.
        sha256: of the bytes that were read.
        state: see `InputState`.
    """

    path: Path
    sha256: str
    state: InputState


@dataclass(frozen=True)
class Node:
    """A file in the tree.

    Attributes:
        path: of the file; for a sidecar, its artifact is traced.
        sidecar: None for a source, or a file whose making is unknown.
        inputs: what it was made from, by name.
        changed: what differs now from its making.
    """

    path: Path
    sidecar: Sidecar | None = None
    inputs: tuple[Input, ...] = ()
    changed: tuple[str, ...] = ()


def trace(path: Path, artifacts: Iterable[Artifact] = ()) -> dict[Path, Node]:
    """Return everything that made a file, itself first, each file once.

    Args:
        path: an artifact, its sidecar, or a file that belongs to an artifact, such as a shard.
        artifacts: what a study wants artifacts to be made from; settings are compared with it.

    Raises:
        UnblindError: the file is missing or foreign, or a sidecar on the way is malformed.
    """
    settings = {entry.path: entry.origin.config for entry in artifacts if entry.origin}
    root, now = carrier(sidecars.relative(path)), changes.Now()
    nodes: dict[Path, Node] = {}
    todo = deque([root])
    while todo:
        current = todo.popleft()
        if current not in nodes:
            try:
                nodes[current] = _node(current, now, settings)
            except OSError as error:
                cause = f"cannot read {current} or its inputs: {error.strerror}"
                raise UnblindError(cause, "pull or make them again") from None
            todo += [entry.path for entry in nodes[current].inputs]
    return nodes


def to_json(nodes: Mapping[Path, Node]) -> list[dict[str, Any]]:
    """Return the files of a tree as plain values, in its order."""
    return [
        {
            "path": node.path.as_posix(),
            "changed": list(node.changed),
            "sidecar": node.sidecar.model_dump(mode="json", exclude={"inputs"})
            if node.sidecar
            else None,
            "inputs": [
                {"path": entry.path.as_posix(), "sha256": entry.sha256, "state": entry.state}
                for entry in node.inputs
            ],
        }
        for node in nodes.values()
    ]


def carrier(path: Path) -> Path:
    """Return the artifact that a file is or belongs to.

    Raises:
        UnblindError: the file is missing, a folder, or belongs to none.
    """
    if os.path.isdir(path):
        raise UnblindError(f"{path} is a folder", "name a file in it")
    if not os.path.isfile(path):  # also where a name is too long
        raise UnblindError(f"{path} is missing", "pull or make it, or check the name")
    for candidate in (artifact_of(path), *_carriers(path)):
        if provenance.sidecar_path(candidate).is_file():
            return path if candidate == artifact_of(path) else candidate
    raise UnblindError(
        f"{path} has no sidecar: it is no artifact of a study",
        f"name a file with a {_SUFFIX} beside it",
    )


def _carriers(path: Path) -> Iterator[Path]:
    """Yield artifacts that a file without a sidecar may belong to."""
    if path.name in (*RUN_FILES, "projector.safetensors"):
        yield path.with_name(ADAPTER_FILES[0])
    manifest = path.with_name(MANIFEST)
    if manifest.is_file() and path in shards(manifest):
        yield manifest


def artifact_of(path: Path) -> Path:
    """Return the artifact that a sidecar belongs to; any other path as it is."""
    return path.with_name(path.name.removesuffix(_SUFFIX))


def _node(path: Path, now: changes.Now, settings: Mapping[Path, Any]) -> Node:
    artifact = artifact_of(path)
    if not provenance.sidecar_path(artifact).is_file():
        return Node(path)
    sidecar = sidecars.load(artifact)
    inputs = tuple(_input(Path(name), sidecar.inputs[name], now) for name in sorted(sidecar.inputs))
    return Node(path, sidecar, inputs, tuple(_changed(artifact, sidecar, inputs, now, settings)))


def _input(path: Path, checksum: str, now: changes.Now) -> Input:
    if not path.is_file():
        return Input(path, checksum, "absent")
    return Input(path, checksum, "as read" if now.sha256(path) == checksum else "changed")


def _changed(
    artifact: Path,
    sidecar: Sidecar,
    inputs: Iterable[Input],
    now: changes.Now,
    settings: Mapping[Path, Any],
) -> Iterator[str]:
    if artifact.is_file() and now.sha256(artifact) != sidecar.sha256:
        yield "its content differs from its sidecar"
    if artifact.name == MANIFEST and artifact.is_file():
        known = shards(artifact).items()
        if wrong := [
            file.name for file, sha in known if file.is_file() and now.sha256(file) != sha
        ]:
            yield f"shard differs from its checksum: {changes.some(wrong)}"
    if artifact.name == ADAPTER_FILES[0]:
        yield from adapter_damage(artifact, sidecar)
    if artifact in settings:
        yield from changes.settings(sidecar, settings[artifact])
    yield from now.code(sidecar)
    if names := [str(file.path) for file in inputs if file.state == "changed"]:
        yield f"input changed: {changes.some(names)}"
