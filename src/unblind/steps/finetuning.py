"""What is computed once for all runs, and fine-tuning of runs."""

from pathlib import Path
from typing import Any

from unblind.config import Config, DemoSet
from unblind.errors import UnblindError
from unblind.study import jobs, making
from unblind.study.jobs import Job
from unblind.study.stages import STAGES


def low(config: Config) -> None:
    """Write what the base tower's frozen part makes of the demonstrations, once for all runs.

    Raises:
        UnblindError: the base is a published one, base or demonstrations are missing or damaged,
            or the disk is full.
    """
    _refuse_changed_pictures(config)
    job = Job(config, "features_low")
    making.run(job, lambda: write_low(config, jobs.base_folder(config), "training", job.outputs[0]))


def write_low(config: Config, folder: Path, which: DemoSet, path: Path) -> None:
    """Write the features of a set of demonstrations, of the model in a folder.

    Raises:
        UnblindError: the model or the demonstrations are missing or damaged.
    """
    import torch

    from unblind.training import base, cache

    torch.set_num_threads(1)
    loaded = base.load(config, folder, None, torch.device("cpu"))
    _write(config, which, path, cache.of_tower(loaded), "features_low")


def teacher(config: Config, run: str | None = None) -> None:
    """Write what the teacher makes of the demonstrations.

    Args:
        config: the study.
        run: whose teacher; the study's if None.

    Raises:
        UnblindError: the base is a published one, base or demonstrations are missing or damaged,
            the teacher is unknown or cannot give the student's grid, or the disk is full.
    """
    _refuse_changed_pictures(config)
    job = Job(config, "features_teacher", run)

    def work() -> dict[str, Any]:
        import torch

        from unblind.teachers.loading import load_teacher
        from unblind.training import cache
        from unblind.vla.prismatic import PrismaticConfig

        torch.set_num_threads(1)
        align = job.config.training.align
        source = jobs.teacher_weights(job.config)
        loaded = load_teacher(align.teacher, source, interpolate=align.interpolate)
        # The first one is the base's; a teacher that is trained here has one, too.
        first = next(path for path in job.inputs if path.name == "config.json")
        student = PrismaticConfig.from_json(first.read_text())
        function = cache.of_teacher(loaded, student)
        _write(config, "training", job.outputs[0], function, "features_teacher")
        return {"teacher": loaded.describe(student.grid)}

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


def write_pictures(config: Config, which: DemoSet, path: Path) -> None:
    """Write the pictures of a set of demonstrations.

    Raises:
        UnblindError: demonstrations are missing or damaged, or the disk is full.
    """
    from unblind.training import cache

    function = cache.of_pictures(config.base.model.image_size)
    _write(config, which, path, function, "pictures")


def _write(config: Config, which: DemoSet, path: Path, function: Any, stage: str) -> None:
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
            facts = team.run(finetune.train, *processes, job.config, run, seed, inputs, folder)
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
