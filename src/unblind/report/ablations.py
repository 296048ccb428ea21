"""The paper's Tables 4 to 8 and 10 to 13: Align with another teacher, site, projector and so on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unblind.config import Config
from unblind.report import answers as answering
from unblind.report import reasons
from unblind.report.answers import Line, load_answers
from unblind.report.differences import GROUPS, Paired, pair, paired, shared
from unblind.report.page import write_page
from unblind.report.power import minimum_detectable_difference
from unblind.report.printed import PublishedRow, PublishedTable
from unblind.report.probe_rates import rates
from unblind.report.probes import CONCEPTS, Probed, load_teachers
from unblind.report.published import PAPER, load_claims
from unblind.report.reasons import Reasons
from unblind.report.records import Records, is_evaluated, load_run
from unblind.report.render import render
from unblind.report.setups import details
from unblind.report.stats import ALPHA, Estimate, holm, mcnemar_exact
from unblind.report.summary import COLUMNS, Row, summarise_run
from unblind.study import selection
from unblind.study.rows.pages import OF_TEACHERS

#: What every row is compared with.
REFERENCE = "align"
#: Groups of conditions whose comparisons are the family of Holm's correction.
TESTED = ("semantic", "vision", "execution")
#: Tables whose paper prints single conditions.
BY_CONDITION = ("10", "11", "12", "13")


@dataclass(frozen=True)
class Ablation:
    """One row of a table of ablations; rates are fractions.

    Attributes:
        row: our rates; without any if it was not run.
        same_as: label of the earlier row of the table that is the same run, or ''.
        differences: by group of `differences.GROUPS`, minus Align on the same episodes; empty for
            Align itself.
        p: by group of `TESTED`, of the exact McNemar test, adjusted by Holm over the table.
        detectable: by the same groups, the smallest difference that these pairs show with a chance
            of 80 % at Holm's first level; None: none does.
        answers: held-out answers, all seeds together; None if it was not asked.
        reasons: what else is recorded that may explain it.
        setup: of the training, as text by name (`setups.details`).
        paper: by group of `TESTED`, the paper's value; empty for a row that it lacks.
        teacher: name of its teacher; '' without one.
        probed: share of the probe's concepts that are read from this teacher's tokens; None if it
            was not probed.
    """

    row: Row
    same_as: str
    differences: Mapping[str, Paired]
    p: Mapping[str, float]
    detectable: Mapping[str, float | None]
    answers: Line | None
    reasons: Reasons
    setup: Mapping[str, str]
    paper: Mapping[str, float]
    teacher: str = ""
    probed: Estimate | None = None


def ablation_table(
    config: Config, number: str, results: Path, out: Path | None = None
) -> list[Path]:
    """Write one of the tables as ``out`` + ``.md``, ``.csv`` and ``.tex``, each with its sidecar.

    Args:
        config: its section ``ablations`` names the rows.
        number: the paper's, a key of ``ablations``.
        results: folder of the records, ``rollouts/run/seed/condition.parquet`` and so on; rows
            without all of their rollouts are 'not run', other columns may be empty.
        out: output path without suffix; None: the table's name in ``results``.

    Raises:
        UnblindError: a record is corrupt or does not belong to ``config``, or two runs were
            evaluated on different episodes. Nothing is written then.
    """
    name = f"table{number}"
    rows, inputs = _load(config, number, results)
    context = _context(config, number, rows)
    texts = {
        ".md": render("ablation.md.j2", context),
        ".csv": _csv(rows),
        ".tex": render("ablation.tex.j2", context),
    }
    inputs += [PAPER / "claims.yaml"]
    inputs += [PAPER / "templates" / f"ablation.{kind}.j2" for kind in ("md", "tex")]
    return [
        write_page(config, name, Path(f"{out or results / name}{suffix}"), text, inputs)
        for suffix, text in texts.items()
    ]


def _load(config: Config, number: str, results: Path) -> tuple[list[Ablation], list[Path]]:
    """Return the rows of a table, and the records that they are made of."""
    runs = selection.page_rows(config, f"table{number}")
    measured = {
        run: load_run(config, run, results / "rollouts")
        for run in runs
        if is_evaluated(config, run, results / "rollouts")
    }
    asked = load_answers(config, results / "answers")
    lines = {line.run: line for line in answering.summarise(config, asked) if line.part == "all"}
    why = {run: reasons.load(config, run, results) for run in runs}
    probed = load_teachers(config, results / "probe", runs) if number in OF_TEACHERS else {}
    read = (*measured.values(), *asked.values(), *why.values(), *probed.values())
    paths = list(dict.fromkeys(path for one in read for path in one.paths))
    table = load_claims().tables[number]
    return ablations(config, number, table, measured, lines, why, probed), paths


def _context(config: Config, number: str, rows: Sequence[Ablation]) -> dict[str, Any]:
    """Return what the templates show."""
    return {
        "config": config,
        "number": number,
        "table": load_claims().tables[number],
        "rows": rows,
        "groups": list(GROUPS),
        "tested": TESTED,
        "columns": [c for group in COLUMNS.values() for c in group],
        "by_condition": number in BY_CONDITION,
        "sizes": _sizes(config, number),
        "ranked": _ranked(rows) if number in OF_TEACHERS else [],
        "data": "ImageNet-100" if config.probe.imagenet else "Icon-100",
    }


def _sizes(config: Config, number: str) -> list[tuple[int, int]]:
    """Return how many seeds, and episodes of each in a condition, rows have; fewest first."""
    studies = (config.of(run) for run in selection.page_rows(config, f"table{number}"))
    return sorted({(len(study.seeds), study.rollout.episodes) for study in studies})


def ablations(
    config: Config,
    number: str,
    table: PublishedTable,
    records: Mapping[str, Records],
    answers: Mapping[str, Line],
    why: Mapping[str, Reasons],
    probed: Mapping[str, Probed],
) -> list[Ablation]:
    """Return the rows of a table: the paper's in its order, then those of this study alone.

    Args:
        config, number, table: the study, and the table by number and as the paper prints it.
        records, answers, why, probed: by run, what there is: rollouts, held-out answers of all
            seeds, what else is recorded, and the probe of its teacher.
    """
    listed = _listed(config, number, table)
    compared = _compared(config, [one.run for one in listed], records)
    p, detectable = judge(compared)
    made, labels, first_of = [], {}, selection.first_of(config)
    for one in listed:
        run = first_of.get(one.run)
        label = config.runs[one.run].label if run else one.paper.label if one.paper else one.key
        first = labels.setdefault(run or one.key, label)
        measured = records.get(run or "")
        made.append(
            Ablation(
                row=summarise_run(one.key, label, measured, one.paper, config.seed),
                same_as="" if first == label else first,
                differences=compared.get(run or "", {}),
                p=p.get(run or "", {}),
                detectable=detectable.get(run or "", {}),
                answers=answers.get(run or ""),
                reasons=why.get(run or "", Reasons()),
                setup=details(measured) if measured else {},
                paper=_paper(table, one.key) if one.paper else {},
                teacher=_teacher(config, run),
                probed=_concepts(probed[run]) if run in probed else None,
            )
        )
    return made


def _teacher(config: Config, run: str | None) -> str:
    is_aligned = run is not None and config.runs[run].method == "align"
    return config.of(run).training.align.teacher if is_aligned else ""


def _concepts(probed: Probed) -> Estimate:
    """Return the share of concepts that a linear probe reads from a teacher's tokens."""
    (rate,) = rates(probed, CONCEPTS).values()
    return rate


def _ranked(rows: Sequence[Ablation]) -> list[Ablation]:
    """Return the first row of each teacher, those first from which most is read.

    What was not probed comes last.
    """
    first: dict[str, Ablation] = {}
    for one in rows:
        if one.teacher:
            first.setdefault(one.teacher, one)
    return sorted(first.values(), key=lambda one: -one.probed.value if one.probed else 1.0)


@dataclass(frozen=True)
class _Listed:
    """A row to be: its key in the paper's table or its run's name, its run, and the paper's row."""

    key: str
    run: str
    paper: PublishedRow | None


def _listed(config: Config, number: str, table: PublishedTable) -> list[_Listed]:
    """Return the rows of the paper's table, then those that this study alone has."""
    listed = [_Listed(key, row.run or key, row) for key, row in table.rows.items()]
    known = {one.run for one in listed}
    return listed + [
        _Listed(run, run, None) for run in config.ablations[number] if run not in known
    ]


def _compared(
    config: Config, runs: Sequence[str], records: Mapping[str, Records]
) -> dict[str, dict[str, Paired]]:
    """Return each run's differences to Align, by group; runs that are the same are one."""
    first_of = selection.first_of(config)
    distinct = {first_of[run] for run in runs if run in first_of} - {REFERENCE}
    if REFERENCE not in records:
        return {}
    found = {}
    for run in sorted(distinct & records.keys()):
        pairs = pair(*shared(records[run], records[REFERENCE]))
        there = set(pairs["column"])
        found[run] = {
            group: paired(pairs, columns, config.seed)
            for group, columns in GROUPS.items()
            if there.issuperset(columns)
        }
    return found


def judge(
    compared: Mapping[str, Mapping[str, Paired]],
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float | None]]]:
    """Return adjusted p values and detectable differences, by run and group of `TESTED`.

    The family of Holm's correction is all of them together.
    """
    family = {(run, group): of[group] for run, of in compared.items() for group in TESTED}
    adjusted = holm({key: mcnemar_exact(one.won, one.lost) for key, one in family.items()})
    level = 1 - ALPHA / max(len(family), 1)
    p: dict[str, dict[str, float]] = {run: {} for run in compared}
    detectable: dict[str, dict[str, float | None]] = {run: {} for run in compared}
    for (run, group), one in family.items():
        p[run][group] = adjusted[run, group]
        discordant = (one.won + one.lost) / one.n
        detectable[run][group] = minimum_detectable_difference(one.n, discordant, level=level)
    return p, detectable


def _paper(table: PublishedTable, key: str) -> dict[str, float]:
    """Return the paper's values by group: printed, or means of what it prints."""
    return {group: table.mean(key, table.headings(group)) for group in TESTED}


def _figures(one: Ablation) -> dict[str, dict[str, float | None]]:
    """Return by name what stands in the section "Why", as columns of the long form."""
    why, asked = one.reasons, one.answers
    rates = {
        "held-out answers": asked.rates.get("held out") if asked else None,
        "alignment": why.alignment,
        "gradients": why.conflict,
        f"CKA at {why.site}": why.drift,
        f"probe at {why.site}": why.probe,
    }
    known = {name: rate for name, rate in rates.items() if rate is not None}
    told = {
        name: {"rate": rate.value, "lo": rate.low, "hi": rate.high, "n": rate.n}
        for name, rate in known.items()
    }
    return told | ({"cost": {"rate": why.cost}} if why.cost is not None else {})


def _csv(rows: Sequence[Ablation]) -> str:
    """Return the long form: a line a cell, mean and difference; rates are fractions."""
    lines: list[dict[str, Any]] = []
    for one in rows:
        key = {"row": one.row.name, "label": one.row.label, "same_as": one.same_as}
        for column, cell in one.row.cells.items():
            figures = {"rate": cell.rate, "lo": cell.low, "hi": cell.high, "n": cell.n}
            lines.append({**key, "what": "success", "column": column, **figures})
        for group, mean in one.row.means.items():
            figures = {"rate": mean.rate, "lo": mean.low, "hi": mean.high}
            lines.append({**key, "what": "mean", "column": group, **figures})
        for group, of in one.differences.items():
            figures = {"rate": of.delta, "lo": of.low, "hi": of.high, "n": of.n}
            figures |= {"won": of.won, "lost": of.lost, "p": one.p.get(group)}
            lines.append({**key, "what": "difference", "column": group, **figures})
        for column, value in _figures(one).items():
            lines.append({**key, "what": "why", "column": column, **value})
        if one.probed:
            figures = {"rate": one.probed.value, "lo": one.probed.low, "hi": one.probed.high}
            figures |= {"n": one.probed.n}
            lines.append({**key, "what": "teacher's probe", "column": one.teacher, **figures})
        if not one.row.cells:
            lines.append({**key, "what": "not run"})
    frame = pd.DataFrame(lines)
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.4f")
