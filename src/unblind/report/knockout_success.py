"""What success costs if text and actions cannot see the target: rows of the attention page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report import records
from unblind.report.stats import holm, mcnemar_exact, paired_bootstrap, wilson
from unblind.report.summary import Share
from unblind.study import jobs, selection

#: What is hidden, by record, as the page says it; the first is what the others are compared with.
HIDDEN: Mapping[str, str] = {
    "nothing": "nothing",
    "target": "the target",
    "target_first_half": "the target in the first half of the layers",
    "target_second_half": "the target in the second half",
    "elsewhere": "as many other tokens",
}
_COLUMNS = ("run", "seed", "condition", "episode_id", "hidden", "success_final")
_KEY = ["seed", "episode_id"]


@dataclass(frozen=True)
class Blinded:
    """The episodes of a run, of all its seeds.

    Attributes:
        label: of the run.
        by_hidden: by what is hidden, one row an episode, indexed by seed and episode id; the same
            episodes in the same order.
        paths: of the records.
    """

    label: str
    by_hidden: Mapping[str, pd.DataFrame]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Loss:
    """A line of the table; rates are fractions.

    Attributes:
        label: of the run.
        hidden: one of `HIDDEN`.
        success: at the last step, with Wilson's interval.
        change: success minus that with nothing hidden, episode by episode; None for nothing.
        p: of McNemar's exact test of the pairs, Holm-adjusted over all lines of the table.
    """

    label: str
    hidden: str
    success: Share
    change: Share | None = None
    p: float | None = None


def load(config: Config) -> dict[str, Blinded]:
    """Return the records of all runs that are there; a run that lacks some is left out.

    Raises:
        UnblindError: a record is corrupt or of another configuration, or two records of a run are
            of different episodes.
    """
    found = {}
    for run in selection.needed_runs(config, "knockout"):
        listed = jobs.of_run(config, "knockout", run)
        paths = [path for job in listed for path in job.outputs]
        if paths and all(path.is_file() for path in paths):
            settings = jobs.settings(config, "knockout", run)
            frames = [records.load(path, _COLUMNS, settings)[0] for path in paths]
            found[run] = Blinded(config.runs[run].label, _by_hidden(run, frames), tuple(paths))
    return found


def _by_hidden(run: str, frames: Sequence[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    whole = pd.concat(frames, ignore_index=True)
    by_hidden = {
        name: whole[whole["hidden"] == name].set_index(_KEY).sort_index() for name in HIDDEN
    }
    wanted = by_hidden["nothing"].index
    if not wanted.is_unique or any(not some.index.equals(wanted) for some in by_hidden.values()):
        raise UnblindError(
            f"the knockouts of run '{run}' are of different episodes",
            f"delete its records and run: unblind rollout --knockout --run {run}",
        )
    return by_hidden


def losses(models: Mapping[str, Blinded], seed: int) -> list[Loss]:
    """Return the lines of the table, run by run.

    Args:
        models: from `load`.
        seed: of the bootstrap.
    """
    lines = [line for model in models.values() for line in _of_run(model, seed)]
    adjusted = iter(holm([line.p for line in lines if line.p is not None]))
    return [line if line.p is None else replace(line, p=next(adjusted)) for line in lines]


def _of_run(model: Blinded, seed: int) -> list[Loss]:
    before, lines = model.by_hidden["nothing"]["success_final"].to_numpy(int), []
    for name, frame in model.by_hidden.items():
        after = frame["success_final"].to_numpy(int)
        n = len(after)
        line = Loss(model.label, name, Share(after.mean(), *wilson(int(after.sum()), n), n))
        if name != "nothing":
            delta = after - before
            p = mcnemar_exact(int((delta > 0).sum()), int((delta < 0).sum()))
            change = Share(*paired_bootstrap([delta], seed), n)
            line = replace(line, change=change, p=p)
        lines.append(line)
    return lines
