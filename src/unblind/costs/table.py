"""Costs of a study or of one target as text: expected, and measured where that is complete."""

from collections import Counter
from collections.abc import Mapping

from unblind.config import Config
from unblind.costs import formulas, measured
from unblind.costs.by_page import PageNeed, by_page
from unblind.costs.need import Need, hours, size, total
from unblind.costs.paper_scale import is_large
from unblind.study import dryrun


def report(config: Config, target: str | None = None) -> str:
    """Return a table of what every stage takes: CPU-seconds, or at paper scale hours of GPUs too.

    Args:
        config: the study; its results tell what was measured.
        target: a result or a rule, to leave out what it does not need; None: all that is measured,
            and at paper scale what each table and figure needs of it. Of
            runs with several seeds it gets its share.

    Raises:
        UnblindError: there is no such target, or this is no checkout.
    """
    whole = {name: measured.count(made_by) for name, made_by in measured.lines(config).items()}
    if target is None:
        counts: Mapping[str, int] = whole
    else:
        listed = dryrun.jobs(config, target)
        counts = Counter(measured.line_of(job.rule, job.run) for job in listed)
    each = formulas.needs(config)
    # Stages without a formula last.
    needs = [each[name].times(counts[name]) for name in each if name in counts]
    needs += [Need(name, "") for name in counts if name not in each]
    if is_large(config):
        return _hours(needs, counts, by_page(config) if target is None else [])
    seconds = {
        name: cost * counts[name] / whole.get(name, counts[name])
        for name, cost in measured.cpu_seconds(config).items()
        if name in counts
    }
    return _seconds(needs, seconds)


def _seconds(needs: list[Need], seconds: Mapping[str, float]) -> str:
    rows = [(need.stage, need.cpu_s, seconds.get(need.stage)) for need in needs]
    rows.append(("together", total(needs).cpu_s, sum(seconds.values()) or None))
    lines = [f"{'CPU-seconds':<24}{'estimated':>10}{'measured':>10}"]
    return "\n".join(lines + [f"{row[0]:<24}{_whole(row[1])}{_whole(row[2])}" for row in rows])


def _whole(number: float | None) -> str:
    return f"{'-' if number is None else format(number, '.0f'):>10}"


def _hours(needs: list[Need], counts: Mapping[str, int], listed: list[PageNeed]) -> str:
    width = max(28, *(len(name) + 2 for name in counts))
    head = f"{'at paper scale':<{width}}{'jobs':>6}{'GPU-hours':>11}{'GPU memory':>12}"
    lines = [f"{head}{'CPU-hours':>11}{'disk':>10}"]
    jobs = {**counts, "together": sum(counts.values())}
    for need in [*needs, total(needs)]:
        lines.append(
            f"{need.stage:<{width}}{jobs[need.stage]:>6}{hours(need.gpu_s):>11}"
            f"{size(need.gpu_bytes):>12}{hours(need.cpu_s):>11}{size(need.disk):>10}"
        )
    return "\n".join([*lines, *_pages(listed), "", _REMARK])


def _pages(listed: list[PageNeed]) -> list[str]:
    """Return a line for each page, the header before them."""
    head = f"{'by page':<16}{'jobs':>6}{'GPU-hours':>11}{'new':>9}{'CPU-hours':>11}  lacks"
    lines = [
        f"{one.page:<16}{one.jobs or '-':>6}{hours(one.need.gpu_s):>11}{hours(one.new.gpu_s):>9}"
        f"{hours(one.need.cpu_s):>11}  {one.lacks}".rstrip()
        for one in listed
    ]
    return ["", head, *lines, _OF_PAGES] if lines else []


_OF_PAGES = "Of a page: all that it is made from, which pages share; new: what none above needs."


_REMARK = (
    "By formula, not measured: GPU-hours of one A100 at an assumed utilisation, CPU-hours at "
    "least.\nA dash: nothing, or no formula. Formulas, constants, sources: unblind costs --page"
)
