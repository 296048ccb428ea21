"""Differences between two runs on identical episodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from unblind.errors import UnblindError
from unblind.report.records import Records
from unblind.report.stats import Spread, paired_bootstrap, seed_spread
from unblind.report.summary import COLUMN_OF, COLUMNS, MEANS, Row, Share, credit

#: Minuend and subtrahend; the first is always printed, the others when both runs are there.
PAIRS = (("align", "default"), ("freeze", "default"))
#: Groups of columns in printing order.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "in-distribution": COLUMNS["in-distribution"],
    **MEANS,
}
_KEY = ["seed", "condition", "episode_id"]
_FINALS = ("success_final", "success_final_other")
_ANYS = ("success_any", "success_any_other")


@dataclass(frozen=True)
class Paired:
    """A difference over the columns of a group; rates are fractions.

    Attributes:
        delta: mean over columns of the difference in success at the last step.
        low, high: its 95 % paired bootstrap interval over episodes within conditions.
        any: the same difference in success at any step.
        n: pairs of episodes.
        won: pairs in which the first run alone succeeds at the last step.
        lost: pairs in which the second alone does.
        credit: the difference in partial credit (`summary.credit`), with its interval.
    """

    delta: float
    low: float
    high: float
    any: float
    n: int
    won: int
    lost: int
    credit: Share


@dataclass(frozen=True)
class Difference:
    """One line of differences.

    Attributes:
        name: both rows' names.
        first, second: both rows' labels.
        groups: by group; absent without pairs in every column, as where a run is missing.
        improvement: by the same groups, see `improvement`.
        by_seed: by group, each seed's own ``delta``; absent with fewer than two seeds.
        spread: by the same groups, over these.
        published: by group, the difference of the paper's means; empty if it prints none.
    """

    name: str
    first: str
    second: str
    groups: Mapping[str, Paired]
    improvement: Mapping[str, Share]
    by_seed: Mapping[str, Mapping[int, float]]
    spread: Mapping[str, Spread]
    published: Mapping[str, float]


def differences(rows: Sequence[Row], records: Mapping[str, Records], seed: int) -> list[Difference]:
    """Return the differences between those rows of the table that `PAIRS` names.

    Args:
        rows: the table's rows.
        records: by run; a pair that lacks one is 'not run'.
        seed: of the bootstrap.

    Raises:
        UnblindError: two runs were not evaluated on the same episodes.
    """
    by_name = {row.name: row for row in rows}
    compared = []
    for first, second in PAIRS:
        is_run = first in records and second in records
        if {first, second} <= by_name.keys() and (is_run or (first, second) == PAIRS[0]):
            pairs = pair(records[first], records[second]) if is_run else None
            compared.append(_difference(by_name[first], by_name[second], pairs, seed))
    return compared


def _difference(first: Row, second: Row, pairs: pd.DataFrame | None, seed: int) -> Difference:
    there = set() if pairs is None else set(pairs["column"])
    filled = {name: columns for name, columns in GROUPS.items() if there.issuperset(columns)}
    by_seed = {name: _by_seed(pairs, columns) for name, columns in filled.items()}
    by_seed = {name: deltas for name, deltas in by_seed.items() if len(deltas) > 1}
    means = {name: (first.published_mean(name), second.published_mean(name)) for name in MEANS}
    published = {
        name: ours - theirs
        for name, (ours, theirs) in means.items()
        if ours is not None and theirs is not None
    }
    name = f"{first.name} - {second.name}"
    return Difference(
        name,
        first.label,
        second.label,
        groups={name: paired(pairs, columns, seed) for name, columns in filled.items()},
        improvement={name: improvement(pairs, columns, seed) for name, columns in filled.items()},
        by_seed=by_seed,
        spread={name: seed_spread([*deltas.values()]) for name, deltas in by_seed.items()},
        published=published,
    )


def shared(first: Records, second: Records) -> tuple[Records, Records]:
    """Return two runs' records, the larger ones cut to the episodes that the smaller ones ask for.

    A run may have fewer seeds and episodes than others (`unblind.config.learning.Run`): the first
    of theirs. What `pair` refuses, it refuses of these, too.
    """
    larger, smaller = sorted((first, second), key=lambda run: -len(run.keys))
    keys = larger.episodes[_KEY].itertuples(index=False, name=None)
    cut = replace(larger, episodes=larger.episodes[[key in smaller.keys for key in keys]])
    return (cut, second) if larger is first else (first, cut)


def pair(first: Records, second: Records) -> pd.DataFrame:
    """Pair the episodes of two runs: one row a pair. Those that one of them was not run on are out.

    Columns: ``seed``, ``episode_id``, ``column`` of the table, ``first`` and ``second``, each run's
    success at the last step, 0 or 1, ``final`` and ``any``, the difference in success at the last
    and at any step: -1, 0 or 1, ``credit``, that in partial credit, and ``further``: 1 if the first
    run has more of it, 0.5 if both have as much, 0 if the second has more.

    Raises:
        UnblindError: the runs were not evaluated on the same episodes.
    """
    columns = [*_KEY, "success_final", "success_any", "credit"]
    own, other = (
        run.episodes.assign(credit=credit(run.episodes))[columns] for run in (first, second)
    )
    merged = own.merge(other, on=_KEY, how="outer", suffixes=("", "_other"), indicator=True)
    both = merged[merged["_merge"] == "both"]
    _check_alone(first, second, merged[merged["_merge"] != "both"], both)
    first_final, second_final = (both[c].astype(int) for c in _FINALS)
    first_any, second_any = (both[c].astype(int) for c in _ANYS)
    difference = both["credit"] - both["credit_other"]
    return pd.DataFrame(
        {
            "seed": both["seed"],
            "episode_id": both["episode_id"],
            "column": both["condition"].map(COLUMN_OF),
            "first": first_final,
            "second": second_final,
            "final": first_final - second_final,
            "any": first_any - second_any,
            "credit": difference,
            "further": (1 + np.sign(difference)) / 2,
        }
    )


def _check_alone(first: Records, second: Records, alone: pd.DataFrame, both: pd.DataFrame) -> None:
    """Refuse two runs that were not evaluated on the same episodes, but for those left out."""
    left_out = first.left_out.keys() | second.left_out.keys()
    alone = alone[[key not in left_out for key in alone[_KEY].itertuples(index=False, name=None)]]
    if len(alone) or both.duplicated(_KEY).any():
        places = alone[_KEY[:2]].drop_duplicates().astype(str).agg("/".join, axis=1)
        raise UnblindError(
            f"runs '{first.run}' and '{second.run}' share only {len(both)} of "
            f"{max(len(first.episodes), len(second.episodes))} episodes "
            f"(seed/condition: {', '.join(places)})",
            "delete the records of one of them and evaluate it again",
        )


def paired(pairs: pd.DataFrame, columns: Sequence[str], seed: int, level: float = 0.95) -> Paired:
    """Return the mean difference over columns; ``pairs`` as `pair` returns them."""
    of_columns = [pairs[pairs["column"] == column] for column in columns]
    delta, low, high = paired_bootstrap(
        [group["final"].to_numpy() for group in of_columns], seed, level=level
    )
    final = np.concatenate([group["final"].to_numpy() for group in of_columns])
    return Paired(
        delta=delta,
        low=low,
        high=high,
        any=float(np.mean([group["any"].mean() for group in of_columns])),
        n=len(final),
        won=int((final > 0).sum()),
        lost=int((final < 0).sum()),
        credit=Share(
            *paired_bootstrap([group["credit"].to_numpy() for group in of_columns], seed),
            len(final),
        ),
    )


def improvement(pairs: pd.DataFrame, columns: Sequence[str], seed: int) -> Share:
    """Return the probability of improvement: that the first run comes further than the second.

    Pairs in which both come equally far count half, and every column weighs the same (Agarwal et
    al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", section 4.3,
    where all pairs of independent runs of a task stand in the place of identical episodes).
    """
    further = [pairs.loc[pairs["column"] == column, "further"].to_numpy() for column in columns]
    return Share(*paired_bootstrap(further, seed), sum(map(len, further)))


def _by_seed(pairs: pd.DataFrame, columns: Sequence[str]) -> dict[int, float]:
    """Return each seed's mean difference over columns; seeds without pairs in one are left out."""
    cells = pairs.groupby(["seed", "column"])["final"].mean().unstack()[list(columns)]
    return cells.dropna().mean(axis=1).to_dict()
