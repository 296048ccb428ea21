"""How the gradients of action and alignment lie to each other at the end of a run's training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.steps import parquet
from unblind.study import jobs, making
from unblind.study.jobs import Job


def gradients(config: Config, run: str, seed: int) -> None:
    """Record both gradients of a trained run on fixed batches of its demonstrations.

    Raises:
        UnblindError: the run is unknown or not trained, features or demonstrations are missing or
            damaged, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "gradients", run), run, seed)
    making.run(job, lambda: _record(job))


def _record(job: Job) -> None:
    import torch

    from unblind.diagnosis import gradients as diagnosis
    from unblind.training.losses import TokenLoss
    from unblind.vla import checkpoint, lora

    torch.set_num_threads(1)
    config, asked = job.config, job.config.gradients
    base = checkpoint.load(jobs.base_folder(config))
    batches, teacher_width = _batches(job, base)
    widths, adapter = base.model.config.widths, jobs.run_folder(config, job.run, job.seed_of_run)
    wrapped = lora.load_adapter(base.model, adapter, base.identity, trainable=True)
    loss = config.training.loss
    losses = diagnosis.Losses(
        wrapped.get_base_model().eval(),
        TokenLoss(base.vocabulary, loss.action_width, loss.location_width),
        _objective(job, widths, teacher_width),
        [weight for weight in wrapped.parameters() if weight.requires_grad],
    )
    unit = job.stage.unit_cpu_s * asked.frames
    table = diagnosis.record(losses, batches, asked.batches, unit)
    parquet.write(job.outputs[0], table)


def _batches(job: Job, base: Any) -> tuple[Iterator[Any], int]:
    """Return batches of training frames, the same for all runs and seeds, and the teacher's width.

    Raises:
        UnblindError: there are fewer frames than that, or features are damaged.
    """
    import torch

    from unblind.training import cache
    from unblind.training.feed import Inputs
    from unblind.training.frames import ActionWeights, Frames, Labelled
    from unblind.vla.batch import collate

    config, asked = job.config, job.config.gradients
    labelled = Labelled(jobs.demos_folder(config), "train", config.demos.noop_filter)
    codec, loss = base.codec(fidelity=config.training.recipe), config.training.loss
    frames = Frames(labelled, base.vocabulary, codec, ActionWeights.read(loss), config.seed)
    if len(frames) < asked.batches * asked.frames:
        raise UnblindError(
            f"the demonstrations hold {len(frames)} frames, not {asked.batches * asked.frames}",
            "lower gradients.batches or gradients.frames, or raise demos.successes",
        )
    low, teacher = (
        cache.read(_features(job, name), len(frames))
        for name in ("features_low", "features_teacher")
    )

    def each() -> Iterator[Inputs]:
        for number in range(asked.batches):
            rows = frames.rows(range(number * asked.frames, (number + 1) * asked.frames))
            seen, wanted = (torch.from_numpy(stored[rows]).float() for stored in (low, teacher))
            yield Inputs(seen, collate([[frames.turns[row]] for row in rows]), wanted)

    return each(), teacher.shape[-1]


def _features(job: Job, stage: str) -> Path:
    (path,) = (path for made, paths in job.needed() if made.name == stage for path in paths)
    return path


def _objective(job: Job, widths: Any, teacher_width: int) -> Any:
    """Return the run's alignment; of a run without one, that which the study would give it."""
    from unblind import weights
    from unblind.align.objective import Objective

    align = job.config.training.align
    measured = align.model_copy(update={"lambda_": align.lambda_ or 1.0})
    objective = Objective(measured, job.seed_of_run, widths, teacher_width)
    if job.config.run(job.run).method == "align" and not align.frozen:
        path = jobs.run_folder(job.config, job.run, job.seed_of_run) / "projector.safetensors"
        if not path.is_file():
            raise UnblindError(f"{path} is missing", f"run: unblind train --run {job.run}")
        objective.load_state_dict(dict(weights.tensors([path])))
    return objective.eval()
