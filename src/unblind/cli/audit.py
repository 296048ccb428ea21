"""The command `unblind audit`: a verdict on every published claim."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unblind.cli.options import MINI, ConfigFile, Overrides, Workers, load_config
from unblind.errors import UnblindError

if TYPE_CHECKING:
    from unblind.audit.records import Evidence
    from unblind.config import Config

app = typer.Typer()


@app.command()
def audit(
    config: ConfigFile = MINI,
    override: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Pages without suffix.")] = None,
    cell: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only show one claim, e.g. 1/align/Carrot; write nothing."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Compare somebody else's records with ours.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if a claim is contradicted.")
    ] = False,
    recheck: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Roll out N stored episodes again.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Judge every published claim by the records; write it as Markdown, JSON and HTML."""
    settings = load_config(config, override)
    from unblind.audit import build, pages
    from unblind.audit.commands import Commands

    collected = build.evidence(settings)
    commands = Commands(settings, config, MINI)
    if cell is not None:
        print(pages.one_claim(build.choose(build.claims(settings, collected, commands), cell)))
        return
    out = out or Path(settings.results, "audit")
    result = build.audit(settings, collected, commands, out)
    for path in pages.write(result, out, settings, collected.paths):
        print(path)
    print(", ".join(f"{count} {verdict}" for verdict, count in result["counts"].items()))
    if against is not None:
        _compare(settings, collected, against)
    if recheck is not None:
        _recheck(settings, collected, recheck, workers or settings.rollout.workers)
    _stop(result, strict, out)


def _compare(settings: "Config", evidence: "Evidence", folder: Path) -> None:
    """Print how somebody else's records compare with ours, and whether both studies agree.

    Raises:
        UnblindError: some of them are refused.
    """
    from unblind.audit import agreement
    from unblind.audit.compare import compare, report

    still = ("vlm", "answerer")
    acting = [name for name, run in settings.runs.items() if run.policy not in still]
    cells = compare(evidence, acting, folder)
    print(report(cells))
    print(agreement.report(agreement.comparisons(cells), settings.seed))
    refused = [cell for cell in cells if cell.status == "refused"]
    if refused:
        raise UnblindError(
            f"{len(refused)} records in {folder} are refused; {refused[0].record}: "
            f"{refused[0].detail}",
            "ask for them again",
        )


def _recheck(settings: "Config", evidence: "Evidence", n: int, workers: int) -> None:
    from unblind.audit.recheck import recheck, report

    print(report(recheck(settings, evidence, n, workers)))


def _stop(result: dict[str, Any], strict: bool, out: Path) -> None:
    """End with an error if something does not add up.

    Raises:
        UnblindError: an integrity finding, or with ``strict`` a contradicted claim of the paper.
    """
    from unblind.audit.orders import ELSEWHERE

    findings = result["integrity"]
    if findings:
        first = f"{findings[0]['path']}: {findings[0]['problem']}"
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise UnblindError(f"integrity: {first}{more}", f"all findings: {out}.md")
    stated = [claim for claim in result["claims"] if claim["table"] != ELSEWHERE]
    contradicted = [claim["id"] for claim in stated if claim["verdict"] == "contradicted"]
    if strict and contradicted:
        more = f" and {len(contradicted) - 1} more" if len(contradicted) > 1 else ""
        raise UnblindError(f"contradicted: {contradicted[0]}{more}", f"see {out}.md")
