"""The base model: a published one is fetched; our own is made of pictures with questions and
pretrained in two stages; both are warmed up.

What is made lies below `jobs.rebuilt`; the finished base is that folder itself.
"""

import shutil
from pathlib import Path

from unblind import files, locks
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.study import making
from unblind.study.jobs import Job, Origin, path
from unblind.study.rows import scope
from unblind.study.stages import STAGES


def questions(config: Config, n_workers: int) -> None:
    """Draw the pictures with questions; an interrupted call is continued.

    Raises:
        UnblindError: a worker died, no renderer can be set up, or the disk is full.
    """
    _draw(Job(config, "questions"), n_workers)


def held_out(config: Config, n_workers: int) -> None:
    """Draw the pictures whose answers are published; raises what `questions` does.

    They have a seed of their own, since a recipe may be chosen by the held-out ones of `questions`,
    and do not depend on the number of training pictures, of which a set has one at least.
    """
    _draw(Job(config, "held_out"), n_workers)


def contrastive_pictures(config: Config, n_workers: int) -> None:
    """Draw the pictures of the teacher that is trained here; raises what `questions` does."""
    _draw(Job(config, "contrastive_pictures"), n_workers)


def _draw(job: Job, n_workers: int) -> None:
    from unblind.pictures import shards

    (manifest,), told = job.outputs, job.told_settings
    with locks.alone(manifest):
        shards.write(manifest.parent, told["images"], job.seed, n_workers, told["heldout"])


def tower(config: Config, n_workers: int, stage: str = "tower") -> None:
    """Train a new tower on its pictures; one or two processes give the same bytes.

    Args:
        config: the study.
        n_workers: processes.
        stage: whose (`unblind.training.tower.train_tower`).

    Raises:
        UnblindError: the pictures are missing or damaged, or the disk is full.
    """
    job = Job(config, stage)

    def work() -> None:
        from unblind.training import team
        from unblind.training.tower import train_tower

        out, (manifest,) = job.outputs[0].parent, job.inputs
        processes = min(n_workers, team.PARTS)
        with making.continued(out, job.origin):
            team.run(train_tower, processes, "cpu", config, stage, manifest.parent, out)

    making.run(job, work)


def contrastive(config: Config, n_workers: int) -> None:
    """Train the teacher that is made here; raises what `tower` does."""
    tower(config, n_workers, "contrastive")
    shutil.rmtree(path(config, "contrastive").parent / "low", ignore_errors=True)


def vlm(config: Config, n_workers: int) -> None:
    """Go on with questions about the pictures; one or two processes give the same bytes.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    job = Job(config, "vlm")

    def work() -> None:
        from unblind.training import team
        from unblind.training.vlm import train_vlm

        out = job.outputs[0].parent
        start, pictures = (path(config, name).parent for name in ("tower", "questions"))
        processes = min(n_workers, team.PARTS)
        with making.continued(out, job.origin):
            team.run(train_vlm, processes, "cpu", config, start, pictures, out)

    making.run(job, work)


def robot(config: Config, n_workers: int) -> None:
    """Go on with broad demonstrations; one or two processes give the same bytes.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    job = Job(config, "robot")

    def work() -> None:
        from unblind.training import team
        from unblind.training.robot import train_robot

        out, processes = job.outputs[0].parent, min(n_workers, team.PARTS)
        names = ("vlm", "pretraining_demos", "questions", "tower")
        *inputs, tower = (path(config, name).parent for name in names)
        with making.continued(out, job.origin):
            team.run(train_robot, processes, "cpu", config, *inputs, tower / "low", out)
        shutil.rmtree(out / "low", ignore_errors=True)

    making.run(job, work)


def fetch(config: Config) -> None:
    """Fetch the checkpoint that `base.source` names, check it, and write its record.

    If a run is aligned, its teacher's weights are fetched first: what trains may have no network.

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

    if any(run.method == "align" for run in config.runs.values()):
        for run in scope.teachers(config).values():
            align = (config.of(run) if run else config).training.align
            vit.fetch(align.teacher, align.teacher_weights or "")
    record, content = path(config, "fetch"), base.describe(checkpoint.place(config.base.source))
    origin = Origin(content, STAGES["fetch"].modules, ())
    making.make([record], origin, lambda: files.write_json(record, content))


def warm_up(config: Config) -> None:
    """Warm up on few demonstrations, then put the finished base in place.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    is_own = config.base.source is None
    job = Job(config, "warm_up" if is_own else "published_warm_up")

    def work() -> None:
        from unblind.training import base

        _train_warm_up(config, job)
        if not is_own:
            (record,) = job.outputs
            files.write_json(record, base.describe(record.parent))

    making.run(job, work)
    if is_own:
        _keep_vlm(config)


def _train_warm_up(config: Config, job: Job) -> None:
    """Train on the warm-up's demonstrations and put the merged model in its place."""
    from unblind.steps import finetuning
    from unblind.training import base, finetune, team
    from unblind.vla import checkpoint

    folder, source = job.outputs[0].parent, config.base.source
    work_folder = folder / "warm-up"
    seen, merged = work_folder / "seen.npy", work_folder / "merged"
    if source is None:
        start, record = path(config, "robot").parent, None
        finetuning.write_low(config, start, "warm-up", seen)
    else:
        start, record = checkpoint.place(source), path(config, "fetch")
        base.check(start, record)
        finetuning.write_pictures(config, "warm-up", seen)
    inputs = finetune.Inputs(start, record, path(config, "warm_up_demos").parent, seen)
    processes = (config.training.gpus, config.training.device)
    with making.continued(work_folder, job.origin):
        team.run(finetune.warm_up, *processes, config, inputs, work_folder, merged)
        for file in merged.iterdir():
            file.replace(folder / file.name)
    merged.rmdir()
    seen.unlink()


def _keep_vlm(config: Config) -> None:
    """Lay the weights before robot pretraining beside the base."""
    job = Job(config, "vlm_copy")
    making.run(job, lambda: _copy(job.inputs[0], job.outputs[0]))


def _copy(source: Path, target: Path) -> None:
    with files.atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
