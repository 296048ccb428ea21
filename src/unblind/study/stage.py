"""What a row of the table of stages says (`unblind.study.stages`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: Kinds of results, as `unblind verify` lists them.
Group = Literal[
    "base",
    "demos",
    "replay",
    "features",
    "teacher",
    "training",
    "rollouts",
    "think",
    "answers",
    "diagnosis",
    "probe",
    "tables",
    "audit",
    "store",
]


def _always(*_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Runs:
    """The runs that a stage has jobs of: one for each seed of the study, or one.

    Attributes:
        of: which runs (`config.Run`).
        each_seed: of which of them each seed has a job; the others have one, of the first seed.
    """

    of: Callable[[Any], bool]
    each_seed: Callable[[Any], bool] = _always


@dataclass(frozen=True)
class Input:
    """Results of another stage that a stage reads.

    A job of a run reads what the other stage makes of that run, if it is one of its runs; a job of
    the study reads what it makes of all runs, or of all teachers.

    Attributes:
        stage: its name; 'base' is the stage that makes the model which methods start from.
        files: names of the files that are read; empty: all its outputs.
        when: which runs read them (`config.Run`), for stages of runs.
        of: of which runs and seeds a job reads them (`config.Config` as it sees it, run, seed).
    """

    stage: str
    files: tuple[str, ...] = ()
    when: Callable[[Any], bool] = _always
    of: Callable[[Any, str | None, int | None], bool] = _always


@dataclass(frozen=True)
class Beside:
    """A file without a sidecar that a training makes.

    Attributes:
        path: as in `Stage.outputs`.
        when: which runs of which study make it (`config.Config`, `config.Run`).
    """

    path: str
    when: Callable[[Any, Any], bool] = lambda config, run: True


@dataclass(frozen=True)
class Stage:
    """A node of the graph.

    Attributes:
        title: what it does, in one line.
        command: what it calls, after ``unblind``; stages of runs get ``--run`` and ``--seed``.
        group: kind of its results.
        outputs: files with a sidecar; ``{results}``, ``{run}``, ``{seed}``, ``{condition}`` and
            ``{teacher}`` are filled in.
        settings: which settings decide the results, as pydantic selects them; True: all of them;
            None: the module that makes it says so.
        modules: whose content decides the results.
        inputs: results that it reads.
        sources: tracked files that it reads, such as templates.
        beside: files without a sidecar that it makes too.
        per: the runs that it is run for; None: it is run once for a study.
        rows: the runs that a page tells of; None: the rows of Table 1. Of another stage, the runs
            that it is left to; None: all that pages tell of.
        each_teacher: whether it is run once for each teacher that runs are aligned with.
        when: in which studies it exists (`config.Config`).
        seeded: whether its results have a seed: the study's, or that of the run.
        seed_offset: added to the study's seed, where another stage's must not be drawn again.
        scratch: whether nobody misses its results once everything that reads them is there.
        unit_cpu_s: CPU-seconds of one unit of its work at mini's sizes on two virtual cores of an
            AMD EPYC, for estimates before it starts; 0 where nothing is known.
        after: results that must be there before it runs, although it reads others, or sidecars.
        rule: its rule of the workflow; empty: named as the stage.
        request: under which name the section `cluster` says what a job may use; empty: its rule's.
        processes: how many it may have at most; 0: as many as evaluation has workers.
        on_gpus: whether it has a process for each GPU that training uses.
        is_local: whether it runs where Snakemake runs, and fetches what is never made again.
        page: what `snakemake --report` calls the page that it renders.
    """

    title: str
    command: str
    group: Group
    outputs: tuple[str, ...]
    settings: Mapping[str, Any] | Literal[True] | None
    modules: tuple[str, ...]
    inputs: tuple[Input, ...] = ()
    sources: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()
    per: Runs | None = None
    rows: Callable[[Any], Sequence[str]] | None = None
    each_teacher: bool = False
    when: Callable[[Any], bool] = field(default=_always)
    seeded: bool = False
    seed_offset: int = 0
    scratch: bool = False
    unit_cpu_s: float = 0.0
    after: tuple[Input, ...] = ()
    rule: str = ""
    request: str = ""
    processes: int = 1
    on_gpus: bool = False
    is_local: bool = False
    page: str = ""
