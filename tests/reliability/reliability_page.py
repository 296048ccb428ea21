"""The page that tells what the suite found: docs/reliability.md, between its markers."""

from pathlib import Path
from typing import Any

from kill_chains import Chain

from unblind.files import write_text

BEGIN = "<!-- figures: begin (written by make test-reliability) -->"
END = "<!-- figures: end -->"
_MOMENTS = {
    "kills_start": "as each step starts",
    "kills_end": "as each step ends, before Snakemake notes it",
    "kills_recorded": "as soon as Snakemake has noted a job",
    "kills_random": "at seeded random moments",
}
_FAULTS = (
    *("orphans", "two_calls", "failing_job", "full_disk", "full_checkout", "read_only"),
    *("corrupt_blob", "corrupt_cache", "half_pull", "altered_record", "clock_back", "clock_behind"),
)


def problems(chain: Chain) -> list[str]:
    """Return what went wrong in a chain of kills."""
    found = [f"finished, but lost or made again: {chain.lost}"] if chain.lost else []
    found += [f"other bytes: {chain.different}"] if chain.different else []
    return found + ([f"did not go on: {chain.problem}"] if chain.problem else [])


def write(place: Path, state: dict[str, Any], machine: dict[str, Any]) -> None:
    """Put the figures between the page's markers.

    Args:
        place: the page, which has both markers.
        state: what each case found, by name.
        machine: `provenance.describe_machine`.
    """
    text = place.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise ValueError(f"{place} lacks its markers")
    write_text(place, f"{before}{BEGIN}\n\n{render(state, machine)}\n{END}{after}")


def render(state: dict[str, Any], machine: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    parts = [_machine(state, machine), _kills(state), _faults(state), _configurations(state)]
    return "\n".join((*parts, _times(state)))


def _machine(state: dict[str, Any], machine: dict[str, Any]) -> str:
    hardware = machine["hardware"]
    cases = [found for found in state.values() if "wall_s" in found]
    wall, cpu = (sum(found[key] for found in cases) for key in ("wall_s", "cpu_s"))
    failed = sum(bool(found.get("problems")) for found in cases)
    lines = [
        f"Measured on {hardware['cores']} cores of {hardware['cpu']}, "
        f"{hardware['memory_gib']:.0f} GiB: {len(cases)} cases, {failed} with problems, "
        f"{wall / 60:.0f} minutes, about {cpu:,.0f} CPU-seconds."
    ]
    for name, title in (("reference", "smallest"), ("toy", "toy")):
        if name in state:
            one = state[name]
            lines.append(
                f"The {title} study, undisturbed: {one['jobs']} jobs, {one['files']} files, "
                f"{one['bytes'] / 1e6:.1f} MB, {one['seconds']:.0f} s."
            )
    return " ".join(lines) + "\n"


def _kills(state: dict[str, Any]) -> str:
    lines = [
        "### kill -9 of the smallest study",
        "",
        "| killed | kills | finished artifacts lost or repeated | results with other bytes | "
        "half-written files left |",
        "|---|---|---|---|---|",
    ]
    for name, moment in _MOMENTS.items():
        if name not in state:
            lines.append(f"| {moment} | not run | - | - | - |")
            continue
        found = state[name]
        if "kills" not in found:
            lines.append(f"| {moment} | {_problems(found)} | - | - | - |")
            continue
        extra = f" ({found['steps']} steps)" if "steps" in found else ""
        if "shares" in found:
            shares = ", ".join(f"{100 * share:.0f} %" for share in found["shares"])
            extra = f" ({shares} of the files, and up to 3 s)"
        counts = (found["kills"], len(found["lost"]), len(found["different"]), len(found["left"]))
        lines.append(f"| {moment}{extra} | " + " | ".join(map(str, counts)) + " |")
        if found["problem"]:
            lines.append(f"| and at last | {_problems(found)} | - | - | - |")
    return "\n".join((*lines, ""))


def _faults(state: dict[str, Any]) -> str:
    lines = [
        "### Other faults",
        "",
        "| fault | told (cause, remedy) | exit code | afterwards |",
        "|---|---|---|---|",
    ]
    for name in _FAULTS:
        if name not in state:
            lines.append(f"| {name.replace('_', ' ')} | - | - | not run |")
            continue
        found = state[name]
        if "fault" not in found:
            lines.append(f"| {name.replace('_', ' ')} | - | - | {_problems(found)} |")
            continue
        if found["skipped"]:
            lines.append(f"| {found['fault']} | - | - | not run: {found['skipped']} |")
            continue
        told = "<br>".join(_cell(one) for one in found["told"]) or "nothing: no error"
        codes = ", ".join(str(code) for code in sorted(set(found["codes"]))) or "0"
        state_after = _problems(found) or found["then"]
        lines.append(f"| {found['fault']} | {told} | {codes} | {state_after} |")
    return "\n".join((*lines, ""))


def _configurations(state: dict[str, Any]) -> str:
    if "counts" not in state.get("configurations", {}):
        return "### Configurations with a mistake\n\nNot run.\n"
    found = state["configurations"]
    counts = ", ".join(f"{n} {word}" for word, n in found["counts"].items())
    return (
        "### Configurations with a mistake\n\n"
        f"{sum(found['counts'].values())} made from `smoke.yaml`: {counts}. "
        f"{found['through_snakemake']} of them also given to Snakemake. "
        f"{len(found['problems'])} problems.\n"
    )


def _times(state: dict[str, Any]) -> str:
    if "dry_s" not in state.get("times", {}):
        return "### Waiting\n\nNot measured.\n"
    found = state["times"]
    dry, help_ = (", ".join(f"{one:.1f}" for one in found[key]) for key in ("dry_s", "help_s"))
    return (
        "### Waiting\n\n"
        f"`snakemake -n results/table1.md` on a finished toy study: {dry} s "
        f"({found['dry_cpu_s']} CPU-seconds). `unblind --help`: {help_} s.\n"
    )


def _problems(found: dict[str, Any]) -> str:
    return "; ".join(map(_cell, found["problems"]))


def _cell(text: str) -> str:
    """Return text that fits into a cell of a Markdown table."""
    short = text if len(text) <= 260 else text[:257] + "..."
    return short.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
