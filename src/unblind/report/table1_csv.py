"""Table 1 in the long form, for programs: CSV."""

from typing import Any

import pandas as pd

from unblind.report.answers import Line
from unblind.report.differences import GROUPS as PAIRED_GROUPS
from unblind.report.differences import Difference
from unblind.report.following import Following
from unblind.report.forgetting import Finding
from unblind.report.profiles import Improvement, Profile
from unblind.report.stats import Estimate
from unblind.report.summary import COLUMNS, MEANS, STAGE_HEADINGS, Row


def long_form(
    rows: list[Row],
    compared: list[Difference | Profile | Improvement],
    followed: list[Following],
    answers: list[Line],
    forgotten: list[Finding],
) -> str:
    """Return the long form: a line a cell, mean, stage, comparison, arm and share of right answers.

    Rates are fractions.

    Args:
        rows: of the table.
        compared: differences of runs, profiles and improvements.
        followed: what runs do that are told something else.
        answers: lines of the table of answers.
        forgotten: what fine-tuning has changed in answers.
    """
    lines: list[dict[str, Any]] = []
    for row in rows:
        for suite, columns in COLUMNS.items():
            lines += [_cell_line(row, suite, column) for column in columns]
        lines += [_mean_line(row, group) for group in MEANS]
        lines += [_stage_line(row, stage) for stage in STAGE_HEADINGS]
    for one in compared:
        lines += _difference_lines(one) if isinstance(one, Difference) else _seeds_lines(one)
    for arm in followed:
        lines += _following_lines(arm)
    for line in answers:
        lines += _answer_lines(line)
    lines += [_finding_line(finding) for finding in forgotten]
    return pd.DataFrame(lines).to_csv(index=False, lineterminator="\n")


def _cell_line(row: Row, suite: str, column: str) -> dict[str, Any]:
    cell = row.cells.get(column)
    paper = row.published.cells.get(column) if row.published else None
    return {
        "row": row.name,
        "suite": suite,
        "column": column,
        "status": "run" if cell else "not run",
        "k": str(cell.final) if cell else "",
        "n": str(cell.n) if cell else "",
        "rate": _fraction(cell and cell.rate),
        "lo": _fraction(cell and cell.low),
        "hi": _fraction(cell and cell.high),
        "any": _fraction(cell and cell.any / cell.n),
        "grasped": _fraction(cell and cell.grasped / cell.n),
        "credit": _fraction(cell and cell.credit),
        "seed_sd": "",
        "paper": _fraction(paper and paper[0], 2),
        "paper_spread": _fraction(paper and paper[1], 2),
    }


def _mean_line(row: Row, group: str) -> dict[str, Any]:
    mean = row.means.get(group)
    return {
        "row": row.name,
        "suite": group,
        "column": "mean",
        "status": "run" if mean else "not run",
        "k": "",
        "n": "",
        "rate": _fraction(mean and mean.rate),
        "lo": _fraction(mean and mean.low),
        "hi": _fraction(mean and mean.high),
        "any": _fraction(mean and mean.any),
        "grasped": "",
        "credit": _fraction(mean and mean.credit.rate),
        "seed_sd": _fraction(mean and mean.seed_sd),
        "paper": _fraction(row.published_mean(group)),
        "paper_spread": "",
    }


def _stage_line(row: Row, stage: str) -> dict[str, Any]:
    share = row.stages.get(stage)
    return {
        "row": row.name,
        "suite": "all 13",
        "column": stage,
        "status": "run" if share else "not run",
        "k": "",
        "n": str(share.n) if share else "",
        "rate": _fraction(share and share.rate),
        "lo": _fraction(share and share.low),
        "hi": _fraction(share and share.high),
        "any": "",
        "grasped": "",
        "seed_sd": "",
        "paper": "",
        "paper_spread": "",
    }


def _difference_lines(difference: Difference) -> list[dict[str, Any]]:
    lines = [_difference_line(difference, group) for group in PAIRED_GROUPS]
    return lines + [
        _seed_line(difference, group, seed, delta)
        for group, deltas in difference.by_seed.items()
        for seed, delta in deltas.items()
    ]


def _seeds_lines(one: Profile | Improvement) -> list[dict[str, Any]]:
    """Return the shares of seeds and conditions above each rate, or the chance of improvement."""
    if isinstance(one, Profile):
        told = {f"rate above {threshold:.1f}": share for threshold, share in one.shares.items()}
    else:
        told = {"probability of improvement over seeds": one.chance}
    return [
        {
            "row": one.name,
            "suite": "all 13",
            "column": column,
            "status": "run",
            "rate": _fraction(share.value),
            "lo": _fraction(share.low),
            "hi": _fraction(share.high),
        }
        for column, share in told.items()
    ]


def _difference_line(difference: Difference, group: str) -> dict[str, Any]:
    pair, further = difference.groups.get(group), difference.improvement.get(group)
    spread = difference.spread.get(group)
    return {
        "row": difference.name,
        "suite": group,
        "column": "paired difference",
        "status": "run" if pair else "not run",
        "k": "",
        "n": str(pair.n) if pair else "",
        "rate": _fraction(pair and pair.delta),
        "lo": _fraction(pair and pair.low),
        "hi": _fraction(pair and pair.high),
        "any": _fraction(pair and pair.any),
        "grasped": "",
        "credit": _fraction(pair and pair.credit.rate),
        "seed_sd": _fraction(spread and spread.sd),
        "paper": _fraction(difference.published.get(group)),
        "paper_spread": "",
        "won": str(pair.won) if pair else "",
        "lost": str(pair.lost) if pair else "",
        "improvement": _fraction(further and further.rate),
        "improvement_lo": _fraction(further and further.low),
        "improvement_hi": _fraction(further and further.high),
        "seed_half": _fraction(spread and spread.half),
    }


def _seed_line(difference: Difference, group: str, seed: int, delta: float) -> dict[str, Any]:
    return {
        "row": difference.name,
        "suite": group,
        "column": f"paired difference, seed {seed}",
        "status": "run",
        "rate": _fraction(delta),
    }


def _finding_line(finding: Finding) -> dict[str, Any]:
    return {
        "row": f"{finding.first} - {finding.second}",
        "suite": f"answers, {finding.column}",
        "column": f"{finding.question} {finding.verdict}",
        "status": "run",
        "n": str(finding.change.n),
        "rate": _fraction(finding.change.value),
        "lo": _fraction(finding.change.low),
        "hi": _fraction(finding.change.high),
    }


def _following_lines(one: Following) -> list[dict[str, Any]]:
    """Return success told something else, and what the right instruction adds to it."""
    told = {
        f"told {one.said}": one.other,
        f"told of its own, minus told {one.said}": one.difference,
    }
    return [
        {
            "row": one.run,
            "suite": suite,
            "column": one.column,
            "status": "run",
            "n": str(share.n),
            "rate": _fraction(share.rate),
            "lo": _fraction(share.low),
            "hi": _fraction(share.high),
            **(_of_pairs(one) if share is one.difference else {}),
        }
        for suite, share in told.items()
    ]


def _of_pairs(one: Following) -> dict[str, str]:
    return {"credit": _fraction(one.credit.rate), "p": _fraction(one.p)}


def _answer_lines(line: Line) -> list[dict[str, Any]]:
    """Return what a model answered: all kinds by column, single kinds, difference to the base."""
    told: dict[tuple[str, str], Estimate] = {("all", column): r for column, r in line.rates.items()}
    told |= {(k, column): r for column, some in line.kinds.items() for k, r in some.items()}
    told |= {("all, minus base", column): r for column, r in line.changes.items()}
    return [
        {
            "row": line.run if line.part == "all" else f"{line.run}, {line.part}",
            "suite": f"answers, {column}",
            "column": kind,
            "status": "run",
            "n": str(rate.n),
            "rate": _fraction(rate.value),
            "lo": _fraction(rate.low),
            "hi": _fraction(rate.high),
            "seed_sd": _fraction(line.seed_sd.get(column) if kind == "all" else None),
        }
        for (kind, column), rate in told.items()
    ]


def _fraction(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"
