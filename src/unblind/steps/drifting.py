"""How far a run's visual tokens drift during its training, and what it forgets meanwhile."""

from typing import Any

from unblind import files
from unblind.config import Config
from unblind.steps import parquet
from unblind.study import jobs, making
from unblind.study.jobs import Job


def drift(config: Config, run: str, seed: int) -> None:
    """Record drift and answers of a run at each snapshot of its training, and at its ends.

    Raises:
        UnblindError: the run is unknown or not trained, pictures or demonstrations are missing or
            damaged, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "drift", run), run, seed)
    making.run(job, lambda: _record(job))


def _record(job: Job) -> dict[str, Any]:
    import torch

    from unblind.diagnosis import drift, forgetting, models, pictures
    from unblind.training.frames import Labelled

    torch.set_num_threads(1)
    config, asked = job.config, job.config.drift
    held_out = jobs.path(config, "held_out").parent
    labelled = Labelled(jobs.demos_folder(config), "train", config.demos.noop_filter)
    snapshots = models.snapshots(job)
    steps = models.on_the_way(job, snapshots)
    tokens = drift.record(
        steps,
        {
            drift.HELD_OUT: pictures.held_out(held_out, asked.pictures),
            drift.DEMONSTRATIONS: pictures.frames(labelled, asked.pictures),
        },
        asked.resamples,
        config.seed,
    )
    answers = forgetting.record(steps, held_out, asked.answered, job.stage.unit_cpu_s)
    for path, table in zip(job.outputs, (tokens, answers), strict=True):
        parquet.write(path, table)
    return {"snapshots": {str(step): files.sha256(path) for step, path in snapshots.items()}}
