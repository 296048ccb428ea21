"""The records behind an audit, read one by one, so that a missing one affects no other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from unblind.audit.knowledge import Knowledge, commit_of, read
from unblind.config import Config
from unblind.custody.stored import Origin, Stored
from unblind.errors import UnblindError
from unblind.report.records import Records, load_cell, record_path
from unblind.report.summary import COLUMN_OF, MEANS

#: Conditions by heading: a column of Table 1 or a group of columns, as summaries print it.
CONDITIONS_OF: Mapping[str, tuple[str, ...]] = {
    **{column: (name,) for name, column in COLUMN_OF.items()},
    **{
        group.capitalize(): tuple(name for name, column in COLUMN_OF.items() if column in columns)
        for group, columns in MEANS.items()
    },
}


@dataclass(frozen=True)
class Problem:
    """Something that does not hold together.

    Attributes:
        path: the file, with the line if one is to blame.
        problem: what is wrong with it.
    """

    path: str
    problem: str


@dataclass(frozen=True, eq=False)
class Piece:
    """One record: the episodes of a run, seed and condition.

    Attributes:
        run, seed, condition: what it is a record of.
        episodes: one row an episode.
        meta: its sidecar.
        path: the file.
        origin: whether it was made here.
    """

    run: str
    seed: int
    condition: str
    episodes: pd.DataFrame
    meta: Mapping[str, Any]
    path: Path
    origin: Origin

    @property
    def commit(self) -> str:
        """The commit it was made at, and whether the checkout differed from it."""
        return commit_of(self.meta)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All records of a study that exist and can be read.

    Attributes:
        folder: of the records.
        seeds: evaluation seeds by run of the study.
        pieces: by run, seed and condition.
        refused: records of any kind that are there but must not be believed.
        knowledge: records on what models know.
    """

    folder: Path
    seeds: Mapping[str, tuple[int, ...]]
    pieces: Mapping[tuple[str, int, str], Piece]
    refused: tuple[Problem, ...]
    knowledge: Knowledge

    def of(self, run: str, headings: Sequence[str]) -> list[Piece] | str:
        """Return a run's records behind these headings, all seeds, or what is missing.

        Records without an episode count as missing.
        """
        keys = [(run, seed, name) for seed in self.seeds[run] for name in conditions(headings)]
        present = {key: self.pieces[key] for key in keys if key in self.pieces}
        present = {key: piece for key, piece in present.items() if len(piece.episodes)}
        if len(present) == len(keys):
            return [*present.values()]
        missing = next(key for key in keys if key not in present)
        path = record_path(self.folder, *missing).as_posix()
        refused = any(problem.path == path for problem in self.refused)
        state = "refused" if refused else "not there"
        if missing in self.pieces:
            state = "empty: none of its episodes could be run"
        return f"{len(keys) - len(present)} of {len(keys)} records: {path} is {state}"

    @cached_property
    def commits(self) -> tuple[str, ...]:
        """Commits that the records were made at."""
        return tuple(sorted({str(meta.get("commit")) for meta in self._metas}))

    @cached_property
    def dirty(self) -> bool:
        """Whether a record was made in a checkout that differed from its commit."""
        return any(meta.get("dirty") for meta in self._metas)

    @property
    def paths(self) -> list[Path]:
        """All records that are there and not refused."""
        return [*(piece.path for piece in self.pieces.values()), *self.knowledge.present]

    @property
    def _metas(self) -> list[Mapping[str, Any]]:
        return [record.meta for record in (*self.pieces.values(), *self.knowledge.files)]


def conditions(headings: Sequence[str]) -> tuple[str, ...]:
    """Return the conditions behind headings of a table of success rates, each once."""
    return tuple(dict.fromkeys(name for heading in headings for name in CONDITIONS_OF[heading]))


def joined(run: str, pieces: Iterable[Piece]) -> Records:
    """Return records as one, the form in which reports take them."""
    pieces = tuple(pieces)
    return Records(
        run,
        pd.concat([piece.episodes for piece in pieces], ignore_index=True),
        tuple(dict(piece.meta) for piece in pieces),
        tuple(piece.path for piece in pieces),
    )


def gather(config: Config, folder: Path) -> Evidence:
    """Read the records of a study: of rollouts for all conditions, and on what models know.

    A missing record is left out. So is one that is malformed or belongs to another study, and it
    is named in `Evidence.refused`.

    Args:
        config: the study.
        folder: of rollouts, ``run/seed/condition.parquet``.
    """
    pieces, refused = {}, []
    seeds = {run: tuple(config.of(run).seeds) for run in config.runs}
    stored = Stored()
    for run in config.runs:
        for seed in seeds[run]:
            for condition in COLUMN_OF:
                path = record_path(folder, run, seed, condition)
                if not path.is_file():
                    continue
                try:
                    frame, meta = load_cell(config, run, seed, condition, folder)
                except UnblindError as error:
                    why = error.cause.removeprefix(f"the record {path} ")
                    refused.append(Problem(path.as_posix(), f"refused: {why}"))
                else:
                    key = (run, seed, condition)
                    pieces[key] = Piece(*key, frame, meta, path, stored.origin(path))
    known = read(config)
    refused += [Problem(path, f"refused: {why}") for path, why in known.refused.values()]
    return Evidence(folder, seeds, pieces, tuple(refused), known)
