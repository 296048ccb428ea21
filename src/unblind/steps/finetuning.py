"""Features and fine-tuning of runs."""

from pathlib import Path
from typing import Any

from unblind import places
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.provenance import CODE
from unblind.steps.making import Origin, continued, make
from unblind.store import base_dir


def low(config: Config) -> None:
    """Write what the base tower's frozen part makes of the demonstrations, once for all runs.

    Raises:
        UnblindError: base or demonstrations are missing or damaged, or the disk is full.
    """
    path, origin = places.features_low(config), _low_origin(config)

    def work() -> None:
        import torch

        from unblind.training import features, finetuning
        from unblind.vla import checkpoint

        torch.set_num_threads(1)
        base = checkpoint.load(base_dir(config))
        frames = finetuning.demonstrations(config, base, places.demos(config), "train", 0)
        features.write_low(base.model, frames, path)

    make([path], origin, work)


def teacher(config: Config) -> None:
    """Write what the teacher makes of the demonstrations.

    Raises:
        UnblindError: base or demonstrations are missing or damaged, the teacher is unknown or
            cannot give the student's grid, or the disk is full.
    """
    path, origin = places.features_teacher(config), _teacher_origin(config)

    def work() -> dict[str, Any]:
        import torch

        from unblind.teachers.loading import load_teacher
        from unblind.training import features, finetuning
        from unblind.vla import checkpoint

        align = config.training.align
        loaded = load_teacher(align.teacher, interpolate=align.interpolate)
        torch.set_num_threads(1)
        base = checkpoint.load(base_dir(config))
        frames = finetuning.demonstrations(config, base, places.demos(config), "train", 0)
        sizes = base.model.config
        features.write_teacher(loaded, sizes.grid, sizes.image_size, frames, path)
        return {"teacher": loaded.describe(sizes.grid)}

    make([path], origin, work)


def train(config: Config, run: str, seed: int) -> None:
    """Fine-tune a run, from its last checkpoint if it was interrupted.

    Raises:
        UnblindError: the run is unknown or has no method, an input is missing, outdated or does
            not fit, or the disk is full.
    """
    folder = places.run_folder(config, run, seed)
    aligned = method_of(config, run) == "align"
    origin = _run_origin(config, run, seed, aligned)
    weights, *beside = [folder / name for name in places.RUN_FILES]
    if aligned:
        beside.append(folder / "projector.safetensors")

    def work() -> dict[str, Any]:
        from unblind.training import finetuning

        inputs = finetuning.Inputs(
            base_dir(config),
            places.demos(config),
            places.features_low(config),
            places.features_teacher(config) if aligned else None,
        )
        with continued(folder, origin):
            return {"run_details": finetuning.train(config, run, seed, inputs, folder)}

    make([weights], origin, work, beside)


def method_of(config: Config, run: str) -> str:
    """Return the method of a run.

    Raises:
        UnblindError: the run is unknown or has none.
    """
    method = config.run(run).method
    if method is None:
        learning = [name for name, one in config.runs.items() if one.method]
        raise UnblindError(
            f"run '{run}' has no method: there is nothing to train",
            f"runs with a method: {', '.join(learning) or 'none'}",
        )
    return method


def _low_origin(config: Config) -> Origin:
    inputs = (*places.base_files(config), _manifest(config))
    return Origin(config.part("features_low"), CODE["features_low"], inputs)


def _teacher_origin(config: Config) -> Origin:
    """Of the base, the teacher's features depend on its sizes alone."""
    sizes = next(path for path in places.base_files(config) if path.name == "config.json")
    inputs = (sizes, _manifest(config))
    return Origin(config.part("features_teacher"), CODE["features_teacher"], inputs)


def _run_origin(config: Config, run: str, seed: int, aligned: bool) -> Origin:
    base = places.base_files(config)
    features = [current(places.features_low(config), _low_origin(config), "low")]
    if aligned:
        path = places.features_teacher(config)
        features.append(current(path, _teacher_origin(config), "teacher"))
    inputs = (*base, _manifest(config), *features)
    return Origin(config.part("training", run), CODE["training"], inputs, seed)


def _manifest(config: Config) -> Path:
    (path,) = places.required([places.demos(config) / places.MANIFEST], "unblind demos")
    return path


def current(path: Path, origin: Origin, which: str) -> Path:
    """Return a file of features if it belongs to base and demonstrations as they are now.

    Raises:
        UnblindError: it is missing, outdated or damaged.
    """
    if not origin.is_origin_of(path):
        state = "outdated or damaged" if path.is_file() else "missing"
        raise UnblindError(f"{path} is {state}", f"run: unblind features {which}")
    return path
