"""Table 1: success rates by condition, from the records alone."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblind.config import Config
from unblind.report import answers as answering
from unblind.report import table1_figure
from unblind.report.answers import Answers, load_answers
from unblind.report.differences import GROUPS as PAIRED_GROUPS
from unblind.report.differences import differences
from unblind.report.following import following, load_told_otherwise
from unblind.report.footer import facts, load_manifest
from unblind.report.forgetting import findings
from unblind.report.gates import Gate, gates
from unblind.report.page import write_page
from unblind.report.profiles import THRESHOLDS, improvements, profiles
from unblind.report.published import PAPER, load_claims
from unblind.report.records import Records, load_replay, load_run
from unblind.report.render import render
from unblind.report.stats import ALPHA
from unblind.report.summary import COLUMNS, GROUPS, MEANS, STAGE_HEADINGS, summarise
from unblind.report.table1_csv import long_form

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What compares runs, in the order of the CSV.
_COMPARED = ("differences", "profiles", "improvements")


@dataclass(frozen=True)
class Rendered:
    """A table as it would be written.

    Attributes:
        texts: by suffix.
        figure: draws what `Rendered.texts` tell of success.
        inputs: files that were read.
        gates: marks, met or not.
    """

    texts: Mapping[str, str]
    figure: "Callable[[], Figure]"
    inputs: tuple[Path, ...]
    gates: tuple[Gate, ...]


def table1(
    config: Config,
    records: Path,
    demos: Path,
    replay: Path,
    out: Path,
    answers: Path | None = None,
) -> list[Path]:
    """Write Table 1 as ``out`` + ``.md``, ``.csv``, ``.tex`` and ``.png``, each with its sidecar.

    The bytes depend on the input files alone: neither on the clock nor on the checkout.

    Args:
        config: names rows and seeds.
        records: folder of ``run/seed/condition.parquet``.
        demos: folder of the demonstrations' manifest.
        replay: record of the replay.
        out: output path without suffix.
        answers: folder of ``run/seed.parquet``, answers to held-out questions, if there is one.

    Raises:
        UnblindError: an input is missing, corrupt or does not belong to ``config``, or a gate is
            not met that shall stop. Nothing is written then.
    """
    made = render_table1(config, records, demos, replay, answers)
    for gate in made.gates:
        if not gate.met:
            print(f"warning: {gate.name}: {gate.text}", file=sys.stderr)
    return [
        write_page(config, "table1", Path(f"{out}{suffix}"), content, made.inputs)
        for suffix, content in {**made.texts, ".png": made.figure()}.items()
    ]


def render_table1(
    config: Config, records: Path, demos: Path, replay: Path, answers: Path | None = None
) -> Rendered:
    """Return Table 1 without writing it; arguments and errors as for `table1`."""
    runs = {
        name: load_run(config, name, records) for name in config.table1.rows if name in config.runs
    }
    ceiling, manifest = load_replay(config, replay), load_manifest(config, demos)
    answered = load_answers(config, answers) if answers else {}
    otherwise = load_told_otherwise(config, records)
    context = _of_rollouts(config, runs, otherwise) | _of_answers(config, answered)
    asked_base = answering.of_base(config, context["answers"])
    judged = gates(config, context["rows"], asked_base and asked_base.kinds["held out"])
    ceiling, manifest = load_replay(config, replay), load_manifest(config, demos)
    told = facts(config, runs, otherwise, manifest, ceiling, judged, answered)
    context |= {"config": config, "gates": judged, "facts": told}
    compared = [one for key in _COMPARED for one in context[key]]
    of_csv = (context[key] for key in ("following", "answers", "findings"))
    texts = {
        ".md": render("table1.md.j2", context),
        ".csv": long_form(context["rows"], compared, *of_csv),
        ".tex": render("table1.tex.j2", context),
    }
    read = (*runs.values(), *otherwise.values(), *answered.values())
    inputs = [path for model in read for path in model.paths]
    inputs += [replay, Path(demos, "manifest.json"), PAPER / "claims.yaml"]
    inputs += [PAPER / "templates" / f"table1.{kind}.j2" for kind in ("md", "tex")]
    drawn = [row for row in context["rows"] if _is_model(config, row.name)]
    figure = partial(table1_figure.draw, drawn, context["differences"])
    return Rendered(texts, figure, tuple(inputs), tuple(judged))


def _is_model(config: Config, name: str) -> bool:
    """Tell whether a row is that of a model of ours or of another's; others are for control."""
    return name in config.runs and config.runs[name].policy in ("vla", "served")


def _of_rollouts(
    config: Config, runs: Mapping[str, Records], otherwise: Mapping[tuple[str, str], Records]
) -> dict[str, Any]:
    """Return what the templates show of success, of runs and of those told something else."""
    published = load_claims().table1
    rows = summarise(config, runs, published)
    return {
        "columns": COLUMNS,
        "groups": GROUPS,
        "means": MEANS,
        "stages": STAGE_HEADINGS,
        "rows": rows,
        "paired_groups": PAIRED_GROUPS,
        "differences": differences(rows, runs, config.seed),
        "profiles": profiles(rows, runs, config.seed),
        "thresholds": THRESHOLDS,
        "improvements": improvements(rows, runs, config.seed),
        "following": following(config, runs, otherwise),
        "published": published,
    }


def _of_answers(config: Config, answered: Mapping[str, Answers]) -> dict[str, Any]:
    """Return what the templates show of answers to held-out questions."""
    lines = answering.summarise(config, answered)
    return {
        "answers": lines,
        "answer_columns": answering.COLUMNS,
        "answer_least": answering.LEAST,
        "answer_kinds": {c: answering.kinds(lines, c) for c in answering.BY_KIND},
        "findings": findings(config, answered),
        "findings_alpha": ALPHA,
    }
