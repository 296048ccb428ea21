"""The base model: a published one is fetched; our own is made of pictures with questions and
pretrained in two stages; both are warmed up.

What is made lies below `places.rebuilt`; the finished base is that folder itself.
"""

import shutil
from pathlib import Path

from unblind import files, locks, places
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.provenance import CODE
from unblind.steps.making import Origin, continued, make
from unblind.store import BASE_FILES

_WEIGHTS = "model.safetensors"


def questions(config: Config, n_workers: int) -> None:
    """Draw the pictures with questions; an interrupted call is continued.

    Raises:
        UnblindError: a worker died, no renderer can be set up, or the disk is full.
    """
    from unblind.pictures import shards

    wanted = config.base.questions
    out = _pictures(config)
    with locks.alone(out / places.MANIFEST):
        shards.write(out, wanted.images, config.seed, n_workers, wanted.held_out)


def vlm(config: Config, n_workers: int) -> None:
    """Train a new model on the pictures; one or two processes give the same bytes.

    Raises:
        UnblindError: the pictures are missing or damaged, or the disk is full.
    """
    out = places.rebuilt(config) / "vlm"
    origin = Origin(config.part("vlm"), CODE["vlm"], (_picture_list(config),), config.seed)

    def work() -> None:
        from unblind.training import pretrain, team

        with continued(out, origin):
            processes = min(n_workers, team.PARTS)
            team.run(pretrain.train_vlm, processes, "cpu", config, _pictures(config), out)

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
        from unblind.training import pretrain, team

        with continued(out, origin):
            processes, inputs = min(n_workers, team.PARTS), (start, demos, _pictures(config))
            team.run(pretrain.train_robot, processes, "cpu", config, *inputs, out)

    make(_model(out), origin, work)


def fetch(config: Config) -> None:
    """Fetch the checkpoint that `base.source` names, check it, and write its record.

    If a run is aligned, the teacher's weights are fetched first: what trains may have no network.

    Raises:
        UnblindError: `base.source` is null, the hub cannot be reached, or the checkpoint is damaged
            or another model.
    """
    if config.base.source is None:
        raise UnblindError(
            "this configuration names no published checkpoint", "run: unblind base pull"
        )
    from unblind.teachers import vit
    from unblind.training import base
    from unblind.vla import checkpoint

    align = config.training.align
    if any(run.method == "align" for run in config.runs.values()):
        vit.fetch(align.teacher, align.teacher_weights or "")
    path, content = places.fetched_record(config), base.describe(checkpoint.place(config.base.source))
    make([path], Origin(content, CODE["fetch"], ()), lambda: files.write_json(path, content))


def warm_up(config: Config) -> None:
    """Warm up on few demonstrations, then put the finished base in place; ours answers questions.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    folder, demos = places.rebuilt(config), places.demos(config, "warm-up")
    source, record = config.base.source, places.record(config)
    if source is None:
        start = places.required(_model(folder / "robot"), "unblind base robot")
    else:
        start = places.required([places.fetched_record(config)], "unblind base fetch")
    inputs = (
        *start,
        *places.required([demos / places.MANIFEST], "unblind demos --set-of warm-up"),
    )
    origin = Origin(config.part("warm_up"), CODE["warm_up"], inputs, config.seed)

    def work() -> None:
        from unblind.training import base

        _train_warm_up(config, demos, origin)
        if record is not None:
            files.write_json(record, base.describe(folder))

    make(_model(folder) if record is None else [record], origin, work)
    if source is None:
        _keep_vlm(config)
        _answer_questions(config)


def _train_warm_up(config: Config, demos: Path, origin: Origin) -> None:
    """Train on the warm-up's demonstrations and put the merged model in its place."""
    from unblind.steps import finetuning
    from unblind.training import base, finetune, team
    from unblind.vla import checkpoint

    folder, source = places.rebuilt(config), config.base.source
    work_folder = folder / "warm-up"
    seen, merged = work_folder / "seen.npy", work_folder / "merged"
    if source is None:
        start, record = folder / "robot", None
        finetuning.write_low(config, start, "warm-up", seen)
    else:
        start, record = checkpoint.place(source), places.fetched_record(config)
        base.check(start, record)
        finetuning.write_pictures(config, "warm-up", seen)
    inputs = finetune.Inputs(start, record, demos, seen)
    processes = (config.training.gpus, config.training.device)
    with continued(work_folder, origin):
        team.run(finetune.warm_up, *processes, config, inputs, work_folder, merged)
        for path in merged.iterdir():
            path.replace(folder / path.name)
    merged.rmdir()
    seen.unlink()


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
