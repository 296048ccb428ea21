"""Making the base model: pictures with questions, pretraining in two stages, warm-up.

Everything lies below `places.rebuilt`; the finished base is that folder itself.
"""

import shutil
from pathlib import Path

from unblind import files, locks, places
from unblind.config import Config
from unblind.study.making import Origin, continued, make
from unblind.study.provenance import CODE
from unblind.study.store import BASE_FILES

_WEIGHTS = "model.safetensors"


def questions(config: Config, n_workers: int) -> None:
    """Draw the pictures with questions; an interrupted call is continued.

    Raises:
        UnblindError: a worker died, no renderer can be set up, or the disk is full.
    """
    from unblind.training import vlm_data

    wanted = config.base.questions
    out = _pictures(config)
    with locks.alone(out / places.MANIFEST):
        vlm_data.write(out, wanted.images, config.seed, n_workers, wanted.held_out)


def vlm(config: Config, n_workers: int) -> None:
    """Train a new model on the pictures; one or two processes give the same bytes.

    Raises:
        UnblindError: the pictures are missing or damaged, or the disk is full.
    """
    out = places.rebuilt(config) / "vlm"
    origin = Origin(config.part("vlm"), CODE["vlm"], (_picture_list(config),), config.seed)

    def work() -> None:
        from unblind.training import parallel, stages

        with continued(out, origin):
            parallel.run(
                stages.train_vlm, min(n_workers, parallel.PARTS), config, _pictures(config), out
            )

    make(_model(out), origin, work)


def robot(config: Config, n_workers: int) -> None:
    """Go on with broad demonstrations; one or two processes give the same bytes.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    start, out = places.rebuilt(config) / "vlm", places.rebuilt(config) / "robot"
    demos = places.demos(config, "pretraining")
    inputs = (
        *places.required(_model(start), "unblind base vlm"),
        *places.required([demos / places.MANIFEST], "unblind demos --set-of pretraining"),
        _picture_list(config),
    )
    origin = Origin(config.part("robot"), CODE["robot"], inputs, config.seed)

    def work() -> None:
        from unblind.training import parallel, stages

        with continued(out, origin):
            parallel.run(
                *(stages.train_robot, min(n_workers, parallel.PARTS)),
                *(config, start, demos, _pictures(config), out),
            )

    make(_model(out), origin, work)


def warm_up(config: Config) -> None:
    """Warm up on few demonstrations, then put the finished base and its answers in place.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    folder = places.rebuilt(config)
    start, work_folder = folder / "robot", folder / "warm-up"
    demos = places.demos(config, "warm-up")
    inputs = (
        *places.required(_model(start), "unblind base robot"),
        *places.required([demos / places.MANIFEST], "unblind demos --set-of warm-up"),
    )
    origin = Origin(config.part("warm_up"), CODE["warm_up"], inputs, config.seed)

    def work() -> None:
        from unblind.training import warm_up as training

        with continued(work_folder, origin):
            training.warm_up(config, start, demos, work_folder)
            (work_folder / "low.npy").unlink(missing_ok=True)
            for name in BASE_FILES:
                (work_folder / name).replace(folder / name)

    make(_model(folder), origin, work)
    _keep_vlm(config)
    _answer_questions(config)


def _keep_vlm(config: Config) -> None:
    """Lay the weights before robot pretraining beside the base."""
    (weights,) = places.required([places.rebuilt(config) / "vlm" / _WEIGHTS], "unblind base vlm")
    out = places.rebuilt(config) / "vlm.safetensors"
    origin = Origin({}, ("unblind.files",), (weights,))
    make([out], origin, lambda: _copy(weights, out))


def _answer_questions(config: Config) -> None:
    """Ask the finished base the held-out questions."""
    folder = places.rebuilt(config)
    out = folder / "questions.json"
    origin = Origin({}, CODE["answers"], (*_model(folder), _picture_list(config)))

    def work() -> None:
        import torch

        from unblind.training import evaluate
        from unblind.vla import checkpoint

        torch.set_num_threads(1)
        answers = evaluate.questions(checkpoint.load(folder), _pictures(config))
        files.write_json(out, answers)

    make([out], origin, work)


def _pictures(config: Config) -> Path:
    return places.rebuilt(config) / "questions"


def _picture_list(config: Config) -> Path:
    (path,) = places.required([_pictures(config) / places.MANIFEST], "unblind base questions")
    return path


def _model(folder: Path) -> list[Path]:
    return [folder / name for name in BASE_FILES]


def _copy(source: Path, target: Path) -> None:
    with files.atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
