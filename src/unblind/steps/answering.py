"""Held-out questions to the models of a study."""

from unblind.config import Config
from unblind.steps import parquet
from unblind.study import jobs, making
from unblind.study.jobs import Job


def ask(config: Config, run: str, seed: int) -> None:
    """Ask the model of a run all questions of the held-out pictures, and record its answers.

    One that no run has trained is also asked about grey pictures: what can be told without looking.

    Raises:
        UnblindError: the run is unknown or no model, the pictures or the model are missing or
            damaged, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "answers", run), run, seed)

    def work() -> None:
        import torch

        from unblind.diagnosis import models
        from unblind.training import evaluate

        torch.set_num_threads(1)
        (out,) = job.outputs
        folder = jobs.path(config, "held_out").parent
        blind = config.run(run).method is None
        answers = evaluate.record(
            models.load(job), folder, config.answers.pictures, blind, job.stage.unit_cpu_s
        )
        parquet.write(out, answers)

    making.run(job, work)
