"""From episodes to the numbers of a success-rate table."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd

from unblind.config import Config
from unblind.report.published import PublishedRow, PublishedTable
from unblind.report.records import Records
from unblind.report.stats import paired_bootstrap, seed_spread, wilson
from unblind.sim.conditions import CONDITIONS

GROUPS = ("semantic", "vision", "execution")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    suite: tuple(c.column for c in CONDITIONS if c.suite == suite)
    for suite in ("in-distribution", *GROUPS)
}
#: Group means: the three groups and all 13 columns that leave the training distribution.
MEANS: Mapping[str, tuple[str, ...]] = {
    **{group: COLUMNS[group] for group in GROUPS},
    "all 13": tuple(column for group in GROUPS for column in COLUMNS[group]),
}
#: Column headings by condition.
COLUMN_OF = {c.name: c.column for c in CONDITIONS}


@dataclass(frozen=True)
class Cell:
    """Episodes of one run under one condition, seeds pooled.

    Attributes:
        n: episodes.
        final: episodes that are a success at the last step, the headline.
        any: episodes that are a success at some step.
        grasped: episodes in which the object was grasped.
        low, high: 95 % Wilson interval of ``final / n``.
    """

    n: int
    final: int
    any: int
    grasped: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share of episodes that end in success."""
        return self.final / self.n


@dataclass(frozen=True)
class Mean:
    """Mean rate over the columns of a group.

    Attributes:
        rate: mean of the columns' rates.
        any: the same of success at any step.
        low, high: 95 % paired bootstrap interval over episodes within conditions.
        seed_sd: plain standard deviation of the seeds' means; None with one seed.
    """

    rate: float
    any: float
    low: float
    high: float
    seed_sd: float | None


@dataclass(frozen=True)
class Row:
    """One line of the table: our numbers (empty if not run) and the paper's (if printed)."""

    name: str
    label: str
    cells: Mapping[str, Cell]
    means: Mapping[str, Mean]
    published: PublishedRow | None

    def published_mean(self, group: str) -> float | None:
        """Mean of the paper's printed values over a group's columns."""
        if self.published is None:
            return None
        return fmean(self.published.cells[column][0] for column in MEANS[group])


def summarise(
    config: Config, records: Mapping[str, Records], published: PublishedTable
) -> list[Row]:
    """Return the rows of Table 1 in the configured order.

    Args:
        config: names the rows; its seed drives the bootstrap.
        records: by run; a row whose run is absent is 'not run'.
        published: the paper's table.
    """
    rows = []
    for name in config.table1.rows:
        paper = published.rows.get(name)
        label = config.runs[name].label if name in config.runs else paper.label if paper else name
        episodes = records[name].episodes if name in records else None
        cells = {} if episodes is None else _cells(episodes)
        means = {} if episodes is None else _means(episodes, config.seed)
        rows.append(Row(name, label, cells, means, paper))
    return rows


def _cells(episodes: pd.DataFrame) -> dict[str, Cell]:
    return {
        column: _cell(episodes[episodes["condition"] == condition])
        for condition, column in COLUMN_OF.items()
    }


def _cell(group: pd.DataFrame) -> Cell:
    final = int(group["success_final"].sum())
    low, high = wilson(final, len(group))
    return Cell(
        n=len(group),
        final=final,
        any=int(group["success_any"].sum()),
        grasped=int(group["grasped"].sum()),
        low=low,
        high=high,
    )


def _means(episodes: pd.DataFrame, seed: int) -> dict[str, Mean]:
    by_column = episodes.assign(column=episodes["condition"].map(COLUMN_OF))
    return {group: _mean(by_column, columns, seed) for group, columns in MEANS.items()}


def _mean(episodes: pd.DataFrame, columns: tuple[str, ...], seed: int) -> Mean:
    chosen = episodes[episodes["column"].isin(columns)]
    arrays = [
        chosen.loc[chosen["column"] == column, "success_final"].to_numpy(dtype=np.int64)
        for column in columns
    ]
    rate, low, high = paired_bootstrap(arrays, seed)
    at_any_step = fmean(chosen.groupby("column")["success_any"].mean())
    # Every condition weighs the same, also within a seed.
    per_cell = chosen.groupby(["seed", "column"])["success_final"].mean()
    per_seed = per_cell.groupby("seed").mean().tolist()
    return Mean(rate, at_any_step, low, high, seed_spread(per_seed).sd)
