"""Making the base model: pictures with questions, pretraining in two stages, warm-up.

Everything lies below `jobs.rebuilt`; the finished base is that folder itself.
"""

import shutil
from pathlib import Path

from unblind import files, locks
from unblind.config import Config
from unblind.study import making
from unblind.study.jobs import Job, path
from unblind.study.stages import MODEL_FILES


def questions(config: Config, n_workers: int) -> None:
    """Draw the pictures with questions; an interrupted call is continued.

    Raises:
        UnblindError: a worker died, no renderer can be set up, or the disk is full.
    """
    from unblind.training import vlm_data

    manifest, asked = path(config, "questions"), config.base.questions
    with locks.alone(manifest):
        vlm_data.write(manifest.parent, asked.images, config.seed, n_workers, asked.held_out)


def tower(config: Config, n_workers: int) -> None:
    """Train a new model's tower on the pictures; one or two processes give the same bytes.

    Raises:
        UnblindError: the pictures are missing or damaged, or the disk is full.
    """
    job = Job(config, "tower")

    def work() -> None:
        from unblind.training import parallel
        from unblind.training.tower import train_tower

        out, pictures = job.outputs[0].parent, path(config, "questions").parent
        with making.continued(out, job.origin):
            parallel.run(train_tower, min(n_workers, parallel.PARTS), config, pictures, out)

    making.run(job, work)


def vlm(config: Config, n_workers: int) -> None:
    """Go on with questions about the pictures; one or two processes give the same bytes.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    job = Job(config, "vlm")

    def work() -> None:
        from unblind.training import parallel
        from unblind.training.vlm import train_vlm

        out = job.outputs[0].parent
        start, pictures = (path(config, name).parent for name in ("tower", "questions"))
        with making.continued(out, job.origin):
            parallel.run(train_vlm, min(n_workers, parallel.PARTS), config, start, pictures, out)

    making.run(job, work)


def robot(config: Config, n_workers: int) -> None:
    """Go on with broad demonstrations; one or two processes give the same bytes.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    job = Job(config, "robot")

    def work() -> None:
        from unblind.training import parallel, stages

        out = job.outputs[0].parent
        start, demos, pictures = (
            path(config, name).parent for name in ("vlm", "pretraining_demos", "questions")
        )
        with making.continued(out, job.origin):
            parallel.run(
                *(stages.train_robot, min(n_workers, parallel.PARTS)),
                *(config, start, demos, pictures, out),
            )

    making.run(job, work)


def warm_up(config: Config) -> None:
    """Warm up on few demonstrations, then put the finished base and its answers in place.

    Raises:
        UnblindError: an input is missing or damaged, or the disk is full.
    """
    job = Job(config, "warm_up")

    def work() -> None:
        from unblind.training import warm_up as training

        folder = job.outputs[0].parent
        work_folder = folder / "warm-up"
        start, demos = (path(config, name).parent for name in ("robot", "warm_up_demos"))
        with making.continued(work_folder, job.origin):
            training.warm_up(config, start, demos, work_folder)
            (work_folder / "low.npy").unlink(missing_ok=True)
            for name in MODEL_FILES:
                (work_folder / name).replace(folder / name)

    making.run(job, work)
    _keep_vlm(config)
    _answer_questions(config)


def _keep_vlm(config: Config) -> None:
    """Lay the weights before robot pretraining beside the base."""
    job = Job(config, "vlm_copy")
    making.run(job, lambda: _copy(job.inputs[0], job.outputs[0]))


def _answer_questions(config: Config) -> None:
    """Ask the finished base the held-out questions."""
    job = Job(config, "answers")

    def work() -> None:
        import torch

        from unblind.training import evaluate
        from unblind.vla import checkpoint

        torch.set_num_threads(1)
        (out,) = job.outputs
        model = checkpoint.load(out.parent)
        answers = evaluate.questions(model, path(config, "questions").parent)
        files.write_json(out, answers)

    making.run(job, work)


def _copy(source: Path, target: Path) -> None:
    with files.atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
