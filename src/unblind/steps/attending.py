"""Attention and collapse: frames with the place of every thing, and what models make of them."""

from unblind import files
from unblind.config import Config
from unblind.steps import parquet
from unblind.study import jobs, making
from unblind.study.jobs import Job


def frames(config: Config) -> None:
    """Draw frames of validation episodes with the place of every thing.

    Raises:
        UnblindError: the catalog lacks files, a class is no object, the planner fails too often,
            or the disk is full.
    """
    job = Job(config, "frames")

    def work() -> None:
        from unblind.diagnosis import drawing
        from unblind.diagnosis import frames as drawn

        for path, rows in zip(job.outputs, drawing.draw(config, job.stage.unit_cpu_s), strict=True):
            with files.atomic_path(path) as temporary:
                drawn.write(temporary, rows)

    making.run(job, work)


def attend(config: Config, run: str, seed: int) -> None:
    """Record where the model of a run looks, and what it knows with parts of the picture hidden.

    Raises:
        UnblindError: the run is unknown or does not act, frames or the model are missing or
            damaged, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "attention", run), run, seed)

    def work() -> None:
        import torch

        from unblind.diagnosis import attention, knockout, models
        from unblind.diagnosis import frames as drawn

        torch.set_num_threads(1)
        shown = drawn.read(jobs.path(config, "frames"))
        loaded, unit = models.load(job), job.stage.unit_cpu_s
        tables = attention.record(loaded, shown, config.attention, unit / 10)
        codec = loaded.codec(config.base.unnorm_key)
        tables += (knockout.record(loaded, codec, shown, config.seed, unit),)
        for path, table in zip(job.outputs, tables, strict=True):
            parquet.write(path, table)

    making.run(job, work)


def collapse(config: Config, run: str, seed: int) -> None:
    """Record how far apart the model of a run keeps objects of different classes.

    Raises:
        UnblindError: the run is unknown or no model, frames or the model are missing or damaged, a
            class has no picture, a layer does not exist, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "collapse", run), run, seed)

    def work() -> None:
        import torch

        from unblind.diagnosis import collapse as separating
        from unblind.diagnosis import frames as drawn
        from unblind.diagnosis import models

        torch.set_num_threads(1)
        (out,) = job.outputs
        _, classes = Job(config, "frames").outputs
        table = separating.record(
            models.load(job), drawn.read(classes), config.collapse, job.stage.unit_cpu_s
        )
        parquet.write(out, table)

    making.run(job, work)
