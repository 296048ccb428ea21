"""Fetching, warming up and fine-tuning the published model (section `openvla`)."""

from pathlib import Path
from typing import Any

from unblind import files
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.study import jobs, making
from unblind.study.jobs import Job, Origin
from unblind.study.stages import STAGES


def fetch(config: Config) -> None:
    """Fetch the checkpoint that `openvla.base` names, check it, and write its record.

    If a run is aligned, the teacher's weights are fetched first: what trains may have no network.

    Raises:
        UnblindError: there is no section `openvla`, the hub cannot be reached, or the checkpoint
            is damaged or another model.
    """
    if config.openvla is None:
        raise UnblindError(
            "this configuration names no published checkpoint", "run: unblind base pull"
        )
    from unblind.finetune import base
    from unblind.foundation import table

    if any(run.method == "align" for run in config.runs.values()):
        table.place(config.training.align.teacher, config.openvla.teacher)
    folder = base.published(config)
    _write_record(folder, jobs.path(config, "fetch"))


def pictures(config: Config) -> None:
    """Write the labelled frames of the demonstrations at the model's size.

    Raises:
        UnblindError: demonstrations are missing or damaged, or the disk is full.
    """
    job = Job(config, "pictures")
    making.run(job, lambda: _write_pictures(config, "training", job.outputs[0]))


def no_features(config: Config) -> None:
    """Refuse to compute the teacher's features: pictures change at every step.

    Raises:
        UnblindError: always.
    """
    raise UnblindError(
        "with the section openvla, the teacher looks at each changed picture during training",
        "run: unblind train",
    )


def train(config: Config, run: str, seed: int) -> None:
    """Fine-tune a run on `openvla.gpus` GPUs, from its last checkpoint if it was interrupted.

    Raises:
        UnblindError: the run is unknown or has no method, an input is missing, outdated or does
            not fit, or the disk is full.
    """
    from unblind.steps.finetuning import method_of

    method_of(config, run)
    job = Job(config, "published_training", run, seed)

    def work() -> dict[str, Any]:
        from unblind.finetune import base, launch, runs

        inputs = runs.Inputs(
            base.folder(config),
            jobs.base_weights(config),
            jobs.demos_folder(config),
            jobs.path(config, "pictures"),
        )
        folder = job.outputs[0].parent
        with making.continued(folder, job.origin):
            facts = launch.run(runs.train, config.openvla.gpus, config, run, seed, inputs, folder)
        return {"run_details": facts}

    making.run(job, work)


def warm_up(config: Config) -> None:
    """Warm the published checkpoint up on few demonstrations, merge, and write its record.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    job = Job(config, "published_warm_up")
    (record,) = job.outputs
    out, start = record.parent, jobs.path(config, "fetch")
    demos = jobs.demos_folder(config, "warm-up")

    def work() -> None:
        from unblind.finetune import base, launch, runs

        folder = base.published(config)
        base.check(folder, start)
        work_folder = out / "warm-up"
        frames = work_folder / "low.npy"
        _write_pictures(config, "warm-up", frames)
        given = runs.Inputs(folder, start, demos, frames)
        with making.continued(work_folder, job.origin):
            launch.run(runs.warm_up, config.openvla.gpus, config, given, work_folder, out)
        frames.unlink(missing_ok=True)
        files.write_json(record, base.describe(out))

    making.run(job, work)


def _write_pictures(config: Config, which: str, path: Path) -> None:
    from unblind.finetune import pictures as writer

    side = config.base.model.image_size
    writer.write(jobs.demos_folder(config, which), "train", config.demos.noop_filter, side, path)


def _write_record(folder: Path, path: Path) -> None:
    from unblind.finetune import base

    checksums = base.describe(folder)
    origin = Origin(checksums, STAGES["fetch"].modules, ())
    making.make([path], origin, lambda: files.write_json(path, checksums))
