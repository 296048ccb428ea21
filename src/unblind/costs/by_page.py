"""What each table and figure of the paper needs, with everything that it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from unblind.config import Config
from unblind.config.kinds import ABLATIONS
from unblind.costs import formulas
from unblind.costs.measured import line_of
from unblind.costs.need import Need, total
from unblind.study.jobs import Job
from unblind.study.selection import pages
from unblind.study.stages import STAGES, rule_of

#: A job of the workflow: rule, run, seed.
_Key = tuple[str, str | None, int | None]
_ELSEWHERE = "its runs are those of workflow/config/ablations-paper.yaml"
_OWN_BASE = "reads a base that is made here, which this scale does not have"
_LEFT_OUT = "not among this study's pages"


@dataclass(frozen=True)
class PageNeed:
    """What one page needs.

    Attributes:
        page: the table or figure.
        jobs: of the workflow, the page's own included; None: the study does not make it.
        need: of all of them.
        new: of those that no earlier page needs.
        lacks: stages that the page can show and this study does not have, or why there is no page.
    """

    page: str
    jobs: int | None
    need: Need
    new: Need
    lacks: str


def by_page(config: Config) -> list[PageNeed]:
    """Return every table and figure of the paper for which there is a page, in its order."""
    each, seen, known = formulas.needs(config), set[_Key](), dict[_Key, set[_Key]]()
    made, listed = set(pages(config)), []
    for name in _names():
        title = STAGES[name].page or ""
        if name not in made:
            nothing = Need(title, "")
            listed.append(PageNeed(title, None, nothing, nothing, _why_not(config, name)))
            continue
        keys = _closure(Job(config, name), known)
        new = keys - seen
        seen |= keys
        needs = [_sum(each, title, some) for some in (keys, new)]
        listed.append(PageNeed(title, len(keys), *needs, _lacking(config, name)))
    return listed


def _names() -> list[str]:
    """Return the stages of the paper's tables and figures: tables by number, then figures."""
    titles = {name: stage.page or "" for name, stage in STAGES.items()}
    tables = [name for name, title in titles.items() if title.startswith("Table ")]
    figures = [name for name, title in titles.items() if title.startswith("Figure ")]
    return sorted(tables, key=lambda name: int(titles[name].split()[1])) + sorted(figures)


def _why_not(config: Config, name: str) -> str:
    if config.pages is not None and name not in config.pages:
        return _LEFT_OUT
    return _ELSEWHERE if name.removeprefix("table") in ABLATIONS else _OWN_BASE


def _closure(job: Job, known: dict[_Key, set[_Key]]) -> set[_Key]:
    """Return a job with all that it is made from."""
    # Two stages may share a rule, but never for one run.
    key = (job.rule, job.run, job.seed_of_run)
    if key not in known:
        known[key] = {key}.union(*(_closure(one, known) for one, _ in job.needed()))
    return known[key]


def _sum(each: Mapping[str, Need], title: str, keys: set[_Key]) -> Need:
    lines = [line_of(rule, run) for rule, run, _ in keys]
    counts = {line: lines.count(line) for line in dict.fromkeys(lines) if line in each}
    return total([each[line].times(count) for line, count in sorted(counts.items())], title)


def _lacking(config: Config, name: str) -> str:
    """Return the stages whose results the page would show and of which the study has no job."""
    job = Job(config, name)
    there = {one.rule for one, _ in job.needed()}
    wanted = [one.stage for one in job.stage.inputs if one.stage in STAGES]
    return ", ".join(
        line_of(one, None) for one in wanted if rule_of(one) not in there and one != "base"
    )
