"""A claim with its verdict, and the study that it is judged by."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from unblind.audit.commands import Commands
from unblind.audit.knowledge import File
from unblind.audit.measure import Effect
from unblind.audit.records import CONDITIONS_OF, Evidence, Piece, conditions
from unblind.audit.verdicts import Judgement, Verdict, with_origin
from unblind.config import Config
from unblind.custody.stored import Origin
from unblind.report.published import Claims
from unblind.report.stats import Estimate
from unblind.study import selection

#: A file behind a claim.
Record = Piece | File
#: Why a claim about a model without a run is not judged.
NOT_EVALUATED = "a model that this package does not evaluate"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper with our numbers and the verdict.

    Attributes:
        id: its name, such as ``1/align/Carrot``.
        kind: a printed value, an ordering, arithmetic on the paper's own numbers, or a number of
            the text.
        table, row, column: its place in the paper's tables, where it has one; of a figure's claim
            the table is ``Figure 4`` or ``Figure 5``; ``Elsewhere`` of what the paper does not say.
        text: what is claimed.
        title, label: of an ordering, the claim that it is a part of in a few words, and which
            part.
        paper: printed ``value`` and ``spread``; of an ordering the printed difference; None where
            the paper prints no number.
        ours: our ``value``, ``low``, ``high`` and ``n``.
        effect: of an ordering, see `unblind.audit.measure.Effect`, with ``p_holm`` and ``family``,
            the number of tests that Holm's correction ran over.
        unit: of the effect: 'points' of a hundred, or what the quantity is called.
        verdict, why: see `unblind.audit.verdicts`.
        origin, commit, records: whether the records were made here, where in history, the files.
        command: makes the records and shows this claim.
    """

    id: str
    kind: Literal["value", "ordering", "arithmetic", "text"]
    text: str
    verdict: Verdict
    why: str
    title: str | None = None
    label: str | None = None
    table: str | None = None
    row: str | None = None
    column: str | None = None
    paper: Mapping[str, float | None] | None = None
    ours: Mapping[str, float | None] | None = None
    effect: Mapping[str, float | None] | None = None
    unit: str | None = None
    origin: Origin | None = None
    commit: str | None = None
    records: tuple[str, ...] = ()
    command: str | None = None


@dataclass(frozen=True)
class Study:
    """What claims are judged by: the study, the paper's claims, our records, our commands."""

    config: Config
    claims: Claims
    evidence: Evidence
    commands: Commands

    @cached_property
    def first_of(self) -> Mapping[str, str]:
        """By run the first of those that are the same: its records stand for all of them."""
        return selection.first_of(self.config)

    def run(self, name: str | None) -> str | None:
        """Return the run whose records stand for a run's, or a name that is no run's as it is."""
        return name if name is None else self.first_of.get(name, name)


def rollouts(
    study: Study, runs: Sequence[str | None], headings: Sequence[str]
) -> list[Piece] | str:
    """Return the records of some runs behind headings of success rates, or why there are none."""
    if None in runs:
        return NOT_EVALUATED
    for run in runs:
        if run not in study.config.runs:
            return f"the configuration has no run '{run}'"
    collected: list[Piece] = []
    for run in filter(None, runs):
        pieces = study.evidence.of(run, headings)
        if isinstance(pieces, str):
            return pieces
        collected += pieces
    return collected


def command(
    study: Study,
    claim: str,
    runs: Sequence[str | None] = (),
    headings: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> str | None:
    """Return the command that makes a claim's records and shows it; None if nothing makes them.

    Args:
        study: the study.
        claim: its id.
        runs, headings: whose success, under which headings.
        files: or the records themselves.
    """
    if files:
        return study.commands.then(study.commands.files(files), claim)
    known = all(run in study.config.runs for run in runs)
    if not runs or not known or not all(heading in CONDITIONS_OF for heading in headings):
        return None
    names = conditions(headings)
    return study.commands.then(study.commands.records(filter(None, runs), names), claim)


def not_run(why: str, made_by: str | None) -> dict[str, Any]:
    """Return verdict and command of a claim without records."""
    return {"verdict": "not run", "why": why, "command": made_by}


def evidence(
    judgement: Judgement, records: Sequence[Record], made_by: str | None
) -> dict[str, Any]:
    """Return verdict and provenance of a claim that records answer."""
    origin: Origin = "cached" if any(r.origin == "cached" for r in records) else "recomputed"
    judgement = with_origin(judgement, origin)
    return {
        "verdict": judgement.verdict,
        "why": judgement.why,
        "origin": origin,
        "commit": " | ".join(_distinct(record.commit for record in records)),
        "records": tuple(_distinct(record.path.as_posix() for record in records)),
        "command": made_by,
    }


def rounded(numbers: Estimate | Effect) -> dict[str, float | None]:
    """Return the numbers with the digits that a page keeps."""
    fields = dataclasses.asdict(numbers)
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in fields.items()}


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
