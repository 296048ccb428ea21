"""Somebody else's records compared with ours, episode by episode.

The other folder is not trusted: its names are never followed, only files of the expected names are
opened, as Parquet with fixed columns and within fixed sizes, and nothing else in it is read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unblind.audit.records import Evidence
from unblind.errors import UnblindError
from unblind.report.records import EPISODE, OUTCOME, problems, record_path
from unblind.report.summary import COLUMN_OF
from unblind.study import record_names

#: A record of 1,024 episodes has 60 kB.
LIMIT_BYTES = 5_000_000
LIMIT_ROWS = 100_000
LIMIT_UNPACKED = 50_000_000
LIMIT_FILES = 10_000
Status = Literal["same", "changed", "other episodes", "missing", "extra", "refused"]


@dataclass(frozen=True)
class Cell:
    """One record here and there.

    Attributes:
        record: ``run/seed/condition``.
        status: 'same': all episodes and outcomes agree; 'changed': the same episodes, other
            outcomes; 'other episodes': some are on one side alone; 'missing': only we have it;
            'extra': only they do.
        detail: numbers, or why it was refused.
        n: episodes of both.
        agree: of them, those with the same `unblind.report.records.OUTCOME`.
        ours, theirs: of them, those that end in success.
        ours_alone, theirs_alone: those that end in success on one side alone.
    """

    record: str
    status: Status
    detail: str = ""
    n: int = 0
    agree: int = 0
    ours: int = 0
    theirs: int = 0
    ours_alone: int = 0
    theirs_alone: int = 0


def compare(evidence: Evidence, runs: list[str], folder: Path) -> list[Cell]:
    """Compare our records with those in a folder of results.

    Args:
        evidence: our records.
        runs: of our study, with or without records.
        folder: somebody else's results, or their folder ``rollouts``.

    Raises:
        UnblindError: it is no folder, or holds too many files.
    """
    if not folder.is_dir():
        raise UnblindError(f"{folder} is no folder", "name somebody else's results")
    inner = folder / "rollouts"
    root = (inner if inner.is_dir() else folder).resolve()
    cells = [
        _cell(evidence, root, run, seed, condition)
        for run in runs
        for seed in evidence.seeds[run]
        for condition in COLUMN_OF
    ]
    compared = [cell for cell in cells if cell is not None]
    known = {cell.record for cell in compared}
    # What a model does when told something else is no evidence for a claim.
    names = {name: Path(name).name for name in _names(root)}
    others = [name for name, record in names.items() if record_names.condition_of(record) == record]
    return compared + [Cell(name, "extra") for name in others if name not in known]


def report(cells: list[Cell]) -> str:
    """Return the comparison as text: counts, then every cell that is not the same."""
    lines = [f"{'record':<44}{'status':<16}"]
    for cell in cells:
        lines.append(f"{cell.record:<44}{cell.status:<16}{cell.detail}".rstrip())
    both = [cell for cell in cells if cell.n]
    n, agree = sum(cell.n for cell in both), sum(cell.agree for cell in both)
    counts: dict[str, int] = {}
    for cell in cells:
        counts[cell.status] = counts.get(cell.status, 0) + 1
    total = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    lines.append(f"records: {total or 'none on either side'}")
    if n:
        lines.append(f"episodes: {agree} of {n} with the same outcome ({100 * agree / n:.1f} %)")
    return "\n".join(lines)


def _cell(evidence: Evidence, root: Path, run: str, seed: int, condition: str) -> Cell | None:
    name = f"{run}/{seed}/{condition}"
    ours = evidence.pieces.get((run, seed, condition))
    path = record_path(root, run, seed, condition)
    if not os.path.lexists(path):
        return Cell(name, "missing") if ours else None
    try:
        theirs = _read(root, path, {"run": run, "seed": seed, "condition": condition})
    except UnblindError as error:
        return Cell(name, "refused", error.cause)
    return Cell(name, "extra") if ours is None else _compared(name, ours.episodes, theirs)


def _compared(record: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> Cell:
    both = ours.merge(theirs, on="episode_id", suffixes=("", "_theirs"))
    agreed = pd.DataFrame({name: both[name] == both[f"{name}_theirs"] for name in OUTCOME})
    agree, n = int(agreed.all(axis=1).sum()), len(both)
    here, there = both["success_final"], both["success_final_theirs"]
    won, alone = (here.sum(), there.sum()), ((here & ~there).sum(), (there & ~here).sum())
    status: Status = "same" if agree == n else "changed"
    by_field = ", ".join(f"{name} {int(agreed[name].sum())}" for name in OUTCOME)
    detail = f"{agree} of {n} episodes agree ({by_field}); successes {won[0]} and {won[1]}"
    if not n == len(ours) == len(theirs):
        status = "other episodes"
        detail = f"{n} episodes of ours {len(ours)} and theirs {len(theirs)} are shared"
    return Cell(record, status, detail, n, agree, *map(int, (*won, *alone)))


def _read(root: Path, path: Path, said: dict[str, object]) -> pd.DataFrame:
    """Read a record that nobody vouches for.

    Raises:
        UnblindError: it lies elsewhere, is too large, or is no record of this place.
    """
    if not path.resolve().is_relative_to(root) or not path.is_file():
        raise UnblindError("it is a link to elsewhere, or no file")
    if path.stat().st_size > LIMIT_BYTES:
        raise UnblindError(f"it has more than {LIMIT_BYTES:,} bytes")
    try:
        with pq.ParquetFile(path) as file:
            _check_shape(file)
            frame = file.read(columns=list(EPISODE)).to_pandas()
    except (pa.ArrowException, OSError, ValueError):
        raise UnblindError("it is no Parquet file that can be read") from None
    for problem in problems(frame, said):
        raise UnblindError(f"it {problem}")
    return frame


def _check_shape(file: pq.ParquetFile) -> None:
    """Refuse what would not be a record, before anything is unpacked."""
    meta, names = file.metadata, file.schema_arrow.names
    missing = [column for column in EPISODE if column not in names]
    if missing:
        raise UnblindError(f"it lacks the columns {', '.join(missing)}")
    if meta.num_rows > LIMIT_ROWS:
        raise UnblindError(f"it has {meta.num_rows:,} episodes: more than {LIMIT_ROWS:,}")
    size = sum(meta.row_group(index).total_byte_size for index in range(meta.num_row_groups))
    if size > LIMIT_UNPACKED:
        raise UnblindError(f"it unpacks to {size:,} bytes")
    if any(pa.types.is_nested(file.schema_arrow.field(name).type) for name in EPISODE):
        raise UnblindError("it has columns of columns")


def _names(root: Path) -> Iterator[str]:
    """Yield the places of all records in a folder, as they would be named here."""
    seen = 0
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            seen += 1
            if seen > LIMIT_FILES:
                raise UnblindError(f"{root} holds more than {LIMIT_FILES:,} files", "name less")
            if name.endswith(".parquet"):
                path = Path(folder, name).relative_to(root).with_suffix("").as_posix()
                yield path.encode("unicode_escape").decode()
