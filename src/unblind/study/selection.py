"""Which runs and pages a study needs: the rows of its pages, and what these are compared with."""

import functools
from collections.abc import Mapping

from unblind.config import Config
from unblind.errors import UnblindError, near
from unblind.study.stages import STAGES

#: What a run may have less of than others, and be the same for all that.
_SIZE = ("seeds", "rollout")


def page_rows(config: Config, page: str = "table1") -> list[str]:
    """Return the runs that a page tells of; of runs that are the same, the first."""
    return _rows(config, page, first_of(config))


def _rows(config: Config, page: str, first: Mapping[str, str]) -> list[str]:
    rows = STAGES[page].rows
    listed = config.table1.rows if rows is None else rows(config)
    return list(dict.fromkeys(first[row] for row in listed if row in config.runs))


def first_of(config: Config) -> dict[str, str]:
    """Return by run the first of the configuration that is the same but for its name.

    Aligned layers of a paper's model may be one layer of a smaller one.
    """
    first, found = {}, {}
    for run, about in config.runs.items():
        training = config.of(run).training.model_dump_json()
        same = about.model_dump_json(exclude={"label", "training", *_SIZE}), training
        found[run] = first.setdefault(same, run) if about.method else run
    return found


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
    first = first_of(config)
    told = [_rows(config, one, first) for one in all_pages]
    rows, per = list(dict.fromkeys(row for some in told for row in some)), STAGES[name].per
    if per is None or not any(config.runs[row].policy == "vla" for row in rows):
        return rows
    others = {run for run, about in config.runs.items() if not per.each_seed(about)}
    wanted = others.union(rows)
    if (own := STAGES[name].rows) is not None:
        wanted &= {*own(config)}
    return [run for run in config.runs if run in wanted and per.of(config.runs[run])]
