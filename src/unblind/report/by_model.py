"""Records that a stage has made of each model, side by side: means over seeds, and differences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report import records
from unblind.report.stats import ALPHA, Estimate, clustered_difference, clustered_p, holm
from unblind.study import jobs, selection
from unblind.study.stages import STAGES

#: Pairs of runs that are compared, the first minus the second.
PAIRS = (("base", "vlm"), ("default", "base"), ("align", "default"), ("freeze", "base"))


@dataclass(frozen=True, eq=False)
class Measured:
    """What a stage has measured of one model, of all its seeds.

    Attributes:
        run: its run.
        label: what it is called.
        by_seed: one row an item, the same ones in the same order for all seeds and models.
        values: columns that hold numbers; the others name the item.
        paths: the records.
    """

    run: str
    label: str
    by_seed: dict[int, pd.DataFrame]
    values: tuple[str, ...]
    paths: tuple[Path, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row an item; values are means over seeds."""
        frames, names = list(self.by_seed.values()), list(self.values)
        total = sum((frame[names].astype(float) for frame in frames[1:]), frames[0][names] * 1.0)
        return frames[0].assign(**(total / len(frames)))

    def minus(self, other: "Measured") -> pd.DataFrame:
        """Return the differences to another model of the same items."""
        names = list(self.values)
        return self.frame.assign(**(self.frame[names] - other.frame[names]))


@dataclass(frozen=True)
class Row:
    """A line of a table: its heading, and a cell for each column, None where nothing is known."""

    heading: str
    cells: Sequence[Estimate | None]


@dataclass(frozen=True)
class Change:
    """How one measure differs between two models.

    Attributes:
        labels: of the first and of the second, which is subtracted.
        cells: by layer or site, the mean difference on the same items, None where nothing is known.
        higher, lower: at which of them it is, by Holm's test over its family.
    """

    labels: tuple[str, str]
    cells: Mapping[Any, Estimate | None]
    higher: Sequence[Any]
    lower: Sequence[Any]


def load(
    config: Config, stage: str, items: Sequence[str], values: Sequence[str], output: int = 0
) -> dict[str, Measured]:
    """Return the records of all models that are there, those that no run trains first.

    A model whose records are not all there is left out.

    Args:
        config: the study.
        stage: of models.
        items: columns that name an item.
        values: columns that hold numbers, or truth values.
        output: number of the record among the stage's outputs.

    Raises:
        UnblindError: a record is corrupt or of another configuration, or two models' items differ.
    """
    found = load_each(config, stage, items, values, output)
    check_same(list(found.values()), items, stage)
    return found


def load_each(
    config: Config, stage: str, items: Sequence[str], values: Sequence[str], output: int = 0
) -> dict[str, Measured]:
    """Return the records of models that need not have the same items, as those of other depths.

    Arguments as for `load`.

    Raises:
        UnblindError: a record is corrupt or of another configuration.
    """
    found: dict[str, Measured] = {}
    for run in sorted(selection.needed_runs(config, stage), key=lambda run: order(config, run)):
        if model := load_model(config, stage, run, items, values, output):
            found[run] = model
    return found


def load_model(
    config: Config,
    stage: str,
    run: str,
    items: Sequence[str],
    values: Sequence[str],
    output: int = 0,
) -> Measured | None:
    """Return one model's records, None where they are not all there; arguments as for `load`.

    Raises:
        UnblindError: a record is corrupt or of another configuration.
    """
    listed = jobs.of_run(config, stage, run)
    paths = {job.seed_of_run: job.outputs[output] for job in listed}
    if not paths or not all(path.is_file() for path in paths.values()):
        return None
    settings, columns = jobs.settings(config, stage, run), (*items, *values)
    frames = {s: records.load(path, columns, settings)[0] for s, path in paths.items()}
    label = config.runs[run].label
    return Measured(run, label, frames, tuple(values), tuple(paths.values()))


def order(config: Config, run: str) -> tuple[bool, bool]:
    """Return what runs are sorted by: the VLM first, the base, then trained runs."""
    about = config.runs[run]
    return about.method is not None, about.policy != "vlm"


def check_same(models: Sequence[Measured], items: Sequence[str], stage: str) -> None:
    """Stop where two models were measured of other items.

    Args:
        models: any.
        items: columns that name an item.
        stage: that made the records.

    Raises:
        UnblindError: some were.
    """
    items = list(items)
    for model in models:
        for seed, frame in model.by_seed.items():
            first = next(iter(models[0].by_seed.values()))
            if not frame[items].astype(str).equals(first[items].astype(str)):
                raise UnblindError(
                    f"the record of run '{model.run}', seed {seed}, is of other items than that of "
                    f"'{models[0].run}'",
                    f"delete it and run: unblind {STAGES[stage].command} --run {model.run} "
                    f"--seed {seed}",
                )


def interval(
    some: pd.DataFrame,
    column: str,
    strata: str,
    clusters: Sequence[str],
    of: Callable[..., tuple[float, float, float]] = clustered_difference,
) -> Estimate | None:
    """Return the mean of a column with its 95 % interval; None where nothing is known.

    Args:
        some: rows.
        column: numbers; missing ones are left out.
        strata: column of groups that weigh the same.
        clusters: columns that together name what is drawn independently.
        of: what makes the interval: `clustered_difference`, or `clustered_rate` for shares.
    """
    known = some[some[column].notna()]
    if known.empty:
        return None
    return Estimate(*of(*_parts(known, column, strata, clusters)), len(known))


def p_value(some: pd.DataFrame, column: str, strata: str, clusters: Sequence[str]) -> float:
    """Return the two-sided p of a mean of 0; see `interval`."""
    known = some[some[column].notna()]
    return 1.0 if known.empty else clustered_p(*_parts(known, column, strata, clusters))


def pairs(models: Mapping[str, Measured]) -> list[tuple[Measured, Measured]]:
    """Return those of `PAIRS` whose models are both there."""
    return [(models[a], models[b]) for a, b in PAIRS if a in models and b in models]


def changes(
    deltas: Mapping[tuple[str, str], Mapping[Any, pd.DataFrame]],
    column: str,
    strata: str,
    clusters: Sequence[str],
) -> list[Change]:
    """Return what differs between pairs of models; all pairs and layers are one family of tests.

    Args:
        deltas: by both models' labels and by layer or site, the differences of the same items.
        column: see `interval`, as the others.
        strata: of equal weight.
        clusters: drawn independently.
    """
    flat = [some for by_layer in deltas.values() for some in by_layer.values()]
    p = iter(holm([p_value(some, column, strata, clusters) for some in flat]))
    found = []
    for labels, by_layer in deltas.items():
        cells = {n: interval(some, column, strata, clusters) for n, some in by_layer.items()}
        sure = {n: cell.value for n, cell in cells.items() if next(p) < ALPHA and cell is not None}
        higher, lower = ([n for n in sure if sign * sure[n] > 0] for sign in (1, -1))
        found.append(Change(labels, cells, higher, lower))
    return found


def _parts(known: pd.DataFrame, column: str, strata: str, clusters: Sequence[str]) -> tuple:
    return known[column].to_numpy(float), *groups(known, strata, clusters)


def groups(
    some: pd.DataFrame, strata: str, clusters: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return of each row, (n,) and (n,), what weighs the same and what is drawn; see `interval`."""
    first, *others = (some[name].astype(str) for name in clusters)
    unit = first.str.cat(others, sep="/")
    return some[strata].astype(str).to_numpy(), unit.to_numpy()
