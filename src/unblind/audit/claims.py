"""A verdict on every published claim, each with its evidence."""

from collections.abc import Iterator, Mapping
from typing import Any

from unblind.audit import arithmetic, knowledge
from unblind.audit.claim import (
    NOT_EVALUATED,
    Claim,
    Record,
    Study,
    command,
    evidence,
    not_run,
    rollouts,
    rounded,
)
from unblind.audit.measure import rate
from unblind.audit.orders import orders
from unblind.audit.records import joined
from unblind.audit.verdicts import Judgement, Verdict, of_value
from unblind.config import Config
from unblind.report.published import PublishedTable, TextNumber
from unblind.report.stats import Estimate

_MEASURES = {
    "success": "success rate",
    "vl_think": "VL-Think success rate",
    "probe": "top-1 accuracy of the probe",
}


def judged(study: Study) -> list[Claim]:
    """Return every claim with its verdict: values, orderings, arithmetic, numbers of the text.

    Raises:
        UnblindError: two runs that an ordering compares were evaluated on different items.
    """
    tables = study.claims.tables.items()
    return [
        *(claim for key, table in tables for claim in _values(study, key, table)),
        *orders(study),
        *_arithmetic(study),
        *(_text(study, number) for number in study.claims.text),
    ]


def _values(study: Study, key: str, table: PublishedTable) -> Iterator[Claim]:
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
            run = study.run(row.run)
            made_by = _command(study, table.measure, run, column, stated["id"])
            found = _measured(study, table.measure, run, column)
            if isinstance(found, str):
                yield Claim(**stated, **not_run(found, made_by))
                continue
            ours, records = found
            judgement = _judge(study, table.measure, printed, spread, ours)
            yield Claim(**stated, ours=rounded(ours), **evidence(judgement, records, made_by))


def _measured(
    study: Study, measure: str, run: str | None, column: str
) -> tuple[Estimate, list[Record]] | str:
    """Return our value and the records behind it, or why there is none."""
    level, config = study.claims.tolerances.level, study.config
    if run is None:
        return NOT_EVALUATED
    if measure == "success":
        pieces = rollouts(study, [run], [column])
        if isinstance(pieces, str):
            return pieces
        return rate(joined(run, pieces).episodes, config.seed, level), [*pieces]
    (stage,) = knowledge.stages(config, measure, [run])
    found = study.evidence.knowledge
    if (stage, run) not in found.known:
        return knowledge.missing(config, found, stage, run)
    known = found.known[stage, run]
    return knowledge.value(config, measure, known, [column], level), [*known.files]


def _judge(
    study: Study, measure: str, printed: float, spread: float | None, ours: Estimate
) -> Judgement:
    rule, config = study.claims.tolerances, study.config
    if measure == "probe" and not config.probe.imagenet:
        why = "the paper's probe is of ImageNet-100, ours of Icon-100"
        return Judgement("not comparable", why)
    return of_value(printed, spread, ours, rule.z, rule.level, config.scale)


def _command(study: Study, measure: str, run: str | None, column: str, claim: str) -> str | None:
    if run is None or measure == "success":
        return command(study, claim, [run], [column])
    (stage,) = knowledge.stages(study.config, measure, [run])
    return command(study, claim, files=study.evidence.knowledge.paths.get((stage, run), ()))


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
