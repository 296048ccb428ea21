"""The result: JSON that is rewritten after every part, and a short table in Markdown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblind import files
from unblind.bench_gpu.parts import PARTS

_METHODS = ("default", "align")


def write(out: Path, results: Mapping[str, Any]) -> None:
    """Write ``out`` (JSON) and the table beside it (.md).

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    files.write_json(out, results)
    files.write_text(out.with_suffix(".md"), markdown(results))


def markdown(results: Mapping[str, Any]) -> str:
    """Return the results as tables; what was not measured is a dash."""
    device, size = results["device"], results["size"]
    lines = [f"# OpenVLA on {device['name']}, {size} size, random weights", ""]
    if not results["complete"]:
        lines += [f"**Incomplete**: {states(results)}.", ""]
    training = results.get("training", {})
    methods = [method for method in _METHODS if "step_ms" in training.get(method, {})]
    if methods:
        lines += _training(results["shape"], training, methods)
    if results.get("decoding"):
        lines += _decoding(results["decoding"])
    rows = {m: training[m]["parts_ms"] for m in methods if "parts_ms" in training[m]}
    if rows:
        lines += _parts(rows)
    versions = (f"{name} {version}" for name, version in results["versions"].items())
    return "\n".join([*lines, f"{', '.join(versions)}.", ""])


def states(results: Mapping[str, Any]) -> str:
    """Return what became of each part, in one line."""
    return ", ".join(f"{name} {part['state']}" for name, part in results["parts"].items())


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["--", *["--:"] * (len(head) - 1)], *rows]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _training(
    shape: Mapping[str, int], training: Mapping[str, Any], methods: list[str]
) -> list[str]:
    forms = {
        "step_ms": ("milliseconds a step", ",.1f"),
        "tokens_per_s": ("tokens a second", ",.0f"),
        "pictures_per_s": ("pictures a second", ",.2f"),
        "mfu": ("model FLOPs utilisation", ".1%"),
        "peak_memory_gib": ("peak memory, GiB", ".1f"),
    }
    rows = [
        [name, *(_cell(training[method].get(key), form) for method in methods)]
        for key, (name, form) in forms.items()
    ]
    title = f"A training step: {shape['batch']} pictures, {shape['tokens']} tokens each"
    lines = [title, "", *_table(["", *(method.capitalize() for method in methods)], rows)]
    if "align_to_default" in training:
        goal = ""
        if "goal" in training:
            met = "met" if training["goal_met"] else "missed"
            goal = f" (goal: at most {training['goal']}, {met})"
        lines += [f"Align / Default: {training['align_to_default']:.3f}{goal}.", ""]
    return lines


def _decoding(decoding: Mapping[str, Any]) -> list[str]:
    rows = [
        [width, f"{row['ms']:,.1f}", f"{row['ms_a_picture']:,.2f}"]
        for width, row in decoding.items()
    ]
    title = "From camera pictures to seven action tokens, greedy"
    return [title, "", *_table(["batch", "milliseconds", "a picture"], rows)]


def _parts(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    sums = {method: sum(row.values()) for method, row in rows.items()}
    body = [
        [part, *(_share(row.get(part), sums[method]) for method, row in rows.items())]
        for part in PARTS
        if any(part in row for row in rows.values())
    ]
    head = ["milliseconds (share)", *(method.capitalize() for method in rows)]
    return ["Where the time of a step goes", "", *_table(head, body)]


def _share(ms: float | None, total: float) -> str:
    return "-" if ms is None else f"{ms:,.1f} ({ms / total:.0%})"
