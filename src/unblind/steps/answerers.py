"""Vision-language models of others: fetched, asked about VL-Think, and looked into."""

from collections.abc import Callable
from typing import Any

from unblind import files
from unblind.config import Answerer, Config
from unblind.errors import UnblindError
from unblind.study import jobs, making
from unblind.study.jobs import Job


def fetch(config: Config, run: str, seed: int) -> None:
    """Fetch a run's model, check that it is what it is said to be, and write its record.

    Raises:
        UnblindError: the run is none, its source names no commit, the hub cannot be reached, or the
            checkpoint is damaged or of another family.
    """
    job = _job(config, "answerer", run, seed)

    def work() -> None:
        from unblind.answerers import loading
        from unblind.answerers.families import FAMILIES

        about = _about(config, run)
        content = loading.describe(loading.place(about.source), FAMILIES[about.family])
        files.write_json(job.outputs[0], content)

    making.run(job, work)


def ask(config: Config, run: str, seed: int) -> None:
    """Ask a run's model about the first frames of VL-Think, and about grey ones.

    Raises:
        UnblindError: the run is none, frames or the model are missing or damaged, or the disk is
            full.
    """
    _make(_job(config, "answerer_answers", run, seed), _answers)


def attend(config: Config, run: str, seed: int) -> None:
    """Record where a run's model looks in frames of validation episodes.

    Raises:
        UnblindError: as `ask`; or the model's visual tokens form no grid.
    """
    _make(_job(config, "answerer_attention", run, seed), _attention)


def collapse(config: Config, run: str, seed: int) -> None:
    """Record how far apart a run's model keeps objects of different classes.

    Raises:
        UnblindError: as `ask`; a class has no picture, or a layer does not exist.
    """
    _make(_job(config, "answerer_collapse", run, seed), _classes)


def _about(config: Config, run: str) -> Answerer:
    """Return what a run says of its model.

    Raises:
        UnblindError: it has none of this kind.
    """
    if (about := config.run(run).answerer) is None:
        named = [name for name, other in config.runs.items() if other.answerer]
        raise UnblindError(
            f"run '{run}' is no vision-language model of others",
            f"runs: {', '.join(named) or 'none; add one with the policy answerer'}",
        )
    return about


def _job(config: Config, stage: str, run: str, seed: int) -> Job:
    from unblind.answerers.families import FAMILIES

    family = FAMILIES[_about(config, run).family]
    if family.lacking:
        raise UnblindError(f"{family.title} cannot be asked: {family.lacking}", "leave the run out")
    return Job(config, stage, run, seed)


def _make(job: Job, tables: Callable[[Job], tuple[Any, ...]]) -> None:
    def work() -> None:
        import pyarrow.parquet as pq
        import torch

        torch.set_num_threads(1)
        for path, table in zip(job.outputs, tables(job), strict=True):
            with files.atomic_path(path) as temporary:
                pq.write_table(table, temporary, compression="zstd")

    making.run(job, work)


def _load(job: Job, eager: bool) -> Any:
    """Return the model that a job's record stands for, in the configured precision."""
    import torch

    from unblind.answerers import loading
    from unblind.diagnosis import answerers
    from unblind.vla.loading import check_device

    about, training = _about(job.config, job.run), job.config.training
    folder = loading.place(about.source)
    loading.check(folder, job.inputs[0])
    device = check_device(training.device)
    return answerers.load(folder, about, device, getattr(torch, training.precision), eager)


def _answers(job: Job) -> tuple[Any, ...]:
    """Return one row a question: what is said of the frame, and whether that is right."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from unblind import png
    from unblind.progress import Progress
    from unblind.steps.thinking import KEY, asked_about
    from unblind.think import spoken

    rows = pq.read_table(jobs.path(job.config, "think_frames")).to_pylist()
    model, columns = _load(job, eager=False), []
    progress = Progress("first frames asked about", len(rows), job.stage.unit_cpu_s)
    for row, episode in zip(rows, asked_about(job.config), strict=True):
        asked = spoken.ask(episode)
        image = png.decode(row["image"])
        said = [
            model.say(np.stack([shown] * len(asked)), [one.text for one in asked], spoken.TOKENS)
            for shown in (image, np.full_like(image, 128))
        ]
        for one, seen, blind in zip(asked, *said, strict=True):
            columns.append(
                {name: row[name] for name in KEY}
                | {"kind": one.kind, "board": one.board, "said": seen}
                | {"right": spoken.is_right(one, seen), "blind": spoken.is_right(one, blind)}
            )
        progress.advance()
    return (pa.Table.from_pylist(columns),)


def _attention(job: Job) -> tuple[Any, ...]:
    from unblind.diagnosis import answerers, frames

    shown = frames.read(job.inputs[1])
    return answerers.attend(
        _load(job, eager=True), shown, job.config.attention, job.stage.unit_cpu_s
    )


def _classes(job: Job) -> tuple[Any, ...]:
    from unblind.diagnosis import answerers, collapse, frames

    settings = job.config.collapse
    shown = collapse.pictures(frames.read(job.inputs[1]), settings)
    model = _load(job, eager=True)
    collapse.check_layers(settings.layers, model.layers)
    vectors = answerers.features(model, shown, settings)
    return (collapse.table(shown, vectors, settings, job.stage.unit_cpu_s),)
