"""Is the instruction followed? The same scenes, told of their own and of the other thing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unblind.config import Config
from unblind.report.differences import pair
from unblind.report.records import Records, load_run
from unblind.report.stats import paired_bootstrap, wilson
from unblind.report.summary import COLUMN_OF, Share
from unblind.study.stages import TOLD_OTHER

#: Columns of Table 1 that are told, in printing order.
COLUMNS = tuple(COLUMN_OF[condition] for condition in TOLD_OTHER.values())


@dataclass(frozen=True)
class Following:
    """What one run does in one column, all seeds together; rates are fractions.

    Attributes:
        run, label: of the run.
        column: of Table 1.
        own: success when told of the episode's own object and plate.
        other: success *with these* when told of the other ones: the rate at which the instruction
            is ignored.
        difference: ``own`` minus ``other``, episode by episode.
        credit: the same difference in partial credit.
    """

    run: str
    label: str
    column: str
    own: Share
    other: Share
    difference: Share
    credit: Share


def load_told_other(config: Config, folder: Path) -> dict[str, Records]:
    """Return the records of the models that are rows of Table 1, told of the other thing.

    Raises:
        UnblindError: see `records.load_run`.
    """
    acting = [row for row in config.table1.rows if row in config.runs]
    acting = [row for row in acting if config.runs[row].policy == "vla"]
    return {run: load_run(config, run, folder, tuple(TOLD_OTHER)) for run in acting}


def following(
    config: Config, told_own: Mapping[str, Records], told_other: Mapping[str, Records]
) -> list[Following]:
    """Return the lines of the table, run by run.

    Args:
        config: for labels, and the bootstrap's seed.
        told_own: all records by run.
        told_other: those of `load_told_other`.

    Raises:
        UnblindError: a run was told of other scenes than its own.
    """
    lines = []
    for run, other in told_other.items():
        episodes = told_own[run].episodes
        own = episodes[episodes["condition"].isin(TOLD_OTHER.values())]
        pairs = pair(replace(told_own[run], episodes=own), other)
        for column in COLUMNS:
            some = pairs[pairs["column"] == column]
            if len(some):
                rates = (_rate(some[which].to_numpy()) for which in ("first", "second"))
                gains = (
                    Share(*paired_bootstrap([some[which].to_numpy()], config.seed), len(some))
                    for which in ("final", "credit")
                )
                lines.append(Following(run, config.runs[run].label, column, *rates, *gains))
    return lines


def _rate(successes: np.ndarray) -> Share:
    count, n = int(successes.sum()), len(successes)
    return Share(count / n, *wilson(count, n), n)
