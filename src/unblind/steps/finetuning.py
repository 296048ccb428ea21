"""Features and fine-tuning of runs."""

from typing import Any

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.study import making
from unblind.study.jobs import Job, base_folder, demos_folder, path


def low(config: Config) -> None:
    """Write what the base tower's frozen part makes of the demonstrations, once for all runs.

    Raises:
        UnblindError: base or demonstrations are missing or damaged, or the disk is full.
    """
    job = Job(config, "features_low")

    def work() -> None:
        import torch

        from unblind.training import features, finetuning
        from unblind.vla import checkpoint

        torch.set_num_threads(1)
        base = checkpoint.load(base_folder(config))
        frames = finetuning.demonstrations(config, base, demos_folder(config), "train", 0)
        features.write_low(base.model, frames, job.outputs[0])

    making.run(job, work)


def teacher(config: Config) -> None:
    """Write what the teacher makes of the demonstrations.

    Raises:
        UnblindError: base or demonstrations are missing or damaged, the teacher is unknown or
            cannot give the student's grid, or the disk is full.
    """
    job = Job(config, "features_teacher")

    def work() -> dict[str, Any]:
        import torch

        from unblind.teachers import load_teacher
        from unblind.training import features, finetuning
        from unblind.vla import checkpoint

        align = config.training.align
        loaded = load_teacher(align.teacher, align.interpolate)
        torch.set_num_threads(1)
        base = checkpoint.load(base_folder(config))
        frames = finetuning.demonstrations(config, base, demos_folder(config), "train", 0)
        sizes = base.model.config
        features.write_teacher(loaded, sizes.grid, sizes.image_size, frames, job.outputs[0])
        return {"teacher": loaded.describe(sizes.grid)}

    making.run(job, work)


def train(config: Config, run: str, seed: int) -> None:
    """Fine-tune a run, from its last checkpoint if it was interrupted.

    Raises:
        UnblindError: the run is unknown or has no method, an input is missing, outdated or does
            not fit, or the disk is full.
    """
    aligned = method_of(config, run) == "align"
    job = Job(config, "training", run, seed)

    def work() -> dict[str, Any]:
        from unblind.training import finetuning

        inputs = finetuning.Inputs(
            base_folder(config),
            demos_folder(config),
            path(config, "features_low"),
            path(config, "features_teacher") if aligned else None,
        )
        folder = job.outputs[0].parent
        with making.continued(folder, job.origin):
            return {"run_details": finetuning.train(config, run, seed, inputs, folder)}

    making.run(job, work)


def method_of(config: Config, run: str) -> str:
    """Return the method of a run.

    Raises:
        UnblindError: the run is unknown or has none.
    """
    method = config.run(run).method
    if method is None:
        learning = [name for name, settings in config.runs.items() if settings.method]
        raise UnblindError(
            f"run '{run}' has no method: there is nothing to train",
            f"runs with a method: {', '.join(learning) or 'none'}",
        )
    return method
