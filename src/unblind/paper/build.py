"""The report: values from records, through the template and TeX, to one PDF with its sidecar."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unblind.audit.records import Evidence
from unblind.audit.verdicts import difference
from unblind.config import Config
from unblind.costs.need import hours, size
from unblind.files import atomic_path
from unblind.paper import drawing, latex, pages, values, words
from unblind.paper.pages import Page
from unblind.report.published import PAPER, load_claims
from unblind.report.render import render, tex
from unblind.report.summary import COLUMNS, MEANS
from unblind.study import provenance

_MAIN = "main.tex.j2"
TEMPLATES = (PAPER / _MAIN, *sorted((PAPER / "templates" / "paper").glob("*.tex.j2")))
_CONDITIONS = PAPER.parent / "docs" / "images" / "conditions.png"
#: Figures of the results, in the order of the report, with what they show and the page that tells
#: more.
FIGURES: Mapping[str, tuple[str, str]] = {
    "figure4.png": ("Where models look, by decoder layer (the paper's Figure 4)", "attention.md"),
    "figure5.png": ("Tokens of three classes of objects (the paper's Figure 5)", "collapse.md"),
    "figure2c.png": ("Losses between the models (the paper's Figure 2c)", "landscape.md"),
    "drift.png": ("Drift of visual tokens and forgetting during training", "drift.md"),
    "table3.png": ("What linear probes read, layer by layer", "table3.md"),
    "table3-named-board.png": ("What is read of the board that is named", "table3.md"),
}
_COSTS = "costs.tex"
#: Sources beside templates.
_SOURCES = (PAPER / "claims.yaml", PAPER / "defects.yaml", PAPER / "hyperparameters.yaml")
_CODE = ("unblind",)
_SHORT = 12


def paper(
    config: Config,
    evidence: Evidence,
    result: Mapping[str, Any],
    large: tuple[Path, Config],
    out: Path,
) -> Path:
    """Write the report as PDF, with its sidecar, and return its path.

    It says of what has no records that it was not run, and computes none. The same records, pages
    and commit give the same bytes.

    Args:
        config: the study.
        evidence: its readable records.
        result: the audit of them, as `unblind.audit.build.audit` returns it.
        large: a configuration of the published sizes: its file, and what it says.
        out: where to.

    Raises:
        UnblindError: there is no TeX, the template is broken or does not fit its pages, a published
            number is malformed, or the folder cannot be written. Nothing is written then.
    """
    names = [f"table{number}.tex" for number in pages.TABLES] + [_COSTS, *FIGURES]
    shown = pages.find(config, large[0], names)
    source, epoch = document(config, evidence, result, large[1], shown)
    files = {page.name: page.path for page in shown.values() if page.path}
    files[_CONDITIONS.name] = _CONDITIONS
    content = latex.compile_pdf(source, files, epoch)
    inputs = [*evidence.paths, *files.values(), *_SOURCES, *TEMPLATES, drawing.SOURCE]
    made_from = {"config": config.model_dump(mode="json"), "code": _CODE, "inputs": inputs}
    with provenance.record(out, **made_from), atomic_path(out) as temporary:
        temporary.write_bytes(content)
    return out


def document(
    config: Config,
    evidence: Evidence,
    result: Mapping[str, Any],
    large: Config,
    shown: Mapping[str, Page],
) -> tuple[str, int]:
    """Return the report for TeX, and its time in seconds since 1970: that of the commit.

    Args:
        config, evidence, result: see `paper`.
        large: a study of the published sizes.
        shown: pages and figures by name, see `pages.find`.

    Raises:
        UnblindError: a template is missing or broken, or a published number malformed.
    """
    claims = load_claims()
    commit, epoch = _commit()
    context = {
        **values.of_success(config, evidence, claims),
        **values.of_making(config),
        **values.of_verdicts(result),
        "tables": values.of_tables(claims, result, shown),
        "costs": values.of_costs(config, large),
        "costs_page": shown[_COSTS],
        "figures": [(shown[name], *about) for name, about in FIGURES.items()],
        "conditions_figure": _CONDITIONS.name,
        "drawing": drawing.tikz(),
        "claims": claims,
        "config": config,
        "columns": COLUMNS,
        "means": MEANS,
        "groups": values.GROUPS,
        "where": values.WHERE,
        "commit": commit,
        "words": words,
        "hours": hours,
        "size": size,
    }
    filters = {"breakable": breakable, "printed": printed, "difference": real_minus}
    return render(_MAIN, context, PAPER, filters), epoch


def breakable(value: object) -> str:
    """Return text for TeX in which a line may also end after the marks of a path."""
    text = tex(value)
    for mark in ("/", ".", "-", r"\_", ":"):
        text = text.replace(mark, f"{mark}\\allowbreak{{}}")
    return text


def printed(fraction: float) -> str:
    """Return a published value in percent with the digits that the paper prints."""
    return f"{100 * fraction:.4g}"


def real_minus(value: float, unit: str) -> str:
    """Return a difference as the audit writes it, with a real minus sign."""
    return difference(value, unit).replace("-", words.MINUS)


def _commit() -> tuple[dict[str, str], int]:
    """Return which code made the report, in words, and the time of its commit."""
    facts = provenance.describe_machine()
    name, epoch = str(facts["commit"]), _time_of(str(facts["commit"]))
    day = f"{datetime.fromtimestamp(epoch, UTC):%d %B %Y}".lstrip("0") if epoch else "unknown"
    changed = " with changes" if facts["dirty"] else ""
    return {"name": f"{name[:_SHORT]}{changed}", "day": day}, epoch


def _time_of(commit: str) -> int:
    """Return when a commit was made, in seconds since 1970; 0 where git cannot tell."""
    command = ["git", "-C", str(PAPER.parent), "log", "-1", "--format=%ct", commit, "--"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    text = done.stdout.strip()
    return int(text) if done.returncode == 0 and text.isdigit() else 0
