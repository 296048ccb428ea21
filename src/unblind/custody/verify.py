"""Verification: every artifact of a study against its checksums, settings, code and inputs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from unblind.config import Config
from unblind.custody import artifacts, changes, sidecars
from unblind.custody.artifacts import Artifact, Group
from unblind.custody.parts import adapter_damage, shards
from unblind.custody.sidecars import Sidecar
from unblind.custody.stored import Stored, damaged_blobs
from unblind.errors import UnblindError
from unblind.study import provenance, store
from unblind.study.rows.names import ADAPTER_FILES, MANIFEST

#: 'intact': whole, and what the study asks for now. 'stale': whole, but made from something else.
State = Literal["intact", "stale", "missing", "corrupt"]
STATES: tuple[State, ...] = ("intact", "stale", "missing", "corrupt")
#: 'pulled': its bytes are stored ones. 'unknown': what is stored cannot be read.
Source = Literal["pulled", "recomputed", "unknown"]


@dataclass(frozen=True)
class Finding:
    """What is to say of an artifact.

    Attributes:
        group: kind of result.
        path: the file.
        state: see `State`.
        why: reasons for the state, and remarks.
        source: see `Source`; None if it is missing.
        pulled_inputs: kinds of pulled results behind an artifact that was made here.
        needed: False if it is missing, and so is nothing that is made from it.
    """

    group: Group
    path: Path
    state: State
    why: tuple[str, ...] = ()
    source: Source | None = None
    pulled_inputs: tuple[Group, ...] = ()
    needed: bool = True


def verify(config: Config, paper: Path) -> list[Finding]:
    """Compare every artifact of a study with what it should be, reading every byte again.

    An artifact is *corrupt* if it, or a file that belongs to it, differs from a checksum; *stale*
    if settings, seed, code or an input differ from what made it, or an input is itself stale or
    corrupt; *missing* if it, or a part of it, is not there. An absent input makes nothing stale.

    Args:
        config: the study.
        paper: configuration of the published sizes, which the page of costs shows.

    Returns:
        One finding an artifact, then those of the store of pulled results.

    Raises:
        UnblindError: ``paper`` or the paper's tables of settings are malformed.
    """
    listed = artifacts.study(config, paper)
    checker = _Checker(Path(config.results))
    for artifact in listed:
        checker.check(artifact)
    findings = checker.found
    for artifact in reversed(listed):
        finding = findings[artifact.path]
        if artifact.scratch and finding.state == "missing":
            readers = (other.path for other in listed if _reads(other, artifact))
            missed = any(findings[p].state == "missing" and findings[p].needed for p in readers)
            findings[artifact.path] = replace(finding, needed=missed)
    return [*findings.values(), *_store(checker.unreadable)]


def counts(findings: Iterable[Finding]) -> dict[State, int]:
    """Return how many findings there are of each state."""
    tally = Counter(finding.state for finding in findings)
    return {state: tally[state] for state in STATES}


def _reads(artifact: Artifact, other: Artifact) -> bool:
    return artifact.origin is not None and other.path in artifact.origin.inputs


class _Checker:
    """Judges artifacts, each after those that it is made from.

    Attributes:
        found: findings by path.
        unreadable: what is wrong with pointers and lists of stored files, each once.
    """

    def __init__(self, results: Path) -> None:
        self._now, self._stored, self._results = changes.Now(), Stored(), results
        self.found: dict[Path, Finding] = {}
        self.unreadable: dict[str, None] = {}

    def check(self, artifact: Artifact) -> None:
        """Judge one artifact."""
        try:
            state, why = self._judge(artifact)
        except UnblindError as error:
            state, why = "corrupt", [error.cause]
        except OSError as error:
            state, why = "corrupt", [f"cannot be read: {error.strerror}"]
        source = self._source(artifact)
        pulled = self._pulled_inputs(artifact) if source == "recomputed" else ()
        finding = Finding(artifact.group, artifact.path, state, tuple(why), source, pulled)
        self.found[artifact.path] = finding

    def _pulled_inputs(self, artifact: Artifact) -> tuple[Group, ...]:
        """Return which kinds of pulled results an artifact goes back to."""
        groups: set[Group] = set()
        for path in artifact.origin.inputs + artifact.optional if artifact.origin else ():
            finding = self.found.get(path)
            if finding and finding.source:
                groups |= (
                    {*finding.pulled_inputs} if finding.source == "recomputed" else {finding.group}
                )
        return tuple(sorted(groups))

    def _judge(self, artifact: Artifact) -> tuple[State, list[str]]:
        path = artifact.path
        if not artifact.is_there():
            return "missing", self._how_to_get(path)
        if not provenance.sidecar_path(path).is_file():
            return self._without_sidecar(artifact)
        sidecar, parts = sidecars.load(path), _parts(artifact)
        damage = [*self._damage(artifact, sidecar)]
        gone = [file.name for file in parts if not file.is_file()]
        damage += [
            f"{file.name} differs from its checksum"
            for file, checksum in parts.items()
            if file.is_file() and checksum and self._now.sha256(file) != checksum
        ]
        if damage:
            return "corrupt", damage
        if changed := [*self._changes(artifact, sidecar)]:
            return "stale", changed
        if gone:
            return "missing", [f"{len(gone)} of {len(parts)} files: {changes.some(gone)}"]
        return "intact", [*self._remarks(artifact, sidecar)]

    def _remarks(self, artifact: Artifact, sidecar: Sidecar) -> Iterator[str]:
        """Yield what to know of an intact artifact."""
        if artifact.origin is not None:
            yield from self._now.remarks(sidecar)
        if absent := [name for name in sidecar.inputs if not Path(name).is_file()]:
            yield f"{len(absent)} of its inputs not here"
        if self._named(artifact.path) not in (None, store.md5(artifact.path)):
            yield f"other bytes than {self._pointer(artifact.path)} names"

    def _without_sidecar(self, artifact: Artifact) -> tuple[State, list[str]]:
        """Judge a file that only its pointer can vouch for."""
        why = f"its sidecar {provenance.sidecar_path(artifact.path).name} is missing"
        if self._named(artifact.path) != store.md5(artifact.path):
            return "corrupt", [why]
        return ("stale" if artifact.origin else "intact"), [why]

    def _damage(self, artifact: Artifact, sidecar: Sidecar) -> Iterator[str]:
        """Yield what contradicts a checksum."""
        path = artifact.path
        if self._now.sha256(path) != sidecar.sha256:
            yield "its content differs from its sidecar"
        if path.name == ADAPTER_FILES[0]:
            yield from adapter_damage(path, sidecar)
        sidecar_file = provenance.sidecar_path(path)
        if self._named(sidecar_file) == store.md5(
            sidecar_file
        ):  # not made again since it was stored
            for file in artifact.beside:
                named = self._named(file)
                if named and file.is_file() and named != store.md5(file):
                    yield f"{file.name} differs from its pointer"

    def _changes(self, artifact: Artifact, sidecar: Sidecar) -> Iterator[str]:
        """Yield what differs from the making of a whole artifact."""
        origin = artifact.origin
        if origin is None:
            if self._named(artifact.path) not in (None, store.md5(artifact.path)):
                yield f"is not what {self._pointer(artifact.path)} names"
            return
        yield from changes.settings(sidecar, origin.config)
        yield from changes.seed(sidecar, origin.seed)
        yield from self._now.code(sidecar, origin.code)
        named = {Path(name): checksum for name, checksum in sidecar.inputs.items()}
        states = {path: self._input_state(path, checksum) for path, checksum in named.items()}
        for state in ("stale", "corrupt", "changed"):
            if names := [str(path) for path, read_state in states.items() if read_state == state]:
                yield f"input {state}: {changes.some(names)}"
        expected = [*origin.inputs]
        expected += [p for p in artifact.optional if self.found[p].state == "intact"]
        if unread := [str(path) for path in expected if not self._was_read(path, named)]:
            yield f"made without {changes.some(unread)}"

    def _was_read(self, path: Path, named: Mapping[Path, str]) -> bool:
        """Tell whether a file, or one with the same content elsewhere, was read."""
        if sidecars.relative(path) in named:
            return True
        return path.is_file() and self._now.sha256(path) in named.values()

    def _input_state(self, path: Path, checksum: str) -> str:
        finding = self.found.get(path)
        if finding and finding.state in ("stale", "corrupt"):
            return finding.state
        # Snakemake writes its benchmarks anew with every job, also when the result is the same.
        if not path.is_file() or path.is_relative_to(self._results / "benchmarks"):
            return "as it was"
        return "as it was" if self._now.sha256(path) == checksum else "changed"

    def _source(self, artifact: Artifact) -> Source | None:
        if not artifact.is_there():
            return None
        try:
            cached = self._stored.origin(artifact.path) == "cached"
        except UnblindError as error:
            self.unreadable[error.cause] = None
            return "unknown"
        except OSError:
            return "unknown"
        return "pulled" if cached else "recomputed"

    def _named(self, path: Path) -> str | None:
        try:
            return self._stored.named(path)
        except UnblindError as error:
            self.unreadable[error.cause] = None
            return None

    def _pointer(self, path: Path) -> Path | None:
        target = self._stored.target(path)
        return target and store.pointer_path(target)

    def _how_to_get(self, path: Path) -> list[str]:
        return [f"stored: dvc pull {self._pointer(path)}"] if self._named(path) else []


def _parts(artifact: Artifact) -> Mapping[Path, str | None]:
    """Return the files that belong to an artifact, with their checksums as far as it tells them.

    Raises:
        UnblindError: it is an unreadable manifest.
    """
    # The copy of a manifest that runs bring along has no shards beside it.
    if artifact.path.name == MANIFEST and artifact.group != "training":
        return shards(artifact.path)
    return dict.fromkeys(artifact.beside)


def _store(unreadable: Iterable[str]) -> Iterator[Finding]:
    """Yield what is wrong with the store of pulled results, or that nothing is."""
    count, wrong = damaged_blobs()
    damage = [(store.STORE, cause) for cause in unreadable]
    damage += [(blob, "its content differs from its name") for blob in wrong]
    for path, why in damage:
        yield Finding("store", path, "corrupt", (why,))
    if count and not damage:
        yield Finding("store", store.STORE, "intact", (f"{count} contents",))
