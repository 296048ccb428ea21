"""All jobs of a study, each after those whose results it reads."""

from collections.abc import Iterator

from unblind.config import Config
from unblind.study.jobs import Job, needed_of, of_run
from unblind.study.rows.scope import teachers
from unblind.study.selection import needed_runs, pages, reads
from unblind.study.stages import STAGES
from unblind.teachers import registry

#: Stages of runs whose jobs tell which features and pictures are needed.
_READING = ("training", "answers", "think_answers", "answerer_answers", "drift", "landscape")


def of_study(config: Config) -> Iterator[Job]:
    """Yield all jobs of a study but those of runs that nothing is left of, in the table's order.

    Runs that the study does not need (`needed_runs`) count where their results exist. A model,
    features for its training and questions to it are made only if a run needs them, and in a study
    of certain pages (`Config.pages`) what these do not need is left out.
    """
    reading = [
        job for name in _READING if STAGES[name].when(config) for job in needed_of(config, name)
    ]
    read = {made.name for job in reading for made, _ in job.needed()}
    has_model = any(run.policy == "vla" for run in config.runs.values())
    for name, stage in STAGES.items():
        if not stage.when(config) or (stage.group == "base" and not has_model):
            continue
        if stage.per is None and stage.group in ("features", "answers") and name not in read:
            continue
        if stage.group == "teacher" and not _trains_teacher(config):
            continue
        if config.pages is not None and not _is_asked(config, name):
            continue
        yield from _jobs(config, name)


def _is_asked(config: Config, name: str) -> bool:
    """Tell whether a page of the study needs a stage; what makes the base is not looked at."""
    stage = STAGES[name]
    is_one = stage.per is None and not stage.page and stage.group not in ("base", "store")
    return not is_one or any(reads(page, name) for page in pages(config))


def _trains_teacher(config: Config) -> bool:
    """Tell whether a run that the study needs is aligned with a teacher that is trained here."""
    of = {run: teacher for teacher, run in teachers(config).items()}
    return any(
        registry.is_trained_here(of[run])
        for name in ("features_teacher", "probe_teacher")
        for run in _of_teachers(config, name)
    )


def _of_teachers(config: Config, name: str) -> list[str | None]:
    """Return for each teacher that the study needs the run that has it, None for the study's."""
    runs = {*needed_runs(config, name)}
    runs |= {run for run in config.runs if any(map(_is_there, of_run(config, "training", run)))}
    needed = {config.of(run).training.align.teacher for run in runs}
    return [run for teacher, run in teachers(config).items() if run is None or teacher in needed]


def _is_there(job: Job) -> bool:
    """Tell whether anything that a job makes exists."""
    return any(path.is_file() for path in job.outputs)


def _jobs(config: Config, name: str) -> Iterator[Job]:
    """Yield the jobs of a stage."""
    if STAGES[name].per is None:
        runs = _of_teachers(config, name) if STAGES[name].each_teacher else [None]
        yield from (Job(config, name, run) for run in runs)
        return
    needed = needed_runs(config, name)
    for run in config.runs:
        for job in of_run(config, name, run):
            if run in needed or _is_there(job):
                yield job
