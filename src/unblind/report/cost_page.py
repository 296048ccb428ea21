"""The page of costs: measured where artifacts tell it, estimated where not, and at paper scale."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.files import write_text
from unblind.report import measured, paper_scale
from unblind.report.costs import estimate
from unblind.report.measured import Cost, Stage
from unblind.report.paper_constants import CONSTANTS, FORMULAS
from unblind.report.published import PAPER
from unblind.report.render import render
from unblind.study import provenance
from unblind.study.stages import STAGES

#: Modules whose content decides the page.
CODE = STAGES["costs"].modules
_KINDS = ("md", "tex")


@dataclass(frozen=True)
class Line:
    """A stage on the page: measured, or estimated (CPU-seconds alone), or neither."""

    name: str
    cost: Cost | None
    expected_cpu_s: float | None

    @property
    def cpu_s(self) -> float | None:
        """CPU-seconds, measured if possible."""
        return self.cost.cpu_s if self.cost else self.expected_cpu_s

    @property
    def source(self) -> str:
        """Where the numbers are from."""
        if self.cost is None:
            return "not run" if self.expected_cpu_s is None else "estimate"
        return "sidecars" if self.cost.metas else "benchmark"


def cost_page(config: Config, paper: Config, results: Path, out: Path) -> list[Path]:
    """Write the page as ``out`` + ``.md`` and ``.tex``, each with its sidecar.

    The text depends on sidecars, benchmark files and sizes of artifacts alone, not on the clock.

    Args:
        config: the study whose artifacts are looked at.
        paper: a configuration of the published sizes.
        results: folder of the artifacts.
        out: output path without suffix.

    Raises:
        UnblindError: a sidecar or benchmark file is damaged, or ``paper`` is of another kind.
            Nothing is written then.
    """
    stages = measured.stages(config, results)
    rebuilding = config.model_copy(update={"rebuild_base": True})
    base = [one for one in measured.stages(rebuilding, results) if one.name.startswith("base: ")]
    lines = _lines(stages, estimate(config))
    values = {
        "config": config,
        "lines": lines,
        "total": _total(lines),
        # A study that makes its base lists these among its stages.
        "base": [] if config.rebuild_base else _lines(base, estimate(rebuilding)),
        "needs": paper_scale.needs(paper),
        "ood_calls": paper_scale.ood_calls(paper),
        "vl_think_calls": paper_scale.vl_think_calls(paper),
        "paper": paper,
        "parameters": paper_scale.sizes(paper.base.model).parameters,
        "formulas": FORMULAS,
        "constants": CONSTANTS,
        "facts": _facts(lines),
        "hours": hours,
        "size": size,
        "number": number,
    }
    texts = {kind: render(f"costs.{kind}.j2", values) for kind in _KINDS}
    inputs = [path for stage in [*stages, *base] for path in stage.sources() if path.is_file()]
    inputs = [*dict.fromkeys(inputs), *(PAPER / "templates" / f"costs.{k}.j2" for k in _KINDS)]
    return [_write(Path(f"{out}.{kind}"), texts[kind], config, paper, inputs) for kind in _KINDS]


def settings(config: Config, paper: Config) -> dict[str, Any]:
    """Return the plain values that the page depends on beside its input files."""
    return {"study": config.model_dump(mode="json"), "paper": paper.model_dump(mode="json")}


def _write(path: Path, text: str, config: Config, paper: Config, inputs: list[Path]) -> Path:
    made_from = settings(config, paper)
    with provenance.record(path, config=made_from, code=CODE, inputs=inputs):
        write_text(path, text)
    return path


def _lines(stages: Iterable[Stage], expected: Mapping[str, float]) -> list[Line]:
    return [Line(one.name, measured.measure(one), expected.get(one.name)) for one in stages]


def _total(lines: list[Line]) -> Mapping[str, float]:
    """Return sums over the lines; memory is the largest, stages need not run at once."""
    costs = [line.cost for line in lines if line.cost]
    return {
        "measured": len(costs),
        "cpu_s": sum(cost.cpu_s for cost in costs),
        "expected_cpu_s": sum(line.cpu_s or 0.0 for line in lines if line.cost is None),
        "wall_s": sum(cost.wall_s for cost in costs),
        "memory_mib": max((cost.memory_mib for cost in costs), default=0.0),
        "disk": sum(cost.disk for cost in costs),
    }


def _facts(lines: list[Line]) -> dict[str, str]:
    """Return where the measured numbers were taken, as their sidecars say."""
    metas = [meta for line in lines if line.cost for meta in line.cost.metas]

    def distinct(values: Iterable[str]) -> str:
        return " | ".join(dict.fromkeys(values))

    def machine(meta: Mapping[str, Any]) -> str:
        values = meta["hardware"]
        return f"{values['cpu']}, {values['cores']} cores, {values['memory_gib']} GiB"

    return {
        "Hardware": distinct(map(machine, metas)) or "nothing is measured yet",
        "Commit": distinct(str(meta["commit"])[:12] for meta in metas) or "nothing is measured yet",
    }


def hours(seconds: float | None) -> str:
    """Return seconds in hours with three significant digits at least; '-' for None."""
    if seconds is None:
        return "-"
    found = seconds / 3600
    return f"{found:,.0f}" if found >= 100 else f"{found:.1f}" if found >= 10 else f"{found:.3f}"


def size(count: float | None) -> str:
    """Return bytes in decimal units; '-' for None."""
    if count is None:
        return "-"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def number(value: float) -> str:
    """Return a constant: whole numbers with separators, large and broken ones in short."""
    if value == int(value) and value < 1e10:
        return f"{int(value):,}"
    return f"{value:.4g}"
