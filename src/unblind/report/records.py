"""Reading the records of rollouts and replay, with every check a report relies on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.sim.conditions import CONDITIONS
from unblind.sim.success import IMPLIED, MILESTONES
from unblind.study import jobs, provenance, record_names

_CONDITIONS = [condition.name for condition in CONDITIONS]
_FLAGS = ("success_final", "success_any", *MILESTONES)
_NUMBERS = ("seed", "episode_id", "steps")
#: Columns of a record that reports read, and of these what tells how an episode went.
EPISODE = ("run", "condition", *_NUMBERS, *_FLAGS)
OUTCOME = (*_FLAGS, "steps")
_REPLAY = ("episode_id", "raw_success", "tokenised_success")
#: In the sidecar of a record that may lack episodes by design (`unblind.steps.comparing`).
STOPPED = "stop_early"


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

    @cached_property
    def left_out(self) -> dict[tuple[int, str, int], tuple[str, ...]]:
        """Episodes that were not run: by seed, condition and id, the files that they lack."""
        return {
            (int(path.parent.name), record_names.condition_of(path.stem), number): files
            for path, meta in zip(self.paths, self.metas, strict=True)
            for number, files in not_run(meta).items()
        }

    @cached_property
    def keys(self) -> set[tuple[int, str, int]]:
        """Seed, condition and id of all that were to be evaluated: run or left out."""
        run = self.episodes[["seed", "condition", "episode_id"]]
        return {*run.itertuples(index=False, name=None), *self.left_out}

    @cached_property
    def asked(self) -> dict[str, list[int]]:
        """By seed and condition, the ids that were to be evaluated: run or left out."""
        ids: dict[str, list[int]] = {}
        for seed, condition, number in sorted(self.keys):
            ids.setdefault(f"{seed}/{condition}", []).append(number)
        return ids


def load_run(
    config: Config, run: str, folder: Path | str, names: Sequence[str] = tuple(_CONDITIONS)
) -> Records:
    """Read a run's records, ``folder/run/seed/NAME.parquet`` for every seed and name.

    Args:
        config: the whole configuration.
        run: the run's name.
        folder: of all records.
        names: conditions, or records of `record_names.arms`.

    Raises:
        UnblindError: a file is missing, corrupt, of another configuration, or holds other
            episodes than it says.
    """
    frames, metas, paths = [], [], []
    for seed in config.of(run).seeds:
        for name in names:
            frame, meta = load_cell(config, run, seed, name, folder)
            frames.append(frame)
            metas.append(meta)
            paths.append(record_path(folder, run, seed, name))
    return Records(run, pd.concat(frames, ignore_index=True), tuple(metas), tuple(paths))


def is_evaluated(config: Config, run: str, folder: Path | str) -> bool:
    """Tell whether a run has records of all seeds and conditions in a folder of records."""
    return all(
        record_path(folder, run, seed, name).is_file()
        for seed in config.of(run).seeds
        for name in _CONDITIONS
    )


def record_path(folder: Path | str, run: str, seed: int, name: str) -> Path:
    """Return the path of a record of a run and seed in a folder of records."""
    return Path(folder, run, str(seed), f"{name}.parquet")


def load_cell(
    config: Config, run: str, seed: int, name: str, folder: Path | str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read one record, one row an episode, and its sidecar.

    A record may lack episodes, even all, that its sidecar lists as not run.

    Args:
        config: the study.
        run: its run.
        seed: its seed.
        name: a condition, or the record of an instruction arm (`record_names.arms`).
        folder: of ``run/seed/name.parquet``.

    Raises:
        UnblindError: it is missing, corrupt, of another configuration, of a rollout that was
            allowed to stop early, or holds other episodes than it says.
    """
    path, condition = record_path(folder, run, seed, name), record_names.condition_of(name)
    frame, meta = _read(path, EPISODE)
    if STOPPED in (meta.get("extra") or {}):
        cause = f"the record {path} is incomplete by design: its rollout could stop early"
        raise UnblindError(cause, "evaluate the run with rollout.stop_early null")
    is_own = condition == name
    stage = jobs.stage_of(config, "rollout", run) if is_own else "arms"
    _check_origin(path, meta, jobs.settings(config, stage, run))
    said = {"run": run, "seed": seed, "condition": condition}
    left_out = not_run(meta)
    asked = config.of(run).rollout.count(condition)
    for problem in problems(frame, said, asked - len(left_out)):
        raise _remake(path, problem)
    if frame["episode_id"].isin(list(left_out)).any():
        raise _remake(path, "holds an episode that its sidecar says was not run")
    return frame, meta


def not_run(meta: Mapping[str, Any]) -> dict[int, tuple[str, ...]]:
    """Return from a record's sidecar which episodes were left out, and the files that they lack.

    Raises:
        UnblindError: the sidecar says it in another form.
    """
    told = (meta.get("extra") or {}).get("not_run", {})
    try:
        return {int(number): tuple(map(str, files)) for number, files in told.items()}
    except (AttributeError, TypeError, ValueError):
        cause = f"the sidecar of {meta.get('artifact')} lists episodes that were not run wrongly"
        raise UnblindError(cause, "delete the record and run the same command again") from None


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
    yield from _contradictions(frame)
    distinct = frame["episode_id"].nunique()
    if distinct != len(frame):
        yield f"holds an episode twice: {len(frame)} rows, {distinct} episodes"
    elif n is not None and distinct != n:
        yield f"holds {distinct} episodes instead of {n}"


def _contradictions(frame: pd.DataFrame) -> Iterator[str]:
    """Yield which outcomes a record holds without those that they imply."""
    if (frame["success_final"] > frame["success_any"]).any():
        yield "holds a success at the last step that is none at any step"
    for stage, before in IMPLIED:
        if (frame[stage] > frame[before]).any():
            yield f"holds an episode with the stage '{stage}' and without '{before}'"


def load(
    path: Path, columns: tuple[str, ...], config: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a record with these columns, made with these settings, and its sidecar.

    Raises:
        UnblindError: it is missing, corrupt, empty or of other settings.
    """
    frame, meta = _read(path, columns)
    _check_origin(path, meta, config)
    if frame.empty:
        raise _remake(path, "is empty")
    return frame, meta


def load_replay(config: Config, path: Path | str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the replay record and its sidecar.

    Raises:
        UnblindError: the file is missing, corrupt or of another configuration.
    """
    return load(Path(path), _REPLAY, jobs.settings(config, "replay"))


def episode_lists_hash(records: Iterable[Records]) -> str:
    """Return the SHA-256 of the ids of the episodes to evaluate, which all runs must share.

    Raises:
        UnblindError: two runs were evaluated on different episodes.
    """
    first: Records | None = None
    for run_records in records:
        first = first or run_records
        for key, ids in run_records.asked.items():
            if ids != first.asked.get(key):
                raise UnblindError(
                    f"runs '{first.run}' and '{run_records.run}' have different episodes ({key})",
                    f"delete the records of '{run_records.run}' and evaluate it again",
                )
    return digest(first.asked if first else {})


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
