"""Records of linear probes of visual tokens: what is read, of whom, and from which pictures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report import by_model, records
from unblind.study import jobs, selection
from unblind.study.jobs import Job
from unblind.study.rows import scope

_TRUE = ("row", "column", "distance_cm", "height_cm")
_KEY = ["task", "look", "site", "picture", "name"]
_VALUES = ("right", "place", "distance", "height")
_COLUMNS = (*_KEY, "guess", *_TRUE, *(f"guessed_{name}" for name in _TRUE))
#: Height of a picture over its width.
ASPECT = 3 / 4
#: What models are held against beside the teacher, and how it is called.
REFERENCES = {"random": "Random weights", "pixels": "Pixels (16 x 12)"}


@dataclass(frozen=True)
class Measure:
    """One thing that is read.

    Attributes:
        key: its name.
        title: the same for readers, with the unit.
        tasks: whose pictures count: the first of them that was probed.
        column: of the prepared rows.
        kind: 'rate' of right names (more is better), or 'error' (less is better).
        scale: what a value is multiplied by for printing.
    """

    key: str
    title: str
    tasks: tuple[str, ...]
    column: str
    kind: Literal["rate", "error"]
    scale: float


MEASURES = (
    Measure("concepts", "named right, %", ("icons", "imagenet"), "right", "rate", 100),
    Measure("portraits", "portraits named right, %", ("portraits",), "right", "rate", 100),
    Measure("stills", "objects in stills named right, %", ("stills",), "right", "rate", 100),
    Measure("place", "error of the place, % of the width", ("stills",), "place", "error", 100),
    Measure("distance", "error of the distance, cm", ("stills",), "distance", "error", 1),
    Measure("height", "error of the height, cm", ("stills",), "height", "error", 1),
)
#: The measure that Table 3 is about.
CONCEPTS = MEASURES[0]


class Probed(by_model.Measured):
    """The probes of one model, of all its seeds, or of a reference: a row a test picture and site.

    Values are whether the picture is named right, and by how much its place, distance and height
    are missed.
    """

    @property
    def sites(self) -> list[str]:
        """Where tokens were taken, first to last."""
        return list(dict.fromkeys(self.frame["site"]))


def load_models(config: Config, folder: Path) -> dict[str, Probed]:
    """Return the probes of all runs whose records are there, those of no training first.

    Args:
        config: the study.
        folder: of ``RUN/SEED.parquet``.

    Raises:
        UnblindError: a record is corrupt or of another configuration, there is none, or two models
            were shown different pictures.
    """
    needed = selection.needed_runs(config, "probe")
    listed = sorted(needed, key=lambda run: by_model.order(config, run))
    read = {run: load_model(config, run, folder) for run in listed}
    found = {run: model for run, model in read.items() if model}
    if not found:
        raise UnblindError(f"{folder} has no probes of a model", "run: unblind probe --run base")
    by_model.check_same(list(found.values()), _KEY, "probe")
    return found


def load_model(config: Config, run: str, folder: Path) -> Probed | None:
    """Return the probes of a run, None where its records are not all there.

    Raises:
        UnblindError: a record is corrupt or of another configuration.
    """
    listed = jobs.of_run(config, "probe", run)
    paths = {job.seed_of_run: Path(folder, run, f"{job.seed_of_run}.parquet") for job in listed}
    if not paths or not all(path.is_file() for path in paths.values()):
        return None
    settings = jobs.settings(config, "probe", run)
    frames = {seed: _read(path, settings) for seed, path in paths.items()}
    return Probed(run, config.runs[run].label, frames, _VALUES, tuple(paths.values()))


def load_references(config: Config, folder: Path) -> dict[str, Probed]:
    """Return the probes of the study's teacher and of `REFERENCES`, from ``folder/NAME.parquet``.

    Raises:
        UnblindError: a record is missing, corrupt or of another configuration.
    """
    own = Job(config, "probe_references")
    paths = {name: Path(folder, f"{name}.parquet") for name in REFERENCES}
    return {"teacher": load_teacher(config, None, folder)} | {
        name: Probed(name, REFERENCES[name], {0: _read(path, own.settings)}, _VALUES, (path,))
        for name, path in paths.items()
    }


def load_teachers(config: Config, folder: Path, runs: Iterable[str]) -> dict[str, Probed]:
    """Return the probes of the teachers of aligned runs by run, those that there are.

    Runs with the same teacher have the same probe.

    Args:
        config: the study.
        folder: of ``teachers/NAME.parquet``.
        runs: of the study.

    Raises:
        UnblindError: a record is corrupt or of another configuration.
    """
    made_for, found = scope.teachers(config), {}
    for run in runs:
        teacher = config.of(run).training.align.teacher
        is_there = _teacher_path(folder, teacher).is_file()
        if config.run(run).method == "align" and is_there:
            found[run] = load_teacher(config, made_for[teacher], folder)
    return found


def _teacher_path(folder: Path, teacher: str) -> Path:
    return Path(folder, "teachers", f"{teacher}.parquet")


def load_teacher(config: Config, run: str | None, folder: Path) -> Probed:
    """Return the probe of a run's teacher; without a run, of the study's.

    Raises:
        UnblindError: the record is missing, corrupt or of another configuration.
    """
    job = Job(config, "probe_teacher", run)
    path = _teacher_path(folder, job.config.training.align.teacher)
    return Probed("teacher", "Teacher", {0: _read(path, job.settings)}, _VALUES, (path,))


def _read(path: Path, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return a record's rows with what is right and how far guesses are off."""
    frame, _ = records.load(path, _COLUMNS, settings)
    frame = frame.astype({key: str for key in (*_KEY, "guess") if key != "picture"})
    off = {name: (frame[f"guessed_{name}"] - frame[name]).abs() for name in _TRUE}
    return frame.assign(
        right=(frame["guess"] == frame["name"]).astype(float),
        place=np.hypot(off["column"], ASPECT * off["row"]),
        distance=off["distance_cm"],
        height=off["height_cm"],
    )


def chosen(frame: pd.DataFrame, measure: Measure, site: str) -> pd.DataFrame:
    """Return the rows of what is read at a site, of the first task that was probed."""
    task = next(task for task in measure.tasks if (frame["task"] == task).any())
    return frame[(frame["task"] == task) & (frame["site"] == site)]


def groups(some: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return of each row, (n,) and (n,), what weighs the same and what is drawn independently."""
    # Photographs are independent; drawings and portraits of one thing are not.
    cluster = "picture" if (some["task"] == "imagenet").all() else "name"
    return by_model.groups(some, "look", (cluster,))


def site_of(model: Probed, site: str) -> str:
    """Return the study's site, or that of a reference which has one of its own."""
    return site if site in model.sites else model.sites[0]


def at(model: Probed, measure: Measure, site: str) -> pd.DataFrame:
    """Return the rows of what is read at the study's site; see `site_of`."""
    return chosen(model.frame, measure, site_of(model, site))


def pairs(first: Probed, second: Probed, measure: Measure, site: str) -> pd.DataFrame:
    """Return the rows of two models about the same pictures: columns ``first`` and ``second``.

    Args:
        first, second: models or references.
        measure: what is read.
        site: of the study; a reference is read at its own, where it has no such.

    Raises:
        UnblindError: they were probed with other pictures.
    """
    key = [name for name in _KEY if name != "site"]
    both = (at(model, measure, site) for model in (first, second))
    own, other = (rows.reset_index(drop=True) for rows in both)
    if not own[key].equals(other[key]):
        raise UnblindError(
            f"'{first.run}' and '{second.run}' were probed with other pictures",
            "delete their records and run the commands that make them",
        )
    return own.assign(first=own[measure.column], second=other[measure.column])
