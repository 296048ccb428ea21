"""What is computed once for all runs, and fine-tuning of runs."""

from pathlib import Path
from typing import Any

from unblind import places
from unblind.config import Config, DemoSet
from unblind.errors import UnblindError
from unblind.progress import UNIT_CPU_S
from unblind.provenance import CODE
from unblind.steps.making import Origin, continued, make
from unblind.store import base_dir


def low(config: Config) -> None:
    """Write what the base tower's frozen part makes of the demonstrations, once for all runs.

    Raises:
        UnblindError: the base is a published one, base or demonstrations are missing or damaged,
            or the disk is full.
    """
    _refuse_changed_pictures(config)
    path = places.features_low(config)
    make([path], _low_origin(config), lambda: write_low(config, base_dir(config), "training", path))


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


def teacher(config: Config) -> None:
    """Write what the teacher makes of the demonstrations.

    Raises:
        UnblindError: the base is a published one, base or demonstrations are missing or damaged,
            the teacher is unknown or cannot give the student's grid, or the disk is full.
    """
    _refuse_changed_pictures(config)
    path = places.features_teacher(config)

    def work() -> dict[str, Any]:
        import torch

        from unblind.teachers.loading import load_teacher
        from unblind.training import cache
        from unblind.vla.prismatic import PrismaticConfig

        torch.set_num_threads(1)
        align = config.training.align
        source = align.teacher_weights or ""
        loaded = load_teacher(align.teacher, source, interpolate=align.interpolate)
        student = PrismaticConfig.from_json(_sizes(config).read_text(encoding="utf-8"))
        function = cache.of_teacher(loaded, student)
        _write(config, "training", path, function, "features_teacher")
        return {"teacher": loaded.describe(student.grid)}

    make([path], _teacher_origin(config), work)


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
    path = places.pictures(config)
    origin = _pictures_origin(config)
    make([path], origin, lambda: write_pictures(config, "training", path))


def write_pictures(config: Config, which: DemoSet, path: Path) -> None:
    """Write the pictures of a set of demonstrations.

    Raises:
        UnblindError: demonstrations are missing or damaged, or the disk is full.
    """
    from unblind.training import cache

    function = cache.of_pictures(config.base.model.image_size)
    _write(config, which, path, function, "pictures")


def _write(config: Config, which: DemoSet, path: Path, function: Any, unit: str) -> None:
    from unblind.training import cache
    from unblind.training.frames import Labelled, Pictures

    labelled = Labelled(places.demos(config, which), "train", config.demos.noop_filter)
    cache.write(path, Pictures(labelled), function, UNIT_CPU_S[unit])


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
    folder = places.run_folder(config, run, seed)
    aligned = method_of(config, run) == "align"
    origin = _run_origin(config, run, seed, aligned)
    weights, *beside = [folder / name for name in places.run_files(config)]
    if aligned:
        beside.append(folder / "projector.safetensors")

    def work() -> dict[str, Any]:
        from unblind.training import base, finetune, team

        stored = aligned and config.base.source is None
        inputs = finetune.Inputs(
            base.folder(config),
            places.record(config),
            places.demos(config),
            places.seen(config),
            places.features_teacher(config) if stored else None,
        )
        processes = (config.training.gpus, config.training.device)
        with continued(folder, origin):
            facts = team.run(finetune.train, *processes, config, run, seed, inputs, folder)
        return {"run_details": facts}

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
    inputs = (_sizes(config), _manifest(config))
    return Origin(config.part("features_teacher"), CODE["features_teacher"], inputs)


def _sizes(config: Config) -> Path:
    """Return the file of the base's sizes."""
    return next(path for path in places.base_files(config) if path.name == "config.json")


def _pictures_origin(config: Config) -> Origin:
    return Origin(config.part("pictures"), CODE["pictures"], (_manifest(config),))


def _run_origin(config: Config, run: str, seed: int, aligned: bool) -> Origin:
    if config.base.source is not None:
        seen = [current(places.pictures(config), _pictures_origin(config), "pictures")]
    else:
        seen = [current(places.features_low(config), _low_origin(config), "low")]
        if aligned:
            path = places.features_teacher(config)
            seen.append(current(path, _teacher_origin(config), "teacher"))
    inputs = (*places.base_files(config), _manifest(config), *seen)
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
