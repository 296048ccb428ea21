"""What models answer to held-out questions: rates by kind, and what fine-tuning has changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unblind.config import Config
from unblind.report import records
from unblind.report.by_model import Measured, check_same
from unblind.report.stats import Estimate, clustered_difference, clustered_rate, seed_spread
from unblind.study import jobs, selection

_KEY = ["split", "picture", "kind", "names"]
_RECORD = (*_KEY, "right", "blind")
#: Columns in printing order: which answers count, by split and by whose names are asked for.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "held out": {"split": "heldout"},
    "study's names": {"split": "heldout", "names": "study"},
    "extra names": {"split": "heldout", "names": "extra"},
    "new looks": {"split": "style"},
    "new looks, study's names": {"split": "style", "names": "study"},
    "new looks, extra names": {"split": "style", "names": "extra"},
}
#: A kind of question with fewer answers in a column is left out of its mean: it weighs as much as
#: any other, and chance would decide.
LEAST = 20
#: Columns whose answers are told by kind, too.
BY_KIND = ("held out", "new looks")


@dataclass(frozen=True)
class Line:
    """One line of the table of answers.

    Attributes:
        run: the run's name.
        label: what it is called.
        part: 'all' seeds together, 'seed 1', or 'blind': of grey pictures.
        rates: by column, the mean over kinds, each weighing the same.
        kinds: by column of `BY_KIND` and kind of question.
        changes: by column, the difference to the base on the same questions; empty for itself.
        seed_sd: by column, plain standard deviation over seeds; empty with one.
    """

    run: str
    label: str
    part: str
    rates: Mapping[str, Estimate]
    kinds: Mapping[str, Mapping[str, Estimate]]
    changes: Mapping[str, Estimate]
    seed_sd: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Answers(Measured):
    """The answers of one model, of all its seeds: a row an answer; the value is ``right``.

    Attributes:
        metas: sidecars of the records.
    """

    metas: tuple[Mapping[str, Any], ...]


def load_answers(config: Config, folder: Path) -> dict[str, Answers]:
    """Return the answers of all runs that are there, ``folder/RUN/SEED.parquet``, in order.

    A run whose records are not all there is left out.

    Raises:
        UnblindError: a record is corrupt or of another configuration, or two runs were asked
            different questions.
    """
    found: dict[str, Answers] = {}
    for run in selection.needed_runs(config, "answers"):
        listed = jobs.of_run(config, "answers", run)
        paths = {job.seed_of_run: Path(folder, run, f"{job.seed_of_run}.parquet") for job in listed}
        if paths and all(path.is_file() for path in paths.values()):
            settings = jobs.settings(config, "answers", run)
            read = {seed: records.load(path, _RECORD, settings) for seed, path in paths.items()}
            frames = {seed: frame for seed, (frame, _) in read.items()}
            metas = tuple(meta for _, meta in read.values())
            label, files = config.runs[run].label, tuple(paths.values())
            found[run] = Answers(run, label, frames, ("right",), files, metas)
    check_same(list(found.values()), _KEY, "answers")
    return found


def summarise(config: Config, answers: Mapping[str, Answers]) -> list[Line]:
    """Return the lines of the table: models that no run trains first, then Table 1's runs."""
    base = next((name for name in answers if _is_base(config, name)), None)
    reference = None if base is None else answers[base].frame
    order = sorted(answers, key=lambda name: (config.runs[name].policy != "vlm", name != base))
    lines = []
    for name in order:
        model, label = answers[name], answers[name].label
        other = None if name == base else reference
        lines.append(_line(name, label, "all", model.frame, other, _spread(model)))
        if model.frame["blind"].notna().all():
            grey = model.frame.assign(right=model.frame["blind"].astype(float))
            lines.append(_line(name, label, "blind", grey, None, {}))
        if len(model.by_seed) > 1:
            for seed, frame in model.by_seed.items():
                lines.append(_line(name, label, f"seed {seed}", frame, other, {}))
    return lines


def kinds(lines: Sequence[Line], column: str) -> list[str]:
    """Return the kinds of question that a column holds, sorted."""
    return sorted({kind for line in lines for kind in line.kinds.get(column, {})})


def of_base(config: Config, lines: Sequence[Line]) -> Line | None:
    """Return the line of the base, which a gate judges."""
    return next((one for one in lines if one.part == "all" and _is_base(config, one.run)), None)


def _is_base(config: Config, run: str) -> bool:
    about = config.runs[run]
    return about.policy == "vla" and about.method is None


def _spread(model: Answers) -> dict[str, float]:
    by_seed = [_rates(frame) for frame in model.by_seed.values()]
    if len(by_seed) < 2:
        return {}
    spreads = {c: seed_spread([rates[c].value for rates in by_seed]).sd for c in by_seed[0]}
    return {column: sd for column, sd in spreads.items() if sd is not None}


def _line(
    run: str,
    label: str,
    part: str,
    frame: pd.DataFrame,
    other: pd.DataFrame | None,
    spread: Mapping[str, float],
) -> Line:
    by_kind = {
        column: {str(kind): _rate(some) for kind, some in _chosen(frame, column).groupby("kind")}
        for column in BY_KIND
    }
    changes = {}
    if other is not None:
        delta = frame.assign(right=frame["right"].astype(float) - other["right"])
        changes = {c: estimate(clustered_difference, some) for c, some in _columns(delta)}
    return Line(run, label, part, _rates(frame), by_kind, changes, spread)


def _rates(frame: pd.DataFrame) -> dict[str, Estimate]:
    return {column: _rate(some) for column, some in _columns(frame)}


def _columns(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the columns that have answers, with those of kinds that are asked often enough."""
    for column in COLUMNS:
        some = averaged(frame, column)
        if len(some):
            yield column, some


def averaged(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the answers of a column that its mean counts: of kinds that are asked often enough."""
    some = _chosen(frame, column)
    return some[some.groupby("kind")["kind"].transform("size") >= LEAST]


def _chosen(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    wanted = COLUMNS[column].items()
    mask = pd.concat([frame[key] == value for key, value in wanted], axis=1).all(axis=1)
    some = frame[mask]
    return some.assign(kind=some["kind"].astype(str))


def _rate(some: pd.DataFrame) -> Estimate:
    return estimate(clustered_rate, some)


def estimate(function: Any, some: pd.DataFrame) -> Estimate:
    """Return what `clustered_rate` or `clustered_difference` makes of answers."""
    values = some["right"].to_numpy(dtype=float)
    return Estimate(
        *function(values, some["kind"].to_numpy(), some["picture"].to_numpy()), len(some)
    )
