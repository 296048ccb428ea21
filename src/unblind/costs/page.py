"""The page of costs: measured where sidecars say so, estimated where not, and at paper scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.costs import cards, formulas, measured
from unblind.costs.by_page import by_page
from unblind.costs.measured import Cost
from unblind.costs.need import Need, hours, size, total
from unblind.costs.paper_scale import CONSTANTS, FORMULAS, policy_calls, require_large
from unblind.files import write_text
from unblind.report.published import PAPER
from unblind.report.render import render
from unblind.study import provenance
from unblind.study.jobs import Job
from unblind.study.stages import STAGES

_KINDS = ("md", "tex")


@dataclass(frozen=True)
class Line:
    """A stage on the page: measured, or estimated (CPU-seconds alone)."""

    name: str
    cost: Cost | None
    expected_cpu_s: float | None

    @property
    def cpu_s(self) -> float | None:
        """CPU-seconds, measured if possible."""
        return self.cost.cpu_s if self.cost else self.expected_cpu_s


def cost_page(config: Config, paper: Config) -> list[Path]:
    """Write the page among the study's results, as ``costs.md`` and ``.tex`` with sidecars.

    The text depends on sidecars and sizes of artifacts alone, not on the clock.

    Args:
        config: the study whose artifacts are looked at.
        paper: a configuration of the published sizes.

    Raises:
        UnblindError: a sidecar is damaged, or ``paper`` is of another scale. Nothing is written
            then.
    """
    require_large(paper)
    made_by = measured.lines(config)
    rebuilding = config.model_copy(update={"rebuild_base": True})
    # A study that makes its base lists these among its stages.
    base = {
        name: jobs
        for name, jobs in measured.lines(rebuilding).items()
        if jobs[0].stage.group == "base" and not config.rebuild_base
    }
    lines = _lines(config, made_by)
    values = {"config": config, "lines": lines, "base": _lines(rebuilding, base)}
    values |= {"total": _total(lines), "facts": _facts(lines)} | _of_paper_scale(paper)
    artifacts = [
        path for jobs in (*made_by.values(), *base.values()) for job in jobs for path in job.outputs
    ]
    inputs = [path for path in map(provenance.sidecar_path, artifacts) if path.is_file()]
    inputs += [PAPER / "templates" / f"costs.{kind}.j2" for kind in _KINDS]
    texts = {kind: render(f"costs.{kind}.j2", values) for kind in _KINDS}
    return [_write(kind, text, config, paper, inputs) for kind, text in texts.items()]


def _of_paper_scale(paper: Config) -> dict[str, Any]:
    """Return what the templates show of the published sizes."""
    return {
        "paper": paper,
        "needs": _needs(paper),
        "pages": by_page(paper),
        "cards": cards.markdown(),
        "ood_calls": policy_calls(paper, conditions=13),
        "vl_think_calls": policy_calls(paper, conditions=8),
        "formulas": FORMULAS,
        "constants": CONSTANTS,
        "hours": hours,
        "size": size,
        "number": number,
    }


def settings(config: Config, paper: Config) -> dict[str, Any]:
    """Return the plain values that the page depends on beside its input files."""
    return {"study": config.model_dump(mode="json"), "paper": paper.model_dump(mode="json")}


def _write(kind: str, text: str, config: Config, paper: Config, inputs: list[Path]) -> Path:
    path = Path(config.results, f"costs.{kind}")
    made_from = settings(config, paper)
    with provenance.record(path, config=made_from, code=STAGES["costs"].modules, inputs=inputs):
        write_text(path, text)
    return path


def _lines(config: Config, made_by: Mapping[str, list[Job]]) -> list[Line]:
    each = formulas.needs(config)
    return [
        Line(name, measured.measure(jobs), each[name].times(measured.count(jobs)).cpu_s)
        for name, jobs in made_by.items()
    ]


def _needs(paper: Config) -> list[Need]:
    each, made_by = formulas.needs(paper), measured.lines(paper)
    listed = [each[name].times(measured.count(jobs)) for name, jobs in made_by.items()]
    return [*listed, total(listed)]


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
    sidecars = [sidecar for line in lines if line.cost for sidecar in line.cost.sidecars]
    facts = {
        "Hardware": [provenance.hardware_text(sidecar["hardware"]) for sidecar in sidecars],
        "Commit": [str(sidecar["commit"])[:12] for sidecar in sidecars],
    }
    nothing = "nothing is measured yet"
    return {name: " | ".join(dict.fromkeys(texts)) or nothing for name, texts in facts.items()}


def number(value: float) -> str:
    """Return a constant: whole numbers with separators, large and broken ones in short."""
    if value == int(value) and value < 1e10:
        return f"{int(value):,}"
    return f"{value:.4g}"
