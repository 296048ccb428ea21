"""What training changes in what a model knows: answers of two models to the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from unblind.config import Config
from unblind.report.answers import BY_KIND, Answers, averaged, estimate
from unblind.report.stats import ALPHA, Estimate, clustered_difference, clustered_p, holm

#: What is asked, and the runs whose answers tell: the first minus the second.
QUESTIONS = (
    ("Does robot pretraining forget?", "base", "vlm"),
    ("Does fine-tuning forget?", "default", "base"),
    ("Does Freeze forget?", "freeze", "base"),
    ("Does Align forget?", "align", "base"),
    ("Does Align keep more than Default?", "align", "default"),
)


@dataclass(frozen=True)
class Finding:
    """The answer to one of `QUESTIONS` in one column of the table of answers.

    Attributes:
        question: what is asked.
        first, second: names of the runs.
        labels: what they are called.
        column: see `answers.COLUMNS`.
        change: the first's rate minus the second's, mean over kinds of question, of the same
            questions; 95 % interval over pictures.
        by_seed: the same of each training seed; empty with one.
        kinds: kinds of question that changed, by Holm's test over all of them, with the change.
    """

    question: str
    first: str
    second: str
    labels: tuple[str, str]
    column: str
    change: Estimate
    by_seed: tuple[float, ...]
    kinds: Mapping[str, float]

    @property
    def verdict(self) -> Literal["more right", "fewer right", "no difference seen"]:
        """What the interval says."""
        if self.change.low > 0:
            return "more right"
        return "fewer right" if self.change.high < 0 else "no difference seen"


def findings(config: Config, answers: Mapping[str, Answers]) -> list[Finding]:
    """Return the answers to those of `QUESTIONS` whose runs were asked often enough."""
    found = [
        _finding(config, question, answers[first], answers[second], column)
        for question, first, second in QUESTIONS
        for column in BY_KIND
        if first in answers and second in answers
    ]
    return [finding for finding in found if finding is not None]


def _finding(
    config: Config, question: str, first: Answers, second: Answers, column: str
) -> Finding | None:
    change = _changes(first.frame, second.frame, column)
    if change.empty:
        return None
    pairs = _pairs_of_seeds(first, second)
    seeds = [_changes(*frames, column)["right"] for frames in pairs] if len(pairs) > 1 else []
    kinds = change["kind"]
    labels = tuple(config.runs[model.run].label for model in (first, second))
    return Finding(
        question,
        first.run,
        second.run,
        labels,
        column,
        estimate(clustered_difference, change),
        tuple(float(some.groupby(kinds).mean().mean()) for some in seeds),
        _changed_kinds(change),
    )


def _changes(first: pd.DataFrame, second: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column's questions of kinds that are asked often enough; ``right`` is a change."""
    change = first.assign(right=first["right"].astype(float) - second["right"].astype(float))
    return averaged(change, column)


def _pairs_of_seeds(first: Answers, second: Answers) -> Sequence[tuple[pd.DataFrame, pd.DataFrame]]:
    """Return both models' answers seed by seed; one that no run trains has the same for all."""
    return [
        (frame, second.by_seed.get(seed, second.frame)) for seed, frame in first.by_seed.items()
    ]


def _changed_kinds(change: pd.DataFrame) -> dict[str, float]:
    by_kind = {str(kind): some for kind, some in change.groupby("kind")}
    p = holm(
        {
            kind: clustered_p(*(some[name].to_numpy() for name in ("right", "kind", "picture")))
            for kind, some in by_kind.items()
        }
    )
    return {kind: float(by_kind[kind]["right"].mean()) for kind in by_kind if p[kind] < ALPHA}
