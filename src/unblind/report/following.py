"""Is the instruction followed? The same scenes, told what to do and told something else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from unblind.config import Arm, Config
from unblind.report.differences import pair
from unblind.report.records import Records, load_run
from unblind.report.stats import holm, mcnemar_exact, paired_bootstrap, wilson
from unblind.report.summary import COLUMN_OF, Share
from unblind.study import record_names

#: What models are told instead of their instruction, as the table says it.
SAID: Mapping[Arm, str] = {
    "told_other": "of the other",
    "told_nothing": "nothing",
    "told_shuffled": "its words in another order",
    "told_paraphrase": "the same in other words",
}


@dataclass(frozen=True)
class Following:
    """What one run does in one column under one arm, all seeds together; rates are fractions.

    Attributes:
        run, label: of the run.
        column: of Table 1.
        arm: what it is told instead.
        own: success when told of the episode's own object and plate.
        other: success *with these* when told something else.
        difference: ``own`` minus ``other``, episode by episode.
        credit: the same difference in partial credit.
        p: of McNemar's exact test of the pairs, Holm-adjusted over all lines of the table.
    """

    run: str
    label: str
    column: str
    arm: Arm
    own: Share
    other: Share
    difference: Share
    credit: Share
    p: float

    @property
    def said(self) -> str:
        """What it is told, in words that follow 'told'."""
        return SAID[self.arm]


#: Records by run and name of the record.
ToldOtherwise = Mapping[tuple[str, str], Records]


def load_told_otherwise(config: Config, folder: Path) -> dict[tuple[str, str], Records]:
    """Return the records of the models that are rows of Table 1, told something else.

    Returns:
        by run and record's name (`record_names.arms`).

    Raises:
        UnblindError: see `records.load_run`.
    """
    acting = [row for row in config.table1.rows if row in config.runs]
    acting = [row for row in acting if config.runs[row].policy == "vla"]
    names = record_names.arms(config)
    return {(run, name): load_run(config, run, folder, (name,)) for run in acting for name in names}


def following(
    config: Config, told_own: Mapping[str, Records], told_otherwise: ToldOtherwise
) -> list[Following]:
    """Return the lines of the table, run by run.

    Args:
        config: for labels, and the bootstrap's seed.
        told_own: all records by run.
        told_otherwise: those of `load_told_otherwise`.

    Raises:
        UnblindError: a run was told of other scenes than its own.
    """
    told, lines = record_names.arms(config), []
    for (run, name), other in told_otherwise.items():
        condition, arm = told[name].condition, told[name].arm
        episodes = told_own[run].episodes
        own = replace(told_own[run], episodes=episodes[episodes["condition"] == condition])
        if len(pairs := pair(own, other)):
            lines.append(_line(config, run, COLUMN_OF[condition], arm, pairs))
    adjusted = holm([line.p for line in lines])
    return [replace(line, p=p) for line, p in zip(lines, adjusted, strict=True)]


def _line(config: Config, run: str, column: str, arm: Arm, pairs: pd.DataFrame) -> Following:
    rates = (_rate(pairs[which].to_numpy()) for which in ("first", "second"))
    gains = (
        Share(*paired_bootstrap([pairs[which].to_numpy()], config.seed), len(pairs))
        for which in ("final", "credit")
    )
    p = mcnemar_exact(int((pairs["final"] > 0).sum()), int((pairs["final"] < 0).sum()))
    return Following(run, config.runs[run].label, column, arm, *rates, *gains, p)


def _rate(successes: np.ndarray) -> Share:
    count, n = int(successes.sum()), len(successes)
    return Share(count / n, *wilson(count, n), n)
