"""Which runs and pages a study needs: the rows of its pages, and what these are compared with."""

import functools

from unblind.config import Config
from unblind.errors import UnblindError, near
from unblind.study.stages import STAGES


def page_rows(config: Config, page: str = "table1") -> list[str]:
    """Return the runs that a page tells of; of runs that are the same, the first."""
    rows = STAGES[page].rows
    listed = config.table1.rows if rows is None else rows(config)
    return list(dict.fromkeys(same_as(config, row) for row in listed if row in config.runs))


def same_as(config: Config, run: str) -> str:
    """Return the first run of the configuration that is the same as a run but for its name.

    Aligned layers of a paper's model may be one layer of a smaller one.
    """

    def is_same(other: str) -> bool:
        own = config.runs[run].model_dump(exclude={"label", "training"})
        return (
            config.runs[other].model_dump(exclude={"label", "training"}) == own
            and config.of(other).training == config.of(run).training
        )

    if config.run(run).method is None:
        return run
    return next(other for other in config.runs if is_same(other))


def pages(config: Config) -> list[str]:
    """Return the names of the stages that render the pages of a study.

    Raises:
        UnblindError: the study asks for a page that is none.
    """
    known = [name for name, stage in STAGES.items() if stage.page]
    if unknown := [name for name in config.pages or () if name not in known]:
        raise UnblindError(
            f"pages names no page: '{unknown[0]}'{near(unknown[0], known)}",
            f"pages: {', '.join(known)}",
        )
    return [name for name, stage in STAGES.items() if stage.page and stage.when(config)]


@functools.cache
def reads(stage: str, name: str) -> bool:
    """Tell whether a stage needs results of the stage ``name``, or others that need them.

    Pages that it comes after are pages of the study themselves, or not there.
    """
    row = STAGES[stage]
    needed = {one.stage for one in (*row.inputs, *row.after)} & STAGES.keys()
    needed -= {one for one in needed if STAGES[one].page}
    return name in needed or any(reads(one, name) for one in needed)


def needed_runs(config: Config, name: str, page: str | None = None) -> list[str]:
    """Return the runs that a page, or all pages of a study, need a stage's jobs of.

    They are the page's rows (those of Table 1, if it has none of its own) and, where one of these
    is a model, what models are compared with: runs that have one job whatever the seeds.
    """
    all_pages = [page] if page else [one for one in pages(config) if reads(one, name)]
    told = [page_rows(config, one) for one in all_pages]
    rows, per = list(dict.fromkeys(row for some in told for row in some)), STAGES[name].per
    if per is None or not any(config.runs[row].policy == "vla" for row in rows):
        return rows
    others = {run for run, about in config.runs.items() if not per.each_seed(about)}
    return [run for run in config.runs if run in others.union(rows) and per.of(config.runs[run])]
