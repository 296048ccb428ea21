"""A verdict on every published claim, each with its evidence."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from unblind.audit import arithmetic
from unblind.audit.commands import Commands
from unblind.audit.measure import Effect, Ours, effect, excess, rate
from unblind.audit.records import CONDITIONS_OF, Evidence, Piece, conditions, joined
from unblind.audit.verdicts import (
    Judgement,
    Verdict,
    of_collapse,
    of_ordering,
    of_value,
    with_origin,
)
from unblind.config import Config
from unblind.custody.stored import Origin
from unblind.report.differences import pair
from unblind.report.published import Claims, Ordering, PublishedTable, TextNumber
from unblind.report.stats import holm

_MEASURES = {
    "success": "success rate",
    "vl_think": "VL-Think success rate",
    "probe": "top-1 accuracy of the probe",
}
_NO_RECORDS = {
    "vl_think": "there are no records of VL-Think",
    "probe": "our linear probe is of other data (results/table3.md)",
}


@dataclass(frozen=True)
class Claim:
    """One claim of the paper with our numbers and the verdict.

    Attributes:
        id: its name, such as ``1/align/Carrot``.
        kind: a printed value, an ordering, arithmetic on the paper's own numbers, or a number of
            the text.
        table, row, column: its place in the paper's tables, where it has one.
        text: what is claimed.
        paper: printed ``value`` and ``spread``; of an ordering the printed difference.
        ours: our ``value``, ``low``, ``high`` and ``n``.
        effect: of an ordering, see `unblind.audit.measure.Effect`, with ``p_holm``.
        verdict, why: see `unblind.audit.verdicts`.
        origin, commit, records: whether the records were made here, where in history, the files.
        command: makes the records and shows this claim.
    """

    id: str
    kind: Literal["value", "ordering", "arithmetic", "text"]
    text: str
    verdict: Verdict
    why: str
    table: str | None = None
    row: str | None = None
    column: str | None = None
    paper: Mapping[str, float | None] | None = None
    ours: Mapping[str, float | None] | None = None
    effect: Mapping[str, float | None] | None = None
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


@dataclass(frozen=True)
class _Measured:
    """An ordering whose runs exist."""

    pieces: tuple[Piece, ...]
    pairs: pd.DataFrame
    effect: Effect


def judged(study: Study) -> list[Claim]:
    """Return every claim with its verdict: values, orderings, arithmetic, numbers of the text.

    Raises:
        UnblindError: two runs that an ordering compares were evaluated on different episodes.
    """
    tables = study.claims.tables.items()
    return [
        *(claim for key, table in tables for claim in _values(study, key, table)),
        *(claim for key, _ in tables for claim in _orderings(study, key)),
        *_arithmetic(study),
        *(_text(study, number) for number in study.claims.text),
    ]


def _values(study: Study, key: str, table: PublishedTable) -> Iterator[Claim]:
    rule = study.claims.tolerances
    for name, row in table.rows.items():
        for column, (printed, spread) in row.cells.items():
            chance = f", p {row.p[column]} against the best" if column in row.p else ""
            stated = {
                "id": f"{key}/{name}/{column}",
                "kind": "value",
                "table": key,
                "row": name,
                "column": column,
                "text": f"{row.label}, {column}: {_MEASURES[table.measure]}{chance}",
                "paper": {"value": printed, "spread": spread},
            }
            pieces = _records(study, table.measure, [row.run], [column])
            if isinstance(pieces, str):
                yield Claim(**stated, **_not_run(study, pieces, [row.run], [column], stated["id"]))
                continue
            ours = rate(pieces, study.config.seed, rule.level)
            scale = study.config.scale
            judgement = of_value(printed, spread, ours, rule.z, rule.level, scale)
            yield Claim(
                **stated,
                ours=_rounded(ours),
                **_evidence(study, judgement, pieces, [row.run], [column], stated["id"]),
            )


def _orderings(study: Study, key: str) -> Iterator[Claim]:
    """Judge a table's orderings: one family of tests."""
    listed = [ordering for ordering in study.claims.orderings if ordering.table == key]
    measured = {ordering.id: _measure(study, ordering) for ordering in listed}
    # The family is fixed by the claims: a run that is missing makes no finding easier.
    family = [ordering.id for ordering in listed if None not in _runs(study, ordering)]
    is_run = any(isinstance(outcome, _Measured) for outcome in measured.values())
    p = holm({name: _p(measured[name]) for name in family}) if is_run else {}
    for ordering in listed:
        outcome, runs = measured[ordering.id], _runs(study, ordering)
        table = study.claims.tables[key]
        delta = table.mean(ordering.better, ordering.columns) - table.mean(
            ordering.worse, ordering.columns
        )
        stated = {
            "id": f"ordering/{ordering.id}",
            "kind": "ordering",
            "table": key,
            "column": ordering.suite
            or (ordering.columns[0] if len(ordering.columns) == 1 else None),
            "text": ordering.text,
            "paper": {"value": round(delta, 4), "spread": None},
        }
        if isinstance(outcome, str):
            yield Claim(**stated, **_not_run(study, outcome, runs, ordering.columns, stated["id"]))
            continue
        judgement = _judge(study, ordering, outcome, p[ordering.id])
        yield Claim(
            **stated,
            effect={**_rounded(outcome.effect), "p_holm": round(p[ordering.id], 6)},
            **_evidence(study, judgement, outcome.pieces, runs, ordering.columns, stated["id"]),
        )


def _measure(study: Study, ordering: Ordering) -> _Measured | str:
    """Compare an ordering's runs, or say why they cannot be compared."""
    runs = _runs(study, ordering)
    pieces = _records(study, ordering.measure, runs, ordering.columns)
    if isinstance(pieces, str):
        return pieces
    pairs = pair(*(joined(run, (p for p in pieces if p.run == run)) for run in runs))
    level = study.claims.tolerances.level
    return _Measured(tuple(pieces), pairs, effect(pairs, study.config.seed, level))


def _p(outcome: _Measured | str) -> float:
    return 1.0 if isinstance(outcome, str) else outcome.effect.p


def _judge(study: Study, ordering: Ordering, measured: _Measured, p_holm: float) -> Judgement:
    level, seed = study.claims.tolerances.level, study.config.seed
    if ordering.kind == "greater":
        return of_ordering(measured.effect, p_holm, ordering.margin, level)
    above = excess(measured.pairs, ordering.margin, seed, level)
    return of_collapse(measured.effect, p_holm, ordering.margin, above, level)


def _arithmetic(study: Study) -> Iterator[Claim]:
    for finding in arithmetic.evaluate(study.claims):
        name = f"arithmetic/{finding.id}"
        yield Claim(
            id=name,
            kind="arithmetic",
            text=f"{finding.text} ({', '.join(finding.locations)})",
            verdict="confirmed" if finding.holds else "not confirmed",
            why=finding.detail,
            command=study.commands.audit(name),
        )


def _text(study: Study, number: TextNumber) -> Claim:
    name = f"text/{number.id}"
    value = _configured(study.config, number.key) if number.key else None
    verdict, why = _judge_text(study.config.scale, number, value)
    return Claim(
        id=name,
        kind="text",
        text=f"{number.text} ({number.location})",
        paper={"value": number.value, "spread": None},
        ours=None if value is None else {"value": value, "low": None, "high": None, "n": None},
        verdict=verdict,
        why=why,
        command=study.commands.audit(name),
    )


def _judge_text(scale: str, number: TextNumber, value: float | None) -> tuple[Verdict, str]:
    if number.kind == "result":
        return "not run", "a result of the text that no record of this package measures"
    if value is None:
        return "not comparable", "a setting that our configuration does not hold"
    if value == number.value:
        return "same setting", f"our configuration has the same value ({number.key})"
    return "not comparable", f"a setting that scale '{scale}' chooses otherwise ({number.key})"


def _configured(config: Config, key: str) -> float | None:
    """Return the number at a dotted key of the configuration, None if there is none."""
    value: Any = config.model_dump(mode="json")
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _runs(study: Study, ordering: Ordering) -> list[str | None]:
    """Return the names of the runs that measure an ordering's rows."""
    rows = study.claims.tables[ordering.table].rows
    return [rows[ordering.better].run, rows[ordering.worse].run]


def _records(
    study: Study, measure: str, runs: Sequence[str | None], headings: Sequence[str]
) -> list[Piece] | str:
    """Return the records of some runs behind some headings, or why there are none."""
    if None in runs:
        return "a model that this package does not evaluate"
    if measure != "success":
        return _NO_RECORDS[measure]
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


def _not_run(
    study: Study, why: str, runs: Sequence[str | None], headings: Sequence[str], claim: str
) -> dict[str, Any]:
    known = all(run in study.config.runs for run in runs)
    is_rollout = all(heading in CONDITIONS_OF for heading in headings)
    command = _command(study, runs, headings, claim) if known and is_rollout else None
    return {"verdict": "not run", "why": why, "command": command}


def _evidence(
    study: Study,
    judgement: Judgement,
    pieces: Sequence[Piece],
    runs: Sequence[str | None],
    headings: Sequence[str],
    claim: str,
) -> dict[str, Any]:
    """Return verdict and provenance of a claim that records answer."""
    origin: Origin = "cached" if any(p.origin == "cached" for p in pieces) else "recomputed"
    judgement = with_origin(judgement, origin)
    return {
        "verdict": judgement.verdict,
        "why": judgement.why,
        "origin": origin,
        "commit": " | ".join(_distinct(piece.commit for piece in pieces)),
        "records": tuple(piece.path.as_posix() for piece in pieces),
        "command": _command(study, runs, headings, claim),
    }


def _command(study: Study, runs: Sequence[str | None], headings: Sequence[str], claim: str) -> str:
    return study.commands.both(filter(None, runs), conditions(headings), claim)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _rounded(numbers: Ours | Effect) -> dict[str, float | None]:
    """Return the numbers with the digits that a page keeps."""
    fields = dataclasses.asdict(numbers)
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in fields.items()}
