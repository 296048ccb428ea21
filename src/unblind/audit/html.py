"""The audit as one HTML page that works from a file, without a network."""

import base64
import hashlib
import posixpath
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from unblind.audit.verdicts import VERDICTS, Verdict, amount, difference
from unblind.errors import UnblindError
from unblind.report.published import PAPER

#: The entry of the table filter for claims that belong to no table of the paper.
NO_TABLE = "no table"

_SHORT = 12  # hexadecimal digits shown of a hash


class Look(NamedTuple):
    """How a verdict is shown next to its word: a class of colours and a sign."""

    tone: str
    sign: str


LOOKS: Mapping[Verdict, Look] = {
    "reproduced": Look("good", "✓"),
    "cached": Look("good", "↓"),
    "contradicted": Look("bad", "✗"),
    "inconclusive": Look("open", "?"),
    "confirmed": Look("found", "!"),
    "not confirmed": Look("none", "="),
    "same setting": Look("good", "="),
    "not comparable": Look("none", "~"),
    "not run": Look("none", "○"),
}


@dataclass(frozen=True)
class Group:
    """One section of claims.

    Attributes:
        id: anchor of the section.
        title: its heading.
        note: one sentence under the heading.
        measured: whether its claims have measurements of ours.
        claims: entries of ``claims`` of ``audit.json``, in their order there.
    """

    id: str
    title: str
    note: str
    measured: bool
    claims: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Line:
    """One line of the matrix: a claim of a table or figure, with the verdict on each of its parts.

    Attributes:
        title: the claim in a few words.
        claims: entries of ``claims`` of ``audit.json``: a mark for each.
        section: anchor of the section with them, where there are too many for marks; else ''.
        counts: then how often there is each verdict.
    """

    title: str
    claims: Sequence[Mapping[str, Any]] = ()
    section: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


def render_html(
    result: Mapping[str, Any],
    folder: str = "results",
    templates: Path = PAPER / "templates",
    to: Callable[[str], str] | None = None,
    pages: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the page of an audit.

    Args:
        result: the content of ``audit.json``.
        folder: where the page will lie, relative to where the records' paths start.
        templates: folder of ``audit.html.j2``, ``base.css``, ``audit.css`` and ``audit.js``.
        to: gives the address of a record, where the page does not lie beside the records.
        pages: of the site that the page is one of, titles by address; empty: it stands alone.

    Raises:
        UnblindError: a template is missing or broken, or the audit lacks something it names.
    """
    environment = page_environment(templates)
    environment.filters["link"] = to or (lambda path: link(path, folder))
    try:
        script = environment.get_template("audit.js").render()
        return environment.get_template("audit.html.j2").render(
            result,
            matrix=matrix(result["claims"]),
            groups=groups(result["claims"]),
            tables=sorted(
                {claim["table"] or NO_TABLE for claim in result["claims"]}, key=_table_order
            ),
            no_table=NO_TABLE,
            looks=LOOKS,
            meanings=VERDICTS,
            pages=pages,
            here="audit.html",
            root="",
            script=Markup(script),  # noqa: S704  (a file of this package)
            script_hash=source_hash(script),
        )
    except jinja2.TemplateNotFound as error:
        cause = f"the template {templates / error.name} is missing"
        raise UnblindError(cause, "restore it from the repository") from None
    except (jinja2.TemplateError, KeyError) as error:
        raise UnblindError(
            f"audit.html cannot be made: {error}", "run unblind audit again; fix the template"
        ) from None


def page_environment(templates: Path) -> jinja2.Environment:
    """Return what fills templates of HTML pages: every value is escaped.

    Args:
        templates: folder of the templates.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "anchor": anchor,
        "chance": chance,
        "difference": difference,
        "amount": amount,
        "number": number,
        "place": place,
        "short": short,
    }
    return environment


def matrix(claims: Sequence[Mapping[str, Any]]) -> dict[str, list[Line]]:
    """Return every verdict on one page: by table or figure, a line for each claim.

    What the paper says of itself and numbers of its text have a place of their own; printed
    values are counted.
    """
    places: dict[str, list[Line]] = {}
    names = {one["table"] for one in claims if one["kind"] in ("value", "ordering")} - {None}
    for name in sorted(names, key=_table_order):
        of = [one for one in claims if one["table"] == name]
        ordered = [one for one in of if one["kind"] == "ordering"]
        titles = dict.fromkeys(one["title"] for one in ordered)
        lines = [Line(t, [one for one in ordered if one["title"] == t]) for t in titles]
        counts = Counter(one["verdict"] for one in of if one["kind"] == "value")
        if counts:
            section = anchor(place(name), "section")
            lines.append(Line("Printed values", section=section, counts=_in_order(counts)))
        places[place(name)] = lines
    for kind, heading, title in (
        ("arithmetic", "Inside the paper", "Statements that contradict each other"),
        ("text", "Text", "Numbers outside the tables"),
    ):
        if of := [one for one in claims if one["kind"] == kind]:
            places[heading] = [Line(title, of)]
    return places


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {verdict: counts[verdict] for verdict in VERDICTS if counts.get(verdict)}


def groups(claims: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Return the claims by section: orderings, contradictions, each table's values, text."""
    tables = sorted(
        {claim["table"] for claim in claims if claim["kind"] == "value"}, key=_table_order
    )
    numbers = "Printed values with their printed spread; ours with a 95 % interval."
    all_groups = [
        _group(
            claims,
            "ordering",
            "Orderings",
            "What the paper says is more than what, and last what the values of others let one "
            "expect; ours: the paired difference on identical episodes, questions, pictures or "
            "frames.",
        ),
        _group(
            claims,
            "arithmetic",
            "Contradictions inside the paper",
            "Arithmetic on the paper's own numbers; needs no run.",
            measured=False,
        ),
        *(_group(claims, "value", place(name), numbers, table=name) for name in tables),
        _group(claims, "text", "Numbers of the text", "Numbers that stand outside the tables."),
    ]
    return [group for group in all_groups if group.claims]


def _group(
    claims: Sequence[Mapping[str, Any]],
    kind: str,
    title: str,
    note: str,
    table: str | None = None,
    measured: bool = True,
) -> Group:
    members = [
        claim
        for claim in claims
        if claim["kind"] == kind and (table is None or claim["table"] == table)
    ]
    return Group(anchor(title, "section"), title, note, measured, members)


def place(name: str) -> str:
    """Return what a claim's ``table`` is called."""
    return f"Table {name}" if name.isdigit() else name


def _table_order(name: str) -> tuple[bool, int, str]:
    """Sort tables by number; names that are no number come last."""
    return (not name.isdigit(), int(name) if name.isdigit() else 0, name)


def anchor(name: str, kind: str = "claim") -> str:
    """Return an HTML id for a claim, a defect or a section."""
    return f"{kind}-" + re.sub(r"[^\w./-]+", "-", name)


def link(path: str, folder: str) -> str:
    """Return the relative address of a file as seen from a page in ``folder``."""
    return urllib.parse.quote(posixpath.relpath(path, folder))


def number(value: float) -> str:
    """Return a value with two decimals, or three where the third is not zero; large ones short."""
    if abs(value) > 1:
        return f"{value:.6g}"
    text = f"{value:.3f}"
    return text.removesuffix("0")


def chance(p: float) -> str:
    """Return a p-value with its sign of comparison."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def short(commits: str) -> str:
    """Return commits joined by " | " with the digits that identify them."""
    return " | ".join(commit[:_SHORT] for commit in commits.split(" | "))


def source_hash(script: str) -> str:
    """Return the Content Security Policy's name of a script: no other one may run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
