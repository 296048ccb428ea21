"""Verdicts on what the paper says is more than what: orderings of tables and figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from unblind.audit import knowledge
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
from unblind.audit.measure import Effect, effect, excess
from unblind.audit.records import joined
from unblind.audit.verdicts import POINTS, Judgement, of_collapse, of_ordering
from unblind.report.comparisons import Comparison
from unblind.report.differences import pair, shared
from unblind.report.elsewhere import id_of
from unblind.report.published import Ordering
from unblind.report.stats import holm

#: The place of what other people's values let one expect: a family of tests of its own, so that
#: the paper's claims are judged as if there were none.
ELSEWHERE = "Elsewhere"


@dataclass(frozen=True)
class _Order:
    """A claim that one run has more of something than another.

    Attributes:
        id, title, label, text: as in `Ordering`.
        place: the table's number, or the figure; `ELSEWHERE` of what the paper does not say.
        column: heading or group, if it is about one.
        paper: the printed difference, if the paper prints one.
        runs: that measure both; None if none does.
        measure: of the table, or 'figure'.
        columns: headings of the table.
        margin, kind: as in `Ordering`.
        unit: of the effect.
        figure: the comparison, if it is about a figure.
    """

    id: str
    title: str
    label: str
    text: str
    place: str
    column: str | None
    paper: float | None
    runs: tuple[str | None, str | None]
    measure: str
    columns: Sequence[str]
    margin: float = 0.0
    kind: Literal["greater", "collapse"] = "greater"
    unit: str = POINTS
    figure: Comparison | None = None


@dataclass(frozen=True)
class _Measured:
    """An ordering whose runs exist.

    Attributes:
        effect: of the first run against the second.
        records: behind it.
        above: see `unblind.audit.measure.excess`; of claims that a run fails.
    """

    effect: Effect
    records: Sequence[Record]
    above: tuple[float, float, float] | None = None


def orders(study: Study) -> Iterator[Claim]:
    """Yield every ordering with its verdict: tables by number, then figures.

    Those of one table or figure are one family of tests, and so is what the values of others let
    one expect, which comes last.

    Raises:
        UnblindError: two runs that an ordering compares were evaluated on different items.
    """
    listed = [*_of_tables(study), *_of_figures(study), *_of_elsewhere(study)]
    for place in dict.fromkeys(order.place for order in listed):
        yield from _family(study, [order for order in listed if order.place == place])


def _family(study: Study, listed: Sequence[_Order]) -> Iterator[Claim]:
    # The family is fixed by the claims: a run that is missing makes no finding easier.
    tested = [order.id for order in listed if None not in order.runs]
    measured = {order.id: _measure(study, order, len(tested)) for order in listed}
    p = {name: one.effect.p for name, one in measured.items() if isinstance(one, _Measured)}
    adjusted = holm({name: p.get(name, 1.0) for name in tested}) if p else {}
    for order in listed:
        one = measured[order.id]
        stated = {
            "id": f"ordering/{order.id}",
            "kind": "ordering",
            "title": order.title,
            "label": order.label,
            "table": order.place,
            "column": order.column,
            "text": order.text,
            "paper": None if order.paper is None else {"value": order.paper, "spread": None},
            "unit": order.unit,
        }
        made_by = _command(study, order, stated["id"])
        if isinstance(one, str):
            yield Claim(**stated, **not_run(one, made_by))
            continue
        holms = {"p_holm": round(adjusted[order.id], 6), "family": len(tested)}
        judgement = _judge(study, order, one, adjusted[order.id])
        yield Claim(
            **stated,
            effect={**rounded(one.effect), **holms},
            **evidence(judgement, one.records, made_by),
        )


def _of_tables(study: Study) -> Iterator[_Order]:
    """Yield the orderings of tables, with those of rows that a study adds to them."""
    claims, config = study.claims, study.config
    margin = claims.tolerances.margin
    for key, table in claims.tables.items():
        known = {study.run(row.run) for row in table.rows.values()}
        own = {run: config.runs[run].label for run in config.ablations.get(key, ())}
        own = {run: label for run, label in own.items() if study.run(run) not in known}
        for block in claims.blocks:
            if block.table == key:
                for ordering in block.orderings(table, margin):
                    yield _of_ordering(study, ordering)
                for ordering in block.of_own_rows(table, margin, own):
                    yield _of_ordering(study, ordering)


def _of_ordering(study: Study, ordering: Ordering) -> _Order:
    table, columns = study.claims.tables[ordering.table], ordering.columns
    keys = (ordering.better, ordering.worse)
    runs = [table.rows[key].run if key in table.rows else key for key in keys]
    printed = None
    if set(keys) <= table.rows.keys():
        better, worse = (table.mean(key, columns) for key in keys)
        printed = round(better - worse, 4)
    return _Order(
        ordering.id,
        ordering.title,
        ordering.label,
        ordering.text,
        ordering.table,
        ordering.suite or (columns[0] if len(columns) == 1 else None),
        printed,
        (study.run(runs[0]), study.run(runs[1])),
        ordering.measure,
        columns,
        ordering.margin,
        ordering.kind,
    )


def _of_figures(study: Study) -> Iterator[_Order]:
    for claim in sorted(study.claims.comparisons, key=lambda claim: claim.figure):
        yield _Order(
            claim.id,
            claim.title,
            claim.label,
            claim.text,
            f"Figure {claim.figure}",
            None,
            None,
            (study.run(claim.higher), study.run(claim.lower)),
            "figure",
            (),
            unit=knowledge.QUANTITIES[claim.quantity][1],
            figure=claim,
        )


def _of_elsewhere(study: Study) -> Iterator[_Order]:
    """Yield what other people's values let one expect of our runs; no value is compared."""
    table, margin = study.claims.table1, study.claims.tolerances.margin
    sources = study.claims.elsewhere
    tests = [(one, run) for source in sources for one in source.expected for run in one.lower]
    for one, run in tests:
        label = study.config.runs[run].label if run in study.config.runs else run
        yield _Order(
            id_of(one, run),
            one.title,
            f"{label}, {one.suite}",
            one.said_of(label),
            ELSEWHERE,
            one.suite,
            None,
            (study.run(one.higher), study.run(run)),
            table.measure,
            table.headings(one.suite),
            margin,
        )


# ---- measuring ----------------------------------------------------------------------------------


def _measure(study: Study, order: _Order, family: int) -> _Measured | str:
    """Compare an ordering's runs, or say why they cannot be compared."""
    if None in order.runs:
        return NOT_EVALUATED
    if order.runs[0] == order.runs[1]:
        return f"both are the run '{order.runs[0]}' at this scale"
    measure = _of_success if order.measure == "success" else _of_knowledge
    return measure(study, order, family)


def _of_success(study: Study, order: _Order, family: int) -> _Measured | str:
    runs, level, seed = order.runs, study.claims.tolerances.level, study.config.seed
    pieces = rollouts(study, runs, order.columns)
    if isinstance(pieces, str):
        return pieces
    pairs = pair(*shared(*(joined(str(run), (p for p in pieces if p.run == run)) for run in runs)))
    above = excess(pairs, order.margin, seed, level) if order.kind == "collapse" else None
    return _Measured(effect(pairs, seed, level, family), pieces, above)


def _of_knowledge(study: Study, order: _Order, family: int) -> _Measured | str:
    found, config = study.evidence.knowledge, study.config
    level = study.claims.tolerances.level
    keys = [*zip(_stages(study, order), map(str, order.runs), strict=True)]
    for key in keys:
        if key not in found.known:
            return knowledge.missing(config, found, *key)
    first, second = (found.known[key] for key in keys)
    if order.figure is None:
        made = knowledge.effect(
            config, order.measure, (first, second), order.columns, level, family
        )
    else:
        made = knowledge.compared(config, order.figure, (first, second), level, family)
    if made is None:
        return "what is measured is to be seen in no frame of both"
    return _Measured(made, (*first.files, *second.files))


def _stages(study: Study, order: _Order) -> list[str]:
    """Return the stages whose records tell of both runs."""
    if order.figure is not None:
        return [knowledge.QUANTITIES[order.figure.quantity][0]] * 2
    return knowledge.stages(study.config, order.measure, [str(run) for run in order.runs])


def _judge(study: Study, order: _Order, one: _Measured, p_holm: float) -> Judgement:
    level = study.claims.tolerances.level
    if one.above is not None:
        return of_collapse(one.effect, p_holm, order.margin, one.above, level)
    judgement = of_ordering(one.effect, p_holm, order.margin, level, order.unit)
    remark = _remark(study, order)
    return Judgement(judgement.verdict, f"{remark}{judgement.why}")


def _remark(study: Study, order: _Order) -> str:
    """Return what our measurement compares, where that is not what the paper compares."""
    if order.measure == "vl_think" and "think_answers" in _stages(study, order):
        return "by what both answer to the same questions; "
    if order.measure == "probe" and not study.config.probe.imagenet:
        return f"concepts of Icon-100 at {study.config.probe.site}; "
    return ""


def _command(study: Study, order: _Order, claim: str) -> str | None:
    if None in order.runs or order.measure == "success":
        return command(study, claim, order.runs, order.columns)
    listed = study.evidence.knowledge.paths
    both = zip(_stages(study, order), map(str, order.runs), strict=True)
    made = [listed.get(key, ()) for key in both]
    return command(study, claim, files=[p for paths in made for p in paths]) if all(made) else None
