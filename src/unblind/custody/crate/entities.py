"""Entities of a crate: files with size and checksum, and files that are only described."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model import ContextEntity, Entity
from rocrate.rocrate import ROCrate

from unblind.errors import UnblindError
from unblind.files import sha256

#: Terms of the workflow run profiles, in addition to those of RO-Crate 1.1.
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_PLAIN = {"", ".smk", ".rst", ".cff", ".in", ".lock", ".overrides", ".toml", ".j2", ".js", ".css"}


class Entities:
    """A crate under construction; each thing is added once.

    Attributes:
        crate: the crate.
        results: folder of the study's results; ``results/`` in the crate, wherever it lies.
        left_out: files that are too large to be published.
        copies: files that are gone, each with its copy.
    """

    def __init__(self, results: Path, left_out: set[Path], copies: dict[Path, Path]) -> None:
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_contexts.append(TERMS)
        self.results, self.left_out, self.copies = results, left_out, copies
        self._hashes: dict[Path, str] = {}

    def add(self, identifier: str, kind: str, **properties: Any) -> Entity:
        """Return the thing that is no file, added if need be."""
        known = self.crate.get(identifier)
        fields = {"@type": kind, **{name: _compact(value) for name, value in properties.items()}}
        return known or self.crate.add(ContextEntity(self.crate, identifier, properties=fields))

    def file(self, path: Path) -> Entity:
        """Return the file ``path``, added if need be."""
        name = self._name(path)
        known = self.crate.get(quote(name))
        return known or self.crate.add_file(path, name, properties=self.properties(path))

    def properties(self, path: Path) -> dict[str, Any]:
        """Return size, format and checksum of a file."""
        kind = "text/plain" if path.suffix in _PLAIN else "application/octet-stream"
        return {
            "contentSize": str(path.stat().st_size),
            "encodingFormat": _FORMATS.get(path.suffix, kind),
            "sha256": self._sha256(path),
        }

    def artifact(self, path: Path, recorded: str, said_by: Path) -> Entity:
        """Return the artifact or input with the SHA-256 ``recorded``, added if need be.

        What is elsewhere, gone or too large is described by name and checksum alone.

        Raises:
            UnblindError: the file differs from what the sidecar of ``said_by`` says.
        """
        path = self.copies.get(path, path)
        there = path.is_file()
        if there and self._sha256(path) != recorded:
            what = "itself" if path == said_by else str(path)
            raise UnblindError(
                f"the sidecar of {said_by} names another content of {what}",
                "run: unblind verify, and make again what is outdated",
            )
        inside = path.is_relative_to(self.results) or not path.is_absolute()
        inside = inside and ".." not in path.parts
        if there and inside and path not in self.left_out:
            return self.file(path)
        name = self._name(path) if inside else path.name
        about = f"{name}, which is not part of this crate"
        identifier = f"#sha256-{recorded}"
        return self.add(identifier, "CreativeWork", name=name, description=about, sha256=recorded)

    def _sha256(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = sha256(path)
        return self._hashes[path]

    def _name(self, path: Path) -> str:
        """Return a file's path in the crate."""
        if self.results.is_absolute() and path.is_relative_to(self.results):
            return Path("results", path.relative_to(self.results)).as_posix()
        return path.as_posix()


def _compact(value: Any) -> Any:
    """Return the only member of a list of one, as RO-Crate recommends."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
