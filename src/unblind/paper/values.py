"""What the report says in numbers, each computed from records by the functions of the pages."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.audit.claim import NOT_EVALUATED
from unblind.audit.html import matrix
from unblind.audit.orders import ELSEWHERE
from unblind.audit.records import Evidence, joined
from unblind.audit.verdicts import VERDICTS
from unblind.config import Config
from unblind.costs import formulas, measured
from unblind.costs.measured import Cost
from unblind.costs.need import Need, total
from unblind.custody import carried
from unblind.errors import UnblindError
from unblind.paper import words
from unblind.paper.pages import TABLES, Page
from unblind.report import answers, footer, forgetting, gates, hyperparameters, setups
from unblind.report.differences import GROUPS, PAIRS, Difference, differences
from unblind.report.published import Claims
from unblind.report.records import Records, load_replay
from unblind.report.stats import wilson
from unblind.report.summary import COLUMN_OF, MEANS, Row, summarise
from unblind.report.summary import GROUPS as SUITES

#: Where a difference is, in a sentence.
WHERE: Mapping[str, str] = {
    "in-distribution": "in distribution",
    **{group: f"over the {group} conditions" for group in MEANS},
    "all 13": f"over all {len(MEANS['all 13'])} conditions out of distribution",
}
#: Verdicts on orderings, in the order of the report's columns.
ORDERED = ("reproduced", "cached", "contradicted", "inconclusive", "not run")

#: Findings on integrity that are told one by one.
MOST_LISTED = 12


@dataclass(frozen=True)
class Told:
    """A comparison of two runs.

    Attributes:
        first, second: labels.
        difference: with what there is; None where no condition has records of both.
        clauses: by group of `differences.GROUPS`, whether the first succeeds more often.
        by_group: what the intervals say of the three groups of conditions, in words.
        published: by group, the difference of the paper's means; empty if it prints none.
    """

    first: str
    second: str
    difference: Difference | None
    clauses: Mapping[str, str]
    by_group: Sequence[str]
    published: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """What the study took.

    Attributes:
        complete, stages: how many stages have told their cost, and how many there are.
        cpu_s, wall_s: seconds of those, together.
        memory_mib: of the largest.
        hardware: on what they ran, in words.
        gpu: what the study of the paper's sizes is expected to need.
    """

    complete: int
    stages: int
    cpu_s: float
    wall_s: float
    memory_mib: float
    hardware: Sequence[str]
    gpu: Need


def of_success(config: Config, evidence: Evidence, claims: Claims) -> dict[str, Any]:
    """Return what is told of success in rollouts.

    A condition of which a seed has no record is 'not run', and changes no other.

    Args:
        config: the study.
        evidence: its readable records.
        claims: the paper's values.
    """
    runs = [run for run in config.table1.rows if run in config.runs]
    there = {run: _columns(evidence, run) for run in runs}
    records = {run: _records(evidence, run, columns) for run, columns in there.items() if columns}
    rows = summarise(config, records, claims.table1)
    quiet = config.gates.model_copy(update={"action": "warn"})
    return {
        "rows": rows,
        "models": [row for row in rows if _is_model(config, row)],
        "policies": [row for row in rows if row.cells and not _is_model(config, row)],
        "records": sum(len(one.metas) for one in records.values()),
        "episodes": sum(len(one.episodes) for one in records.values()),
        "told": [_told(config, evidence, rows, there, pair) for pair in PAIRS],
        "gates": gates.gates(config.model_copy(update={"gates": quiet}), rows, None),
        "training_seeds": setups.training_seeds(
            {run: one for run, one in records.items() if config.runs[run].method}
        ),
        "setups": setups.lines(records, {run: config.runs[run].label for run in records}),
    }


def _is_model(config: Config, row: Row) -> bool:
    return row.name not in config.runs or config.runs[row.name].policy == "vla"


def _columns(evidence: Evidence, run: str) -> list[str]:
    """Return the columns of which all records of a run are there."""
    return [column for column in COLUMN_OF.values() if isinstance(evidence.of(run, [column]), list)]


def _records(evidence: Evidence, run: str, columns: Sequence[str]) -> Records:
    pieces = [piece for column in columns for piece in evidence.of(run, [column])]
    return joined(run, (piece for piece in pieces if not isinstance(piece, str)))


def _told(
    config: Config,
    evidence: Evidence,
    rows: Sequence[Row],
    there: Mapping[str, Sequence[str]],
    pair: tuple[str, str],
) -> Told:
    """Compare two runs on the conditions of which both have all records."""
    labels = [config.runs[run].label if run in config.runs else run.capitalize() for run in pair]
    shared = [column for column in there.get(pair[0], ()) if column in there.get(pair[1], ())]
    published = _published(rows, pair)
    if not shared:
        return Told(*labels, None, {}, (), published)
    records = {run: _records(evidence, run, shared) for run in pair}
    own = [row for row in rows if row.name in pair]
    (found,) = (
        one
        for one in differences(own, records, config.seed)
        if one.name == f"{pair[0]} - {pair[1]}"
    )
    clauses = {
        group: words.success(*labels, WHERE[group], found.groups[group])
        for group in GROUPS
        if group in found.groups
    }
    by_group = [
        words.often(group, found.groups[group]) for group in SUITES if group in found.groups
    ]
    return Told(*labels, found, clauses, by_group, published)


def _published(rows: Sequence[Row], pair: tuple[str, str]) -> dict[str, float]:
    """Return by group the difference of the paper's means of two rows."""
    by_name = {row.name: row for row in rows}
    if not by_name.keys() >= set(pair):
        return {}
    first, second = (by_name[name] for name in pair)
    return {
        group: first.published_mean(group) - second.published_mean(group)
        for group in MEANS
        if first.published and second.published
    }


def of_making(config: Config) -> dict[str, Any]:
    """Return what is told of demonstrations, their replay, settings and held-out answers.

    What is absent or refused is None, or empty.
    """
    manifest = ceiling = None
    folder, replay = carried.sources(config)
    with contextlib.suppress(UnblindError):
        manifest = footer.load_manifest(config, folder).counts
    with contextlib.suppress(UnblindError):
        frame, _ = load_replay(config, replay)
        won, n = int(frame["tokenised_success"].sum()), len(frame)
        ceiling = {"won": won, "n": n, "interval": wilson(won, n)}
    asked: Mapping[str, answers.Answers] = {}
    with contextlib.suppress(UnblindError):
        asked = answers.load_answers(config, Path(config.results, "answers"))
    settings = hyperparameters.load_settings()["9"]
    return {
        "manifest": manifest,
        "ceiling": ceiling,
        "settings": hyperparameters.lines(config, settings),
        "forgetting": forgetting.findings(config, asked),
    }


def of_verdicts(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of the audit.

    Args:
        result: as `unblind.audit.build.audit` returns it.
    """
    listed = [
        one
        for one in result["claims"]
        if one["kind"] == "ordering" and one["table"] != ELSEWHERE  # no claims of the paper
    ]
    arithmetic = [one for one in result["claims"] if one["kind"] == "arithmetic"]
    not_run = [one for one in result["claims"] if one["verdict"] == "not run"]
    defects = result["defects"]
    return {
        "counts": result["counts"],
        "meanings": VERDICTS,
        "ordered": ORDERED,
        "orderings": listed,
        "ordering_counts": _counts(listed),
        "lines": _lines(listed),
        **_by_place(listed),
        "judged": [one for one in listed if one["effect"] is not None],
        "contradictions": arithmetic,
        "confirmed": [one for one in arithmetic if one["verdict"] == "confirmed"],
        "not_run": not_run,
        "not_evaluated": sum(one["why"] == NOT_EVALUATED for one in not_run),
        "defects": Counter(one["area"] for one in defects),
        "shown_defects": Counter(
            one["area"] for one in defects if one["check"] and one["check"]["shown"]
        ),
        "integrity": result["integrity"],
        "most_listed": MOST_LISTED,
        "facts": result["facts"],
        "remark": result["remark"],
        "scale": result["scale"],
    }


def _by_place(orderings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return by table or figure the verdicts on orderings, and where there is none."""
    places = {
        place: _counts([claim for line in lines for claim in line.claims])
        for place, lines in matrix(orderings).items()
    }
    unjudged = [place for place, counts in places.items() if counts.keys() == {"not run"}]
    judged = {place: counts for place, counts in places.items() if place not in unjudged}
    return {"judged_places": judged, "unjudged_places": unjudged}


def _lines(
    orderings: Sequence[Mapping[str, Any]],
) -> dict[str, list[tuple[str, int, dict[str, int]]]]:
    """Return by table or figure its orderings: title, number of parts, and verdicts on them."""
    return {
        place: [(one.title, len(one.claims), _counts(one.claims)) for one in lines]
        for place, lines in matrix(orderings).items()
    }


def _counts(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many of some claims have each verdict, in the order of the pages."""
    found = Counter(one["verdict"] for one in claims)
    return {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}


def of_tables(
    claims: Claims, result: Mapping[str, Any], pages: Mapping[str, Page]
) -> list[dict[str, Any]]:
    """Return the paper's tables by number, each with the study's page beside it.

    Args:
        claims: the paper's values; Tables 9 and 14 are settings and have none there.
        result: of the audit.
        pages: of `TABLES`.
    """
    listed = []
    for number in TABLES:
        printed = claims.tables.get(number)
        of = [one for one in result["claims"] if one["table"] == number]
        listed.append(
            {
                "number": number,
                "printed": printed,
                "title": printed.title
                if printed
                else hyperparameters.load_settings()[number].title,
                "page": pages[f"table{number}.tex"],
                "counts": _counts([one for one in of if one["kind"] == "ordering"]),
                "values": _counts([one for one in of if one["kind"] == "value"]),
            }
        )
    return listed


def of_costs(config: Config, paper: Config) -> Measured:
    """Return what the study took as far as its sidecars say so, and what a large one would need.

    Args:
        config: the study.
        paper: a study of the published sizes.
    """
    costs: list[Cost] = []
    made_by = measured.lines(config)
    for jobs in made_by.values():
        with contextlib.suppress(UnblindError):
            costs += filter(None, [measured.measure(jobs)])
    hardware = [
        f"{s['hardware']['cpu']}, {s['hardware']['cores']} cores" for c in costs for s in c.sidecars
    ]
    each = formulas.needs(paper)
    large = {name: measured.count(jobs) for name, jobs in measured.lines(paper).items()}
    return Measured(
        len(costs),
        len(made_by),
        sum(cost.cpu_s for cost in costs),
        sum(cost.wall_s for cost in costs),
        max((cost.memory_mib for cost in costs), default=0.0),
        list(dict.fromkeys(hardware)),
        total(each[name].times(number) for name, number in large.items()),
    )
