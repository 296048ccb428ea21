"""The records behind the site's numbers: where they lie, what they are, what makes them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from unblind.audit.commands import Commands
from unblind.audit.html import anchor
from unblind.audit.knowledge import commit_of
from unblind.audit.records import Evidence
from unblind.config import Config
from unblind.custody.stored import Origin, Stored
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.study import graph, provenance
from unblind.study.jobs import Job

#: What a record's bytes are beside what its sidecar says, and whether they were read for it.
State = Literal["as made", "not read again", "changed", "without a sidecar", "refused"]
#: Larger files are not read: their sidecars tell what they were. `unblind verify` reads all.
_READ_BYTES = 64 * 2**20
PAGE = "records.html"


@dataclass(frozen=True)
class Record:
    """A file that a stage has made.

    Attributes:
        path: within the results.
        state: whether it is what its sidecar says; ``why`` it is refused, if it is.
        sha256: of the file, or where it was not read, of the sidecar.
        size: bytes.
        origin: whether it was made here; None if its bytes were not read.
        commit: of the code that made it.
        command: makes it again.
        inputs: what it was made from, by path: SHA-256.
    """

    path: str
    state: State
    why: str
    sha256: str
    size: int
    origin: Origin | None
    commit: str
    command: str
    inputs: Mapping[str, str]

    @property
    def id(self) -> str:
        """Its anchor on the page of records."""
        return record_id(self.path)


@dataclass(frozen=True)
class Group:
    """The records of a rule of the workflow.

    Attributes:
        name: of the rule.
        title: what it does.
        jobs: those of the study.
        wanted: how many files they make.
        records: those that are there.
        command: makes the first of what is missing; empty: nothing is.
        page: whether the rule renders a page.
    """

    name: str
    title: str
    jobs: tuple[Job, ...]
    wanted: int
    records: tuple[Record, ...]
    command: str
    page: bool

    @property
    def id(self) -> str:
        """Its anchor on the page of records."""
        return anchor(self.name, "stage")

    @property
    def state(self) -> Literal["all", "some", "none"]:
        """How much of it is there."""
        there = len(self.records)
        return "all" if there == self.wanted else "some" if there else "none"

    @property
    def said(self) -> str:
        """The same in words."""
        if not self.records:
            return "not run"
        return f"{len(self.records)} of {self.wanted} file{'s' if self.wanted != 1 else ''}"


class Book:
    """All records of a study that are there.

    Args:
        config: the study.
        evidence: tells which of them are refused.
        commands: how they are made.
    """

    def __init__(self, config: Config, evidence: Evidence, commands: Commands) -> None:
        self.config = config
        self.results = Path(config.results)
        self._commands = commands
        refused = (*evidence.refused,)
        self._refused = {one.path: one.problem.removeprefix("refused: ") for one in refused}
        self._stored = Stored()

    @cached_property
    def groups(self) -> list[Group]:
        """The rules of the study's workflow in the order of its table.

        Raises:
            UnblindError: the list of stored files is unreadable.
        """
        by_rule: dict[str, list[Job]] = {}
        for job in graph.of_study(self.config):
            by_rule.setdefault(job.rule, []).append(job)
        return [self._group(name, made_by) for name, made_by in by_rule.items()]

    @cached_property
    def records(self) -> dict[str, Record]:
        """All records by path within the results."""
        return {one.path: one for group in self.groups for one in group.records}

    def within(self, path: Path | str) -> str:
        """Return a path as seen from the results, whichever way the study names it."""
        path = Path(path)
        for start in (self.results, self.results.absolute()):
            if path.is_relative_to(start):
                return path.relative_to(start).as_posix()
        return path.as_posix()

    def href(self, path: Path | str, root: str = "") -> str:
        """Return the address of a record on its page; of one that is not listed, the page's."""
        name = self.within(path)
        return f"{root}{PAGE}#{record_id(name)}" if name in self.records else f"{root}{PAGE}"

    def _group(self, name: str, made_by: list[Job]) -> Group:
        paths = list(dict.fromkeys(path for job in made_by for path in job.outputs))
        there = [path for path in paths if path.is_file()]
        return Group(
            name=name,
            title=made_by[0].stage.title,
            jobs=tuple(made_by),
            wanted=len(paths),
            records=tuple(self._record(path) for path in there),
            command=next(self._missing(made_by), ""),
            page=bool(made_by[0].stage.page),
        )

    def _missing(self, made_by: list[Job]) -> Iterator[str]:
        for job in made_by:
            if missing := [path for path in job.outputs if not path.is_file()]:
                yield self._commands.files(missing)

    def _record(self, path: Path) -> Record:
        size = path.stat().st_size
        meta: Mapping[str, Any] = {}
        try:
            meta, state = provenance.read(path), "as made"
        except UnblindError:
            state = "without a sidecar"
        told, digest, origin = str(meta.get("sha256", "")), "", None
        if size <= _READ_BYTES or not meta:
            digest, origin = sha256(path), self._stored.origin(path)
            state = "changed" if meta and digest != told else state
        else:
            state = "not read again"
        why = self._refused.get(path.as_posix(), "")
        inputs = meta.get("inputs") or {}
        return Record(
            path=self.within(path),
            state="refused" if why else state,
            why=why,
            sha256=digest or told,
            size=size,
            origin=origin,
            commit=commit_of(meta) if meta else "unknown",
            command=self._commands.files([path]),
            inputs={self.within(name): str(value) for name, value in inputs.items()},
        )


def record_id(path: str) -> str:
    """Return the anchor of a record, given its path within the results."""
    return anchor(path, "record")


def is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a path is a file that lies in a folder, wherever links lead."""
    return path.is_file() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
