"""Held-out questions to the models of a study."""

from unblind import files
from unblind.config import Config
from unblind.study import jobs, making
from unblind.study.jobs import Job
from unblind.study.stages import ADAPTER_FILES, VLM_FILE


def ask(config: Config, run: str, seed: int) -> None:
    """Ask the model of a run all questions of the held-out pictures, and record its answers.

    One that no run has trained is also asked about grey pictures: what can be told without looking.

    Raises:
        UnblindError: the run is unknown or no model, the pictures or the model are missing or
            damaged, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "answers", run), run, seed)

    def work() -> None:
        import pyarrow.parquet as pq
        import torch

        from unblind.training import evaluate

        torch.set_num_threads(1)
        (out,) = job.outputs
        folder = jobs.path(config, "held_out").parent
        blind = config.run(run).method is None
        answers = evaluate.record(
            _load(job), folder, config.answers.pictures, blind, job.stage.unit_cpu_s
        )
        with files.atomic_path(out) as temporary:
            pq.write_table(answers, temporary, compression="zstd")

    making.run(job, work)


def _load(job: Job):
    """Return the model that a job reads: the base, with other weights, or with an adapter."""
    import torch

    from unblind.vla import checkpoint, loading, policy

    base = checkpoint.load(jobs.base_folder(job.config))
    by_name = {path.name: path for path in job.inputs}
    if VLM_FILE in by_name:
        loading.load_weights(base.model, [by_name[VLM_FILE]], "cpu", torch.float32)
    adapter = by_name.get(ADAPTER_FILES[0])
    return policy.load(base, adapter.parent if adapter else None).loaded
