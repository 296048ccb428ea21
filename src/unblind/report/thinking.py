"""Table 2, VL-Think: which board policies put the carrot on, and what models answer about it.

Acting and answering are two measurements and never share a line. Rows of one episode id (styles,
layouts, starts; questions about one frame) are not independent: ids are the clusters of all
intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unblind.answerers.families import FAMILIES
from unblind.config import Config
from unblind.report import records
from unblind.report.page import write_page
from unblind.report.published import PAPER, load_claims
from unblind.report.render import render
from unblind.report.stats import Estimate, clustered_difference, clustered_rate
from unblind.study import jobs, selection

#: Columns in the paper's order, and the domain of each.
COLUMNS: Mapping[str, str] = {
    "Arrow": "arrow",
    "Color": "color",
    "Laundry": "laundry",
    "Parity": "parity",
    "PublicInfo": "public_info",
    "Shape": "shape",
    "Traffic": "traffic",
    "Weather": "weather",
}
ALL = "all 8"
#: What is told of acting: the rows that count, the ones that are judged, and what is judged.
MEASURES: Mapping[str, tuple[str, str]] = {
    "right board": ("", "right"),
    "on some board": ("", "answered"),
    "right, of those on some board": ("answered", "right"),
    "first board entered is right, of grasped": ("grasped", "entered_right"),
}
#: What is told of answers: the kinds of question, each weighing the same.
KINDS: Mapping[str, tuple[str, ...]] = {
    "is it there? (yes and no weigh the same)": ("present", "absent"),
    "where is it?": ("where",),
    "which board is it on? (in words)": ("side",),
    "what is it called?": ("at",),
    "what is on the board? (one of the names that are there)": ("which",),
    "there and where, as published": ("published",),
}
#: Stages of answers about first frames.
_ASKED = ("think_answers", "answerer_answers")
_ACTING = ("episode_id", "style", "swapped", "in_hand", "grasped", "answered", "right", "place")
_ANSWERS = ("domain", "episode_id", "style", "kind", "board", "right", "blind")


@dataclass(frozen=True)
class Line:
    """One line: a model or policy, and rates by column.

    Attributes:
        run, label: of the run.
        start: 'at rest' or 'in hand' for acting, 'asked' or 'grey picture' for answers.
        measure: a key of `MEASURES` or `KINDS`.
        rates: by column of `COLUMNS` and `ALL`; those without a row that counts are absent.
        change: the mean over columns minus the base's on the same rows; None for the base itself
            and where other rows count.
    """

    run: str
    label: str
    start: str
    measure: str
    rates: Mapping[str, Estimate]
    change: Estimate | None


def table2(config: Config, acting: Path, answers: Path, out: Path) -> list[Path]:
    """Write Table 2 as ``out`` + ``.md``, ``.csv`` and ``.tex``, each with its sidecar.

    Args:
        config: names the runs and seeds.
        acting: folder of ``run/seed/domain.parquet``; runs without all of theirs are left out.
        answers: folder of ``run/seed.parquet``; likewise.
        out: output path without suffix.

    Raises:
        UnblindError: a record is corrupt or of another configuration. Nothing is written then.
    """
    acted, asked = _load_acting(config, acting), _load_answers(config, answers)
    acting_lines, answer_lines = _acting_lines(config, acted), _answer_lines(config, asked)
    context = {
        "config": config,
        "columns": [*COLUMNS, ALL],
        "acting": acting_lines,
        "answers": answer_lines,
        "measures": MEASURES,
        "kinds": KINDS,
        "left_out": left_out(config),
        "published": load_claims().tables["2"],
    }
    texts = {
        ".md": render("table2.md.j2", context),
        ".csv": _csv([*acting_lines, *answer_lines]),
        ".tex": render("table2.tex.j2", context),
    }
    inputs = [path for paths, _ in (*acted.values(), *asked.values()) for path in paths]
    inputs += [PAPER / "claims.yaml"]
    inputs += [PAPER / "templates" / f"table2.{kind}.j2" for kind in ("md", "tex")]
    return [
        write_page(config, "table2", Path(f"{out}{suffix}"), text, inputs)
        for suffix, text in texts.items()
    ]


#: Paths and rows of a run, seeds together.
Loaded = tuple[list[Path], pd.DataFrame]


def _load_acting(config: Config, folder: Path) -> dict[str, Loaded]:
    """Return all runs whose records are all there."""
    found = {
        run: acted(config, name, run, folder)
        for name in ("think", "think_scripted")
        for run in selection.needed_runs(config, name, "table2")
    }
    return {run: loaded for run, loaded in found.items() if loaded}


def acted(config: Config, stage: str, run: str, folder: Path) -> Loaded | None:
    """Return what a run did in VL-Think, None where its records are not all there.

    Args:
        config: the study.
        stage: ``think`` or ``think_scripted``.
        run: its name.
        folder: of ``run/seed/domain.parquet``.

    Raises:
        UnblindError: a record is corrupt or of another configuration.
    """
    paths = [
        Path(folder, run, str(job.seed_of_run), f"{domain}.parquet")
        for job in jobs.of_run(config, stage, run)
        for domain in COLUMNS.values()
    ]
    if not paths or not all(path.is_file() for path in paths):
        return None
    settings = jobs.settings(config, stage, run)
    frames = [
        records.load(path, _ACTING, settings)[0].assign(
            column=_column(path.stem), seed=int(path.parent.name)
        )
        for path in paths
    ]
    rows = pd.concat(frames, ignore_index=True)
    rows["entered_right"] = rows["first_entered"] == rows["place"]
    return paths, rows


def _load_answers(config: Config, folder: Path) -> dict[str, Loaded]:
    found = {
        run: answered(config, run, folder, stage)
        for stage in _ASKED
        for run in selection.needed_runs(config, stage, "table2")
    }
    return {run: loaded for run, loaded in found.items() if loaded}


def left_out(config: Config) -> dict[str, str]:
    """Return by label why models that a study names cannot be asked."""
    named = [run for run in config.runs.values() if run.answerer]
    why = {run.label: FAMILIES[run.answerer.family].lacking for run in named if run.answerer}
    return {label: reason for label, reason in why.items() if reason}


def answered(config: Config, run: str, folder: Path, stage: str = "think_answers") -> Loaded | None:
    """Return what a model answers about VL-Think's first frames; see `acted`.

    Args:
        config: the study.
        run: its name.
        folder: of ``run/seed.parquet``; models of others have theirs where their stage says.
        stage: one of ``think_answers`` and ``answerer_answers``.
    """
    listed = {job.seed_of_run: job.outputs[0] for job in jobs.of_run(config, stage, run)}
    if stage == "think_answers":
        listed = {seed: Path(folder, run, f"{seed}.parquet") for seed in listed}
    paths = list(listed.values())
    if not paths or not all(path.is_file() for path in paths):
        return None
    settings = jobs.settings(config, stage, run)
    frames = [
        records.load(path, _ANSWERS, settings)[0].assign(seed=seed) for seed, path in listed.items()
    ]
    rows = pd.concat(map(_with_published, frames), ignore_index=True)
    return paths, rows.assign(column=rows["domain"].map(_column))


def as_published(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the paper's Table 2 counts: acting from rest, or its own protocol."""
    return rows[~rows["in_hand"]] if "in_hand" in rows else rows[rows["kind"] == "published"]


def _with_published(rows: pd.DataFrame) -> pd.DataFrame:
    """Return answers with those of the published protocol: a board counts if both are right.

    Where it is, models of others tell in words, as in the paper, and ours by location tokens.
    """
    present, where = rows[rows["kind"] == "present"], rows[rows["kind"].isin(("where", "side"))]
    both = present.reset_index(drop=True).assign(kind="published")
    for column in ("right", "blind"):
        both[column] = present[column].to_numpy() & where[column].to_numpy()
    return pd.concat([rows, both], ignore_index=True)


def _column(domain: str) -> str:
    return next(column for column, name in COLUMNS.items() if name == domain)


def _acting_lines(config: Config, acted: dict[str, Loaded]) -> list[Line]:
    lines, base = [], _base(config, acted)
    for start, in_hand in (("at rest", False), ("in hand", True)):
        for measure, (counted, judged) in MEASURES.items():
            for run, (_, rows) in acted.items():
                some = rows[rows["in_hand"] == in_hand]
                other = acted[base][1] if base and not counted and run != base else None
                if counted:
                    some = some[some[counted]]
                if other is not None:
                    other = other[other["in_hand"] == in_hand]
                lines.append(_line(config, run, start, measure, some, judged, other))
    return [line for line in lines if line.rates]


def _answer_lines(config: Config, asked: dict[str, Loaded]) -> list[Line]:
    lines, base = [], _base(config, asked)
    for start, judged in (("asked", "right"), ("grey picture", "blind")):
        for measure, kinds in KINDS.items():
            for run, (_, rows) in asked.items():
                if start == "grey picture" and config.runs[run].method is not None:
                    continue
                some = rows[rows["kind"].isin(kinds)]
                other = asked[base][1] if base and run != base and start == "asked" else None
                if config.runs[run].answerer:  # does not descend from the base
                    other = None
                if other is not None:
                    other = other[other["kind"].isin(kinds)]
                lines.append(_line(config, run, start, measure, some, judged, other))
    return [line for line in lines if line.rates]


def _base(config: Config, loaded: dict[str, Loaded]) -> str | None:
    """Return the run that is the base, if it was evaluated."""
    is_base = (r for r in loaded if config.runs[r].policy == "vla" and not config.runs[r].method)
    return next(is_base, None)


def _line(
    config: Config,
    run: str,
    start: str,
    measure: str,
    rows: pd.DataFrame,
    judged: str,
    other: pd.DataFrame | None,
) -> Line:
    rates = {
        column: _rate(clustered_rate, some, some[judged], _kinds(some))
        for column in COLUMNS
        if len(some := rows[rows["column"] == column])
    }
    if len(rows):
        rates[ALL] = _rate(clustered_rate, rows, rows[judged], pd.Series(groups(rows)[0]))
    change = None
    if other is not None and len(rows):
        change = _change(rows, other, judged)
    return Line(run, config.runs[run].label, start, measure, rates, change)


def _kinds(rows: pd.DataFrame) -> pd.Series:
    """Return what weighs the same in a mean: kinds of question; episodes are of one kind."""
    return rows["kind"] if "kind" in rows else pd.Series("", index=rows.index)


def _rate(function: Any, rows: pd.DataFrame, values: pd.Series, strata: pd.Series) -> Estimate:
    _, clusters = groups(rows)
    arrays = (values.to_numpy(dtype=float), strata.to_numpy(), clusters)
    return Estimate(*function(*arrays), len(rows))


def groups(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return of each row, (n,) and (n,), what weighs the same in a mean, and what is drawn."""
    strata = rows["column"].str.cat(_kinds(rows), sep="/")
    clusters = rows["column"].str.cat(rows["episode_id"].astype(str), sep="/")
    return strata.to_numpy(), clusters.to_numpy()


def _change(rows: pd.DataFrame, other: pd.DataFrame, judged: str) -> Estimate:
    """Return the mean difference on the same rows."""
    both = pairs(rows, other, judged)
    strata, _ = groups(both)
    return _rate(clustered_difference, both, both["first"] - both["second"], pd.Series(strata))


def pairs(rows: pd.DataFrame, other: pd.DataFrame, judged: str) -> pd.DataFrame:
    """Return the rows that two runs share, with what each was: ``first`` and ``second``.

    Seeds of a run are averaged; the base has one.
    """
    key = [c for c in ("column", "episode_id", "style", "swapped", "in_hand", "kind", "board")]
    key = [column for column in key if column in rows]
    own = rows.groupby(key)[judged].mean()
    theirs = other.groupby(key)[judged].mean()
    joined = own.to_frame("first").join(theirs.to_frame("second"), how="inner")
    return joined.reset_index()


def _csv(lines: Sequence[Line]) -> str:
    """Return the long form: a line a rate, as fractions."""
    rows = []
    for line in lines:
        key = {"run": line.run, "start": line.start, "measure": line.measure}
        for column, rate in line.rates.items():
            figures = {"rate": rate.value, "lo": rate.low, "hi": rate.high, "n": rate.n}
            rows.append({**key, "column": column, **figures})
        if line.change:
            change = {"rate": line.change.value, "lo": line.change.low, "hi": line.change.high}
            rows.append({**key, "column": "change to the base", **change, "n": line.change.n})
    frame = pd.DataFrame(
        rows, columns=["run", "start", "measure", "column", "rate", "lo", "hi", "n"]
    )
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.4f")
