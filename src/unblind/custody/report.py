"""What a verification found, as text and as plain values."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from unblind.custody.changes import plain
from unblind.custody.verify import Finding, counts


def text(findings: Sequence[Finding]) -> str:
    """Return one line a finding, grouped by kind of result, and a summary."""
    lines = []
    for group, members in groupby(findings, key=lambda finding: finding.group):
        lines.append(group)
        lines += [f"  {finding.state:<8} {_line(finding)}" for finding in members]
    return "\n".join([*lines, _summary(findings)])


def to_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return findings and their numbers as plain values."""
    return {
        "schema": 1,
        "counts": counts(findings),
        "findings": [
            {
                "group": finding.group,
                "path": finding.path.as_posix(),
                "state": finding.state,
                "why": list(finding.why),
                "source": finding.source,
                "pulled_inputs": list(finding.pulled_inputs),
                "needed": finding.needed,
            }
            for finding in findings
        ],
    }


def _line(finding: Finding) -> str:
    why = [] if finding.needed else ["not needed: all that is made from it is here"]
    why += finding.why
    source = ""
    if finding.source:
        behind = f" from pulled {', '.join(finding.pulled_inputs)}" if finding.pulled_inputs else ""
        source = f" [{finding.source}{behind}]"
    return plain(f"{finding.path.as_posix()}{source}{': ' if why else ''}{'; '.join(why)}")


def _summary(findings: Sequence[Finding]) -> str:
    tally = counts(findings)
    sources = [finding.source for finding in findings if finding.source]
    kinds = ", ".join(f"{sources.count(kind)} {kind}" for kind in dict.fromkeys(sources))
    unneeded = sum(not finding.needed for finding in findings)
    notes = {"missing": f" ({unneeded} not needed)" if unneeded else ""}
    states = ", ".join(f"{count} {state}{notes.get(state, '')}" for state, count in tally.items())
    return f"{states}; {kinds}" if kinds else states
