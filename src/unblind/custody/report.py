"""What a verification found, as text and as plain values."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from unblind.custody.changes import plain
from unblind.custody.verify import Finding, counts


def text(findings: Sequence[Finding]) -> str:
    """Return one line a finding, grouped by kind of result, and a summary."""
    lines = []
    for group, members in groupby(findings, key=lambda one: one.group):
        lines.append(group)
        lines += [f"  {one.state:<8} {_line(one)}" for one in members]
    return "\n".join([*lines, _summary(findings)])


def to_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return findings and their numbers as plain values."""
    return {
        "schema": 1,
        "counts": counts(findings),
        "findings": [
            {
                "group": one.group,
                "path": one.path.as_posix(),
                "state": one.state,
                "why": list(one.why),
                "source": one.source,
                "pulled_inputs": list(one.pulled_inputs),
                "needed": one.needed,
            }
            for one in findings
        ],
    }


def _line(one: Finding) -> str:
    why = [] if one.needed else ["not needed: all that is made from it is here"]
    why += one.why
    source = ""
    if one.source:
        behind = f" from pulled {', '.join(one.pulled_inputs)}" if one.pulled_inputs else ""
        source = f" [{one.source}{behind}]"
    return plain(f"{one.path.as_posix()}{source}{': ' if why else ''}{'; '.join(why)}")


def _summary(findings: Sequence[Finding]) -> str:
    found = counts(findings)
    sources = [one.source for one in findings if one.source]
    kinds = ", ".join(f"{sources.count(kind)} {kind}" for kind in dict.fromkeys(sources))
    unneeded = sum(not one.needed for one in findings)
    notes = {"missing": f" ({unneeded} not needed)" if unneeded else ""}
    states = ", ".join(f"{count} {state}{notes.get(state, '')}" for state, count in found.items())
    return f"{states}; {kinds}" if kinds else states
