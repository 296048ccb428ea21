"""Costs of the published sizes as text: the whole graph, one target, and what bears it out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from unblind.config import Config
from unblind.report import dag, formula_checks, paper_scale
from unblind.report.cost_page import hours, size
from unblind.report.dag import Job
from unblind.report.formula_checks import FormulaCheck
from unblind.report.paper_constants import VALUES
from unblind.report.paper_scale import Need

#: Stages that take seconds.
PAGES = ("table 1", "tables 9 and 14", "costs", "audit")
_HEAD = f"{'stage':<28}{'jobs':>6}{'GPU-hours':>11}{'CPU-hours':>11}{'disk':>10}"
_HEAD += f"{'GPU memory':>12}{'hours a job':>13}{'limit':>7}"


def report(paper: Config, study: Config, target: str | None = None) -> str:
    """Return tables of jobs, GPU-hours, CPU-hours and disk, and the checks of their formulas.

    Args:
        paper: a configuration of the published sizes.
        study: a smaller one; its results check the formulas.
        target: a result or a rule to be told apart from everything.

    Raises:
        UnblindError: ``paper`` is of another kind, there is no such target, or this is no checkout.
    """
    each = paper_scale.jobs(paper)
    blocks = [_block("everything", dag.jobs(paper), each, paper)]
    if target is not None:
        blocks.append(_block(target, dag.jobs(paper, target), each, paper))
    blocks += [_remarks(), _checked(study, formula_checks.checks(study))]
    return "\n\n".join(blocks)


def _block(name: str, jobs: Sequence[Job], each: Mapping[str, Need], paper: Config) -> str:
    counts = Counter(job.stage for job in jobs)
    entries = {
        job.stage: paper.cluster_entry(job.rule, dict(job.wildcards).get("run")) for job in jobs
    }
    lines = []
    for stage in (stage for stage in each if stage in counts):
        asked = getattr(paper.cluster.jobs, entries[stage], None)
        limit = hours(60 * asked.minutes) if asked else "-"
        lines.append(_line(each[stage].times(counts[stage]), counts[stage], each[stage], limit))
    rest = sorted(stage for stage in counts if stage not in each)
    lines += [f"{stage:<28}{counts[stage]:>6}{_words(stage)}" for stage in rest]
    known = [stage for stage in each if stage in counts]
    total = paper_scale.together(each[stage].times(counts[stage]) for stage in known)
    longest = max((each[stage] for stage in known), key=lambda need: need.seconds, default=total)
    lines.append(_line(total, len(jobs), longest, ""))
    return "\n".join([f"{name} at paper scale, from nothing:", _HEAD, *lines])


def _words(stage: str) -> str:
    return "   seconds" if stage in PAGES else "   no formula for this stage: not in the sums"


def _line(need: Need, jobs: int, one: Need, limit: str) -> str:
    return (
        f"{need.name:<28}{jobs:>6}{hours(need.gpu_s):>11}{hours(need.cpu_s):>11}"
        f"{size(need.disk):>10}{size(need.gpu_bytes):>12}{hours(one.seconds or None):>13}{limit:>7}"
    ).rstrip()


def _remarks() -> str:
    peak, train, roll = (VALUES[name] for name in ("peak", "u_train", "u_roll"))
    return (
        f"GPU-hours: of one A100 ({peak / 1e12:.0f} T operations a second), of which trainings "
        f"reach {train:.0%} and rollouts {roll:.0%}.\nBoth shares are assumed, no GPU has checked "
        "them. CPU-hours: at least, see the formulas.\nHours a job: of GPU or CPU, whichever is "
        "more; the last line has the longest. Limit: hours by `cluster.jobs`.\nJobs: as Snakemake "
        "lists them in a dry run. Formulas, constants and sources: unblind costs --page"
    )


def _checked(study: Config, found: Iterable[FormulaCheck]) -> str:
    lines = [
        f"{one.what:<46}{one.formula:>16,.0f}{one.measured:>16,.0f}{one.ratio:>10.2f}"
        for one in found
    ]
    if not lines:
        return f"No result of the {study.scale} study is in {study.results}: no formula is checked."
    head = f"{'checked by the ' + study.scale + ' study in ' + study.results:<46}"
    return "\n".join([f"{head}{'formula':>16}{'measured':>16}{'ratio':>10}", *lines])
