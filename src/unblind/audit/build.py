"""The audit of a study: verdicts on all claims, the release's defects, what does not add up."""

import dataclasses
import difflib
from collections import Counter
from pathlib import Path
from typing import Any

from unblind.audit import defects, integrity
from unblind.audit.claim import Study
from unblind.audit.claims import judged
from unblind.audit.commands import Commands
from unblind.audit.defects import DefectResult
from unblind.audit.records import Evidence, gather
from unblind.audit.verdicts import REMARK, VERDICTS
from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.report.elsewhere import plain
from unblind.report.published import load_claims

SCHEMA = 1
#: The page of what single defects cost, beside the audit's own.
COSTS = "defects.md"


def evidence(config: Config) -> Evidence:
    """Return the readable records of a study; see `unblind.audit.records.gather`."""
    return gather(config, Path(config.results, "rollouts"))


def claims(config: Config, collected: Evidence, commands: Commands) -> list[dict[str, Any]]:
    """Return every claim with its verdict as plain values; see `unblind.audit.claim.Claim`.

    Raises:
        UnblindError: the claims' file is malformed, or two compared runs were evaluated on
            different episodes.
    """
    study = Study(config, load_claims(), collected, commands)
    return [dataclasses.asdict(claim) for claim in judged(study)]


def audit(config: Config, collected: Evidence, commands: Commands, out: Path) -> dict[str, Any]:
    """Return the whole audit as plain values: what ``audit.json`` holds.

    The values depend on the files alone: neither on the clock nor on the checkout.

    Args:
        config: the study.
        collected: its records.
        commands: how its records are made.
        out: the pages' path without suffix.

    Raises:
        UnblindError: see `claims`; or the ledger of defects is malformed.
    """
    verdicts = claims(config, collected, commands)
    counts = Counter(claim["verdict"] for claim in verdicts)
    problems = integrity.findings(config, collected, out)
    return {
        "schema": SCHEMA,
        "scale": config.scale,
        "remark": None if config.scale == "paper" else REMARK,
        "facts": {
            "commits": list(collected.commits),
            "config": digest(config.model_dump(mode="json")),
            "seeds": list(config.seeds),
            "dirty": collected.dirty,
        },
        "counts": {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]},
        "claims": verdicts,
        "elsewhere": plain(load_claims().elsewhere),
        "defects": _defects(),
        "costs_of_defects": COSTS if (out.parent / COSTS).is_file() else None,
        "integrity": [dataclasses.asdict(problem) for problem in problems],
    }


def choose(verdicts: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the claim with this id, upper or lower case.

    Raises:
        UnblindError: there is none; similar ones are named.
    """
    by_id = {claim["id"].casefold(): claim for claim in verdicts}
    if name.casefold() in by_id:
        return by_id[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), by_id, n=3, cutoff=0.5)
    similar = " or ".join(by_id[key]["id"] for key in near)
    raise UnblindError(
        f"there is no claim '{name}'" + (f", did you mean {similar}?" if similar else ""),
        "all ids: results/audit.md",
    )


def _defects() -> list[dict[str, Any]]:
    """Return the ledger as plain values, with what the executable checks have computed."""
    listed = defects.ledger()
    shown = {result.defect.id: result for result in defects.run_checks(listed)}
    return [
        entry.model_dump(exclude={"check"}) | {"check": _check(shown.get(entry.id))}
        for entry in listed
    ]


def _check(result: DefectResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "released": result.released_value,
        "corrected": result.corrected_value,
        "shown": bool(result.shown),
    }
