"""Reading the records of rollouts and replay, with every check a report relies on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from unblind import provenance
from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.sim.conditions import CONDITIONS

_FLAGS = ("success_final", "success_any", "grasped")
_NUMBERS = ("seed", "episode_id", "steps")
#: Columns of a record that reports read.
EPISODE = ("run", "condition", *_NUMBERS, *_FLAGS)
_REPLAY = ("episode_id", "raw_success", "tokenised_success")


@dataclass(frozen=True, eq=False)
class Records:
    """All episodes of one run.

    Attributes:
        run: its name in the configuration.
        episodes: one row an episode, all conditions and seeds in order.
        metas: the sidecars of the files, in the order of reading.
        paths: the files.
    """

    run: str
    episodes: pd.DataFrame
    metas: tuple[dict[str, Any], ...]
    paths: tuple[Path, ...]


def load_run(config: Config, run: str, folder: Path | str) -> Records:
    """Read a run's records, ``folder/run/seed/condition.parquet`` for every seed and condition.

    Raises:
        UnblindError: a file is missing, corrupt, of another configuration, or holds other
            episodes than it says.
    """
    frames, metas, paths = [], [], []
    for seed in config.seeds:
        for condition in CONDITIONS:
            frame, meta = load_cell(config, run, seed, condition.name, folder)
            frames.append(frame)
            metas.append(meta)
            paths.append(record_path(folder, run, seed, condition.name))
    return Records(run, pd.concat(frames, ignore_index=True), tuple(metas), tuple(paths))


def record_path(folder: Path | str, run: str, seed: int, condition: str) -> Path:
    """Return where the record of a run, seed and condition lies in a folder of records."""
    return Path(folder, run, str(seed), f"{condition}.parquet")


def load_cell(
    config: Config, run: str, seed: int, condition: str, folder: Path | str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read one record, one row an episode, and its sidecar.

    Raises:
        UnblindError: it is missing, corrupt, of another configuration, or holds other episodes
            than it says.
    """
    path = record_path(folder, run, seed, condition)
    frame, meta = _read(path, EPISODE)
    _check_origin(path, meta, config.part("rollout", run))
    said = {"run": run, "seed": seed, "condition": condition}
    for problem in problems(frame, said, config.rollout.count(condition)):
        raise _remake(path, problem)
    return frame, meta


def problems(frame: pd.DataFrame, said: Mapping[str, Any], n: int | None = None) -> Iterator[str]:
    """Yield what is wrong with the rows of a record, in words that follow 'the record'.

    Stop at the first: what comes later relies on it.

    Args:
        frame: with the columns of a record.
        said: what the record's place says: run, seed and condition.
        n: wanted episodes; None if any number will do.
    """
    if frame[list(EPISODE)].isna().any(axis=None):
        holes = [column for column in EPISODE if frame[column].isna().any()]
        yield f"lacks values of {', '.join(holes)}"
        return
    for column, value in said.items():
        if not (frame[column] == value).all():
            yield f"holds another {column} than '{value}'"
    for columns, kinds, what in ((_FLAGS, "b", "true or false"), (_NUMBERS, "iu", "whole numbers")):
        for column in columns:
            if frame[column].dtype.kind not in kinds:
                yield f"holds something else than {what} as {column}"
    if (frame["success_final"] > frame["success_any"]).any():
        yield "holds a success at the last step that is none at any step"
    found = frame["episode_id"].nunique()
    if found != len(frame):
        yield f"holds an episode twice: {len(frame)} rows, {found} episodes"
    elif n is not None and found != n:
        yield f"holds {found} episodes instead of {n}"


def load_replay(config: Config, path: Path | str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the replay record and its sidecar.

    Raises:
        UnblindError: the file is missing, corrupt or of another configuration.
    """
    frame, meta = _read(Path(path), _REPLAY)
    _check_origin(Path(path), meta, config.part("replay"))
    if frame.empty:
        raise _remake(Path(path), "holds no episode")
    return frame, meta


def episode_lists_hash(records: Iterable[Records]) -> str:
    """Return the SHA-256 of the evaluated episode ids, which all runs must share.

    Raises:
        UnblindError: two runs were evaluated on different episodes.
    """
    first: tuple[str, Mapping[str, list[int]]] | None = None
    for one in records:
        lists = {
            f"{seed}/{condition}": group["episode_id"].tolist()
            for (seed, condition), group in one.episodes.groupby(["seed", "condition"])
        }
        if first is None:
            first = (one.run, lists)
        for key, ids in lists.items():
            if ids != first[1][key]:
                raise UnblindError(
                    f"runs '{first[0]}' and '{one.run}' have different episodes ({key})",
                    f"delete the records of '{one.run}' and evaluate it again",
                )
    return digest(first[1] if first else {})


def _read(path: Path, columns: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a Parquet file and its sidecar after comparing their hashes."""
    if not path.is_file():
        raise UnblindError(f"the record {path} is missing", "run the command that makes it")
    meta = provenance.read(path)
    if meta.get("sha256") != sha256(path):
        raise _remake(path, "is corrupt: its content differs from its sidecar")
    try:
        frame = pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError):
        raise _remake(path, "is corrupt: it is no Parquet file") from None
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise _remake(path, f"lacks the columns {', '.join(missing)}")
    return frame, meta


def _check_origin(path: Path, meta: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if meta.get("config_hash") != digest(config):
        raise _remake(path, "was made with another configuration")


def _remake(path: Path, what: str) -> UnblindError:
    return UnblindError(f"the record {path} {what}", "delete it and run the same command again")
