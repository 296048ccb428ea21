"""What is computed once for all runs, and fine-tuning of runs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.study import jobs, making
from unblind.study.jobs import Job
from unblind.study.stages import STAGES

if TYPE_CHECKING:
    import numpy as np

    #: (n, H, W, 3) uint8, RGB -> (n, ...).
    OfPictures = Callable[[np.ndarray], np.ndarray]


def low(config: Config) -> None:
    """Write what the base tower's frozen part makes of the demonstrations, once for all runs.

    Raises:
        UnblindError: the base is a published one, base or demonstrations are missing or damaged,
            or the disk is full.
    """
    _refuse_changed_pictures(config)
    job = Job(config, "features_low")
    making.run(job, lambda: write_low(config, jobs.base_folder(config), "training", job.outputs[0]))


def write_low(config: Config, folder: Path, which: Any, path: Path) -> None:
    """Write the features (N, channels, rows, columns) float16 of the model in a folder.

    Args:
        config: the whole configuration.
        folder: of the model.
        which: set of demonstrations (`config.DemoSet`).
        path: file to write.

    Raises:
        UnblindError: the model or the demonstrations are missing or damaged.
    """
    import torch

    from unblind.training import base

    torch.set_num_threads(1)
    loaded = base.load(config, folder, None, torch.device("cpu"))

    def features(images: "np.ndarray") -> "np.ndarray":
        with torch.no_grad():
            rows = loaded.model.vision_backbone.low(loaded.pixels.training(images))
        return rows.half().contiguous().numpy()

    _write(config, which, path, features, "features_low")


def teacher(config: Config) -> None:
    """Write what the teacher makes of the demonstrations, (N, grid * grid, width) float16.

    It looks at pictures of the student's size.

    Raises:
        UnblindError: the base is a published one, base or demonstrations are missing or damaged,
            the teacher is unknown or cannot give the student's grid, or the disk is full.
    """
    _refuse_changed_pictures(config)
    job = Job(config, "features_teacher")

    def work() -> dict[str, Any]:
        import torch

        from unblind.teachers.loading import load_teacher
        from unblind.vla.pixels import Squeezed
        from unblind.vla.prismatic import PrismaticConfig

        torch.set_num_threads(1)
        align = config.training.align
        source = align.teacher_weights or ""
        loaded = load_teacher(align.teacher, source, interpolate=align.interpolate)
        (text,) = (path.read_text() for path in job.inputs if path.name == "config.json")
        sizes = PrismaticConfig.from_json(text)
        pixels, grid = Squeezed(sizes.image_size), sizes.grid

        def features(images: "np.ndarray") -> "np.ndarray":
            return loaded.features(pixels.training(images), grid).half().contiguous().numpy()

        _write(config, "training", job.outputs[0], features, "features_teacher")
        return {"teacher": loaded.describe(grid)}

    making.run(job, work)


def pictures(config: Config) -> None:
    """Write the pictures of the demonstrations at the size of a published model.

    Raises:
        UnblindError: the base is our own, demonstrations are missing or damaged, or the disk is
            full.
    """
    if config.base.source is None:
        raise UnblindError(
            "without base.source, training looks at stored features of unchanged pictures",
            "run: unblind features low",
        )
    job = Job(config, "pictures")
    making.run(job, lambda: write_pictures(config, "training", job.outputs[0]))


def write_pictures(config: Config, which: Any, path: Path) -> None:
    """Write (N, S, S, 3) uint8, resized as the released loader does before it augments (Lanczos).

    Args:
        config: the whole configuration.
        which: set of demonstrations (`config.DemoSet`).
        path: file to write.

    Raises:
        UnblindError: demonstrations are missing or damaged, or the disk is full.
    """
    from unblind.vla import lanczos

    side = config.base.model.image_size
    _write(config, which, path, lambda images: lanczos.resize(images, side), "pictures")


def _write(config: Config, which: Any, path: Path, function: "OfPictures", stage: str) -> None:
    from unblind.training import cache
    from unblind.training.frames import Labelled, Pictures

    labelled = Labelled(jobs.demos_folder(config, which), "train", config.demos.noop_filter)
    cache.write(path, Pictures(labelled), function, STAGES[stage].unit_cpu_s)


def _refuse_changed_pictures(config: Config) -> None:
    if config.base.source is not None:
        raise UnblindError(
            "with base.source, tower and teacher look at each changed picture during training",
            "run: unblind features pictures, then: unblind train",
        )


def train(config: Config, run: str, seed: int) -> None:
    """Fine-tune a run, from its last checkpoint if it was interrupted.

    Raises:
        UnblindError: the run is unknown or has no method, an input is missing, outdated or does
            not fit, or the disk is full.
    """
    method_of(config, run)
    job = Job(config, "training", run, seed)

    def work() -> dict[str, Any]:
        from unblind.training import base, finetune, team

        teacher = next(
            (p for made, (p, *_) in job.needed() if made.name == "features_teacher"), None
        )
        inputs = finetune.Inputs(
            base.folder(config),
            jobs.record(config),
            jobs.demos_folder(config),
            jobs.seen(config),
            teacher,
        )
        processes, folder = (config.training.gpus, config.training.device), job.outputs[0].parent
        with making.continued(folder, job.origin):
            facts = team.run(finetune.train, *processes, config, run, seed, inputs, folder)
        return {"run_details": facts}

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
