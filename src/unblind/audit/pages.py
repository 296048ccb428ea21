"""The audit as pages: Markdown, JSON and HTML from the same values."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unblind.audit.html import render_html
from unblind.audit.verdicts import VERDICTS, amount, difference
from unblind.config import Config
from unblind.files import write_text
from unblind.report.published import PAPER
from unblind.report.render import render
from unblind.study import provenance
from unblind.study.stages import STAGES

_TEMPLATES = ("audit.md.j2", "audit.html.j2", "base.css", "audit.css", "audit.js")
SOURCES = (PAPER / "claims.yaml", PAPER / "defects.yaml")


def write(
    result: Mapping[str, Any], out: Path, config: Config, records: Iterable[Path]
) -> list[Path]:
    """Write ``out`` + ``.md``, ``.json`` and ``.html``, each with its sidecar.

    Args:
        result: as `unblind.audit.build.audit` returns them.
        out: output path without suffix.
        config: the study.
        records: files that the values come from.

    Raises:
        UnblindError: a template is missing or broken, or the folder cannot be written. Nothing
            is written if a template is to blame.
    """
    texts = {
        ".md": render(
            "audit.md.j2",
            {**result, "meanings": VERDICTS},
            filters={"amount": amount, "difference": difference},
        ),
        ".json": json.dumps(result, indent=1, ensure_ascii=False) + "\n",
        ".html": render_html(result, folder=out.parent.as_posix()),
    }
    inputs = [*records, *SOURCES, *(PAPER / "templates" / name for name in _TEMPLATES)]
    settings = config.model_dump(mode="json")
    paths = []
    for suffix, text in texts.items():
        path = Path(f"{out}{suffix}")
        made = {"config": settings, "code": STAGES["audit"].modules, "inputs": inputs}
        with provenance.record(path, **made):
            write_text(path, text)
        paths.append(path)
    return paths


def one_claim(claim: Mapping[str, Any]) -> str:
    """Return one claim as text."""
    lines = [claim["id"], f"  {claim['text']}"]
    if claim["paper"]:
        spread = claim["paper"]["spread"]
        plus_minus = "" if spread is None else f" +- {spread:g}"
        lines.append(f"  paper    {claim['paper']['value']:g}{plus_minus}")
    if claim["ours"]:
        ours = claim["ours"]
        interval = "" if ours["low"] is None else f" [{ours['low']:.4f}, {ours['high']:.4f}]"
        count = "" if ours["n"] is None else f" of {ours['n']} episodes"
        lines.append(f"  ours     {ours['value']:.6g}{interval}{count}")
    for name, value in (claim["effect"] or {}).items():
        lines.append(f"  {name:<8} {'-' if value is None else format(value, '.4g')}")
    lines.append(f"  verdict  {claim['verdict']}: {claim['why']}")
    if claim["origin"]:
        lines.append(f"  records  {claim['origin']}, commit {claim['commit']}")
        lines += [f"           {path}" for path in claim["records"]]
    if claim["command"]:
        lines.append(f"  command  {claim['command']}")
    return "\n".join(lines)
