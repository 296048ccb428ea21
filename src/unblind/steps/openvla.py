"""Fetching, warming up and fine-tuning the published model (section `openvla`)."""

from pathlib import Path
from typing import Any

from unblind import files, places
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.provenance import CODE
from unblind.steps.making import Origin, continued, make


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
    from unblind.teachers import vit

    if any(run.method == "align" for run in config.runs.values()):
        vit.fetch(config.training.align.teacher, config.openvla.teacher)
    folder = base.published(config)
    _write_record(folder, places.openvla_start(config))


def pictures(config: Config) -> None:
    """Write the labelled frames of the demonstrations at the model's size.

    Raises:
        UnblindError: demonstrations are missing or damaged, or the disk is full.
    """
    path = places.features_low(config)
    make([path], _pictures_origin(config), lambda: _write_pictures(config, "training", path))


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

    aligned = method_of(config, run) == "align"
    folder = places.run_folder(config, run, seed)
    weights, *beside = [folder / name for name in (*places.RUN_FILES, places.STATISTICS)]
    if aligned:
        beside.append(folder / "projector.safetensors")
    origin = _run_origin(config, run, seed)

    def work() -> dict[str, Any]:
        from unblind.finetune import base, launch, runs

        inputs = runs.Inputs(
            base.folder(config),
            places.openvla_base(config),
            places.demos(config),
            places.features_low(config),
        )
        with continued(folder, origin):
            facts = launch.run(runs.train, config.openvla.gpus, config, run, seed, inputs, folder)
        return {"run_details": facts}

    make([weights], origin, work, beside)


def warm_up(config: Config) -> None:
    """Warm the published checkpoint up on few demonstrations, merge, and write its record.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    out, start = places.rebuilt(config), places.openvla_start(config)
    record, demos = places.openvla_base(config), places.demos(config, "warm-up")
    inputs = (
        *places.required([start], "unblind base fetch"),
        *places.required([demos / places.MANIFEST], "unblind demos --set-of warm-up"),
    )
    origin = Origin(config.part("warm_up"), CODE["openvla_training"], inputs, config.seed)

    def work() -> None:
        from unblind.finetune import base, launch, runs

        folder = base.published(config)
        base.check(folder, start)
        work_folder = out / "warm-up"
        frames = work_folder / "low.npy"
        _write_pictures(config, "warm-up", frames)
        given = runs.Inputs(folder, start, demos, frames)
        with continued(work_folder, origin):
            launch.run(runs.warm_up, config.openvla.gpus, config, given, work_folder, out)
        frames.unlink(missing_ok=True)
        files.write_json(record, base.describe(out))

    make([record], origin, work)


def _write_pictures(config: Config, which: str, path: Path) -> None:
    from unblind.finetune import pictures as writer

    side = config.base.model.image_size
    writer.write(places.demos(config, which), "train", config.demos.noop_filter, side, path)


def _write_record(folder: Path, path: Path) -> None:
    from unblind.finetune import base

    found = base.describe(folder)
    make([path], Origin(found, CODE["openvla_base"], ()), lambda: files.write_json(path, found))


def _pictures_origin(config: Config) -> Origin:
    manifest = places.demos(config) / places.MANIFEST
    inputs = tuple(places.required([manifest], "unblind demos"))
    part = config.part("features_low")
    return Origin(part, CODE["openvla_pictures"], inputs)


def _run_origin(config: Config, run: str, seed: int) -> Origin:
    from unblind.steps.finetuning import current

    made = _pictures_origin(config)
    frames = current(places.features_low(config), made, "low")
    inputs = (*places.base_files(config), *made.inputs, frames)
    return Origin(config.part("training", run), CODE["openvla_training"], inputs, seed)
