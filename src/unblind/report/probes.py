"""What linear probes read from visual tokens: rates and errors by site, and their differences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report import records
from unblind.report.answers import Rate
from unblind.report.stats import (
    clustered_difference,
    clustered_p,
    clustered_rate,
    holm,
    seed_spread,
)
from unblind.study import jobs, selection
from unblind.study.jobs import Job
from unblind.study.rows import scope

_TRUE = ("row", "column", "distance_cm", "height_cm")
_KEY = ["task", "look", "site", "picture", "name"]
_COLUMNS = (*_KEY, "guess", *_TRUE, *(f"guessed_{name}" for name in _TRUE))
_ASPECT = 3 / 4
"""Height of a picture over its width."""
#: Highest chance to name a site at which two models do not differ, all sites of a line together.
ALPHA = 0.05
#: What is compared: the first minus the second, on the same pictures.
PAIRS = (
    ("base", "vlm"),
    ("default", "base"),
    ("freeze", "base"),
    ("align", "base"),
    ("align", "default"),
)
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


@dataclass(frozen=True, eq=False)
class Probed:
    """The probes of one model, of all its seeds, or of a reference.

    Attributes:
        name: of its run, or of the reference.
        label: what it is called.
        by_seed: one row a test picture and site, in the same order for all seeds.
        paths: the records.
    """

    name: str
    label: str
    by_seed: Mapping[int, pd.DataFrame]
    paths: tuple[Path, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows with means over seeds: share that names it right, and errors."""
        first, *others = self.by_seed.values()
        means = {
            column: sum((other[column] for other in others), start=first[column])
            / (len(others) + 1)
            for column in ("right", "place", "distance", "height")
        }
        return first.assign(**means)

    @property
    def sites(self) -> list[str]:
        """Where tokens were taken, first to last."""
        return list(dict.fromkeys(self.frame["site"]))


@dataclass(frozen=True)
class Difference:
    """Two models at every site, on the same pictures.

    Attributes:
        labels: of both; the second is subtracted.
        runs: their names.
        measure: what is compared.
        sites: by site, the mean difference with its interval.
        differing: sites at which Holm's test over all sites finds one.
        by_seed: at the study's site, the difference of each training seed; empty with one.
    """

    labels: tuple[str, str]
    runs: tuple[str, str]
    measure: Measure
    sites: Mapping[str, Rate]
    differing: tuple[str, ...]
    by_seed: tuple[float, ...]

    def verdict(self, site: str) -> Literal["better", "worse", "no difference seen"]:
        """Return what the interval at a site says of the first model."""
        rate, sign = self.sites[site], 1 if self.measure.kind == "rate" else -1
        if rate.low <= 0 <= rate.high:
            return "no difference seen"
        return "better" if sign * rate.value > 0 else "worse"


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
    listed = sorted(needed, key=lambda name: _order(config, name))
    read = {run: load_model(config, run, folder) for run in listed}
    found = {run: model for run, model in read.items() if model}
    if not found:
        raise UnblindError(f"{folder} has no probes of a model", "run: unblind probe --run base")
    check_same(found.values())
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
    return Probed(run, config.runs[run].label, frames, tuple(paths.values()))


def load_references(config: Config, folder: Path) -> dict[str, Probed]:
    """Return the probes of the study's teacher and of `REFERENCES`, from ``folder/NAME.parquet``.

    Raises:
        UnblindError: a record is missing, corrupt or of another configuration.
    """
    own = Job(config, "probe_references")
    paths = {name: Path(folder, f"{name}.parquet") for name in REFERENCES}
    return {"teacher": load_teacher(config, None, folder)} | {
        name: Probed(name, REFERENCES[name], {0: _read(path, own.settings)}, (path,))
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
    return Probed("teacher", "Teacher", {0: _read(path, job.settings)}, (path,))


def _order(config: Config, run: str) -> tuple[bool, ...]:
    about = config.runs[run]
    return about.policy != "vlm", about.method is not None


def _read(path: Path, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return a record's rows with what is right and how far guesses are off."""
    frame, _ = records.load(path, _COLUMNS, settings)
    frame = frame.astype({key: str for key in (*_KEY, "guess") if key != "picture"})
    off = {name: (frame[f"guessed_{name}"] - frame[name]).abs() for name in _TRUE}
    return frame.assign(
        right=(frame["guess"] == frame["name"]).astype(float),
        place=np.hypot(off["column"], _ASPECT * off["row"]),
        distance=off["distance_cm"],
        height=off["height_cm"],
    )


def check_same(models: Iterable[Probed]) -> None:
    """Stop where two models were probed with other pictures or at other places.

    Raises:
        UnblindError: some were.
    """
    first: pd.DataFrame | None = None
    for model in models:
        for seed, frame in model.by_seed.items():
            first = frame[_KEY] if first is None else first
            if not frame[_KEY].equals(first):
                raise UnblindError(
                    f"run '{model.name}', seed {seed}, was probed with other pictures or at other "
                    "places than another run",
                    f"delete its record and run: unblind probe --run {model.name} --seed {seed}",
                )


# ---- numbers ----------------------------------------------------------------------------------


def rates(model: Probed, measure: Measure) -> dict[str, Rate]:
    """Return by site how much is read, with 95 % intervals; looks weigh the same.

    What is drawn or portrayed several times is one cluster: its pictures are not independent.
    """
    function = clustered_rate if measure.kind == "rate" else clustered_difference
    return {site: _estimate(function, some, measure) for site, some in _by_site(model, measure)}


def spread(model: Probed, measure: Measure, site: str) -> float | None:
    """Return the standard deviation over training seeds at a site; None with one seed."""
    means = [
        float(_chosen(frame, measure, site)[measure.column].mean())
        for frame in model.by_seed.values()
    ]
    return seed_spread(means).sd


def chance(model: Probed, measure: Measure) -> float:
    """Return what needs no picture: one name for all, or the mean place of all test pictures."""
    _, some = next(_by_site(model, measure))
    if measure.kind == "rate":
        return 1 / some["name"].nunique()
    if measure.column == "place":
        x, y = some["column"] - some["column"].mean(), some["row"] - some["row"].mean()
        return float(np.hypot(x, _ASPECT * y).mean())
    values = some[f"{measure.column}_cm"]
    return float((values - values.mean()).abs().mean())


def differences(models: Mapping[str, Probed], site: str) -> list[Difference]:
    """Return those of `PAIRS` whose models were probed, for each measure.

    Args:
        models: by run.
        site: at which seeds are told apart.
    """
    return [
        _difference(models[first], models[second], measure, site)
        for measure in MEASURES
        for first, second in PAIRS
        if first in models and second in models
    ]


def _difference(first: Probed, second: Probed, measure: Measure, site: str) -> Difference:
    by_site = {name: some for name, some in _by_site(first, measure, second)}
    p = holm({name: _call(clustered_p, some, measure) for name, some in by_site.items()})
    seeds = []
    if len(first.by_seed) > 1:
        for seed, frame in first.by_seed.items():
            other = second.by_seed.get(seed, second.frame)
            some = _minus(_chosen(frame, measure, site), other, measure)
            seeds.append(float(some[measure.column].mean()))
    return Difference(
        (first.label, second.label),
        (first.name, second.name),
        measure,
        {name: _estimate(clustered_difference, some, measure) for name, some in by_site.items()},
        tuple(name for name in by_site if p[name] < ALPHA),
        tuple(seeds),
    )


def _by_site(
    model: Probed, measure: Measure, other: Probed | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each site, or the differences to another model's."""
    for site in model.sites:
        some = _chosen(model.frame, measure, site)
        yield site, some if other is None else _minus(some, other.frame, measure)


def _chosen(frame: pd.DataFrame, measure: Measure, site: str) -> pd.DataFrame:
    task = next(task for task in measure.tasks if (frame["task"] == task).any())
    return frame[(frame["task"] == task) & (frame["site"] == site)]


def _minus(some: pd.DataFrame, other: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Return rows with the values of another model's same rows subtracted."""
    column = measure.column
    return some.assign(**{column: some[column] - other.loc[some.index, column]})


def _estimate(function: Any, some: pd.DataFrame, measure: Measure) -> Rate:
    return Rate(*_call(function, some, measure), len(some))


def _call(function: Any, some: pd.DataFrame, measure: Measure) -> Any:
    return function(some[measure.column].to_numpy(dtype=float), *groups(some))


def groups(some: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return of each row what weighs the same and what is drawn independently."""
    # Photographs are independent; drawings and portraits of one thing are not.
    cluster = "picture" if (some["task"] == "imagenet").all() else "name"
    return some["look"].to_numpy(), some[cluster].to_numpy()


def site_of(model: Probed, site: str) -> str:
    """Return the study's site, or that of a reference which has one of its own."""
    return site if site in model.sites else model.sites[0]


def at(model: Probed, measure: Measure, site: str) -> pd.DataFrame:
    """Return the rows of what is read at the study's site; see `site_of`."""
    return _chosen(model.frame, measure, site_of(model, site))


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
            f"'{first.name}' and '{second.name}' were probed with other pictures",
            "delete their records and run the commands that make them",
        )
    return own.assign(first=own[measure.column], second=other[measure.column])


def sentence(found: Sequence[Difference], site: str) -> str:
    """Return in one sentence what the concepts' probe says at a site of the two comparisons."""
    told = [
        one
        for pair in (("default", "base"), ("align", "default"))
        for one in found
        if one.runs == pair and one.measure is CONCEPTS
    ]
    if not told:
        return "Without the base, Default and Align there is nothing to compare."
    text = "; ".join(_clause(one, site) for one in told) + "."
    return text[0].upper() + text[1:]


def _clause(one: Difference, site: str) -> str:
    first, second = one.labels
    rate, points = one.sites[site], [100 * v for v in (one.sites[site].low, one.sites[site].high)]
    words = {
        "better": f"more is read from {first} than from {second}",
        "worse": f"less is read from {first} than from {second}",
        "no difference seen": f"no difference is seen between {first} and {second}",
    }[one.verdict(site)]
    return (
        f"at {site} {words} ({100 * rate.value:+.1f} points [{points[0]:+.1f}, {points[1]:+.1f}])"
    )
