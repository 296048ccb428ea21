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
#: Headings of the stages (`unblind.sim.success.Milestones`).
STAGE_HEADINGS: Mapping[str, str] = {
    "reached": "reached",
    "grasped": "grasped",
    "consecutive_grasp": "grasped for 5 steps",
    "lifted": "lifted",
    "over_plate": "over the plate",
    "released": "released",
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
        credit: mean partial credit (`credit`).
        low, high: 95 % Wilson interval of ``final / n``.
    """

    n: int
    final: int
    any: int
    grasped: int
    credit: float
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share of episodes that end in success."""
        return self.final / self.n


@dataclass(frozen=True)
class Share:
    """Mean share of episodes, each column weighing the same.

    Attributes:
        rate: mean of the columns' shares.
        low, high: 95 % bootstrap interval over episodes within conditions.
        n: episodes.
    """

    rate: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Mean:
    """Mean rate over the columns of a group.

    Attributes:
        rate: mean of the columns' rates.
        any: the same of success at any step.
        low, high: 95 % paired bootstrap interval over episodes within conditions.
        seed_sd: plain standard deviation of the seeds' means; None with one seed.
        credit: mean partial credit (`credit`).
    """

    rate: float
    any: float
    low: float
    high: float
    seed_sd: float | None
    credit: Share


@dataclass(frozen=True)
class Row:
    """One line of the table: our numbers, as far as there are any, and the paper's (if printed).

    Attributes:
        name, label: of the run.
        cells: by column; those without an episode are absent.
        means: by group; those of which a column has no episode are absent.
        stages: by milestone (`unblind.sim.success.Milestones`), over the 13 columns; empty if one
            of them has no episode.
        published: the paper's row.
    """

    name: str
    label: str
    cells: Mapping[str, Cell]
    means: Mapping[str, Mean]
    stages: Mapping[str, Share]
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
        rows.append(summarise_run(name, label, records.get(name), paper, config.seed))
    return rows


def summarise_run(
    name: str, label: str, records: Records | None, paper: PublishedRow | None, seed: int
) -> Row:
    """Return one row; without records it is 'not run'.

    Args:
        name: of the row.
        label: what it is called.
        records: of its run.
        paper: what the paper prints.
        seed: of the bootstrap.
    """
    if records is None:
        return Row(name, label, {}, {}, {}, paper)
    episodes = records.episodes
    by_column = episodes.assign(column=episodes["condition"].map(COLUMN_OF))
    figures = _cells(by_column), _means(by_column, seed), _stages(by_column, seed)
    return Row(name, label, *figures, paper)


def credit(episodes: pd.DataFrame) -> pd.Series:
    """Return each episode's partial credit, 0 to 1: how far it got on the way to success.

    A success at the last step counts 1; any other episode the share of seven marks that it has
    reached, which are the milestones (`unblind.sim.success`) and success itself.
    """
    reached = episodes[list(STAGE_HEADINGS)].sum(axis=1) / (len(STAGE_HEADINGS) + 1)
    return reached.where(~episodes["success_final"].astype(bool), 1.0)


def _cells(episodes: pd.DataFrame) -> dict[str, Cell]:
    groups = {column: episodes[episodes["column"] == column] for column in COLUMN_OF.values()}
    return {column: _cell(group) for column, group in groups.items() if len(group)}


def _cell(group: pd.DataFrame) -> Cell:
    final = int(group["success_final"].sum())
    low, high = wilson(final, len(group))
    return Cell(
        n=len(group),
        final=final,
        any=int(group["success_any"].sum()),
        grasped=int(group["grasped"].sum()),
        credit=float(credit(group).mean()),
        low=low,
        high=high,
    )


def _means(episodes: pd.DataFrame, seed: int) -> dict[str, Mean]:
    there = set(episodes["column"])
    return {
        group: _mean(episodes, columns, seed)
        for group, columns in MEANS.items()
        if there.issuperset(columns)
    }


def _stages(episodes: pd.DataFrame, seed: int) -> dict[str, Share]:
    columns = MEANS["all 13"]
    of_columns = episodes[episodes["column"].isin(columns)]
    if of_columns["column"].nunique() < len(columns):
        return {}
    return {
        stage: Share(
            *paired_bootstrap(_outcomes(of_columns, columns, stage), seed), len(of_columns)
        )
        for stage in STAGE_HEADINGS
    }


def _outcomes(episodes: pd.DataFrame, columns: tuple[str, ...], outcome: str) -> list[np.ndarray]:
    """Return one array a column: each episode's outcome."""
    return [
        episodes.loc[episodes["column"] == column, outcome].to_numpy(dtype=np.float64)
        for column in columns
    ]


def _mean(episodes: pd.DataFrame, columns: tuple[str, ...], seed: int) -> Mean:
    of_columns = episodes[episodes["column"].isin(columns)]
    rate, low, high = paired_bootstrap(_outcomes(of_columns, columns, "success_final"), seed)
    at_any_step = fmean(of_columns.groupby("column")["success_any"].mean())
    # Every condition weighs the same, also within a seed.
    per_cell = of_columns.groupby(["seed", "column"])["success_final"].mean()
    per_seed = per_cell.groupby("seed").mean().tolist()
    by_credit = of_columns.assign(credit=credit(of_columns))
    partial = paired_bootstrap(_outcomes(by_credit, columns, "credit"), seed)
    spread = seed_spread(per_seed).sd
    return Mean(rate, at_any_step, low, high, spread, Share(*partial, len(of_columns)))
