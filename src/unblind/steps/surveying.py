"""The loss landscape: a study's base and two of its runs span a plane, which is measured."""

from typing import Any

from unblind import files
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report.landscape import check_runs
from unblind.steps import parquet
from unblind.study import jobs, making
from unblind.study.jobs import Job


def landscape(config: Config) -> None:
    """Measure losses and answers on the plane through the base and two runs of the first seed.

    Raises:
        UnblindError: the runs are not trained, or are no rows of Table 1, their features,
            demonstrations or held-out pictures are missing or damaged, or the disk is full.
    """
    check_runs(config)
    job = Job(config, "landscape")
    making.run(job, lambda: _record(job))


def _record(job: Job) -> dict[str, Any]:
    import torch

    from unblind.diagnosis import landscape, models
    from unblind.diagnosis.plane import Plane, change
    from unblind.vla import checkpoint

    torch.set_num_threads(1)
    config, asked, seed = job.config, job.config.landscape, job.config.seeds[0]
    base = checkpoint.load(jobs.base_folder(config))
    trainings, told = {}, {}
    for run in asked.runs:
        tuning = Job(config, "drift", run, seed)
        snapshots = models.snapshots(tuning)
        _, *steps = models.on_the_way(tuning, snapshots).items()
        trainings[run] = {step: change(base.model, load().model) for step, load in steps}
        told[run] = {str(step): files.sha256(path) for step, path in snapshots.items()}
    plane = Plane(*(list(changes.values())[-1] for changes in trainings.values()))
    points = landscape.edges(asked.runs, plane, asked.edge)
    points += landscape.grid(plane, asked.grid, asked.margin)
    for run, changes in trainings.items():
        points += landscape.path(plane, run, changes)
    tables = landscape.measure(base, plane, points, _measures(job, base), job.stage.unit_cpu_s)
    for path, table in zip(job.outputs, tables, strict=True):
        parquet.write(path, table)
    return {"snapshots": told}


def _measures(job: Job, base: Any) -> dict[str, Any]:
    """Return what is measured on the lines and, of fewer frames and pictures, on the grid."""
    from unblind.diagnosis.landscape import Measures
    from unblind.pictures import shards
    from unblind.training import evaluate
    from unblind.training.losses import TokenLoss

    config, asked = job.config, job.config.landscape
    loss = config.training.loss
    token_loss = TokenLoss(base.vocabulary, loss.action_width, loss.location_width)
    examples = _examples(job, base)
    objective = _objective(config, base, examples.teacher.shape[-1])
    folder = jobs.path(config, "held_out").parent
    rows = shards.read(folder, "heldout")[: asked.edge_pictures]
    if len(rows) < asked.edge_pictures:
        raise UnblindError(
            f"{folder} holds {len(rows)} held-out pictures, not {asked.edge_pictures}",
            "lower landscape.edge_pictures, or raise base.questions.held_out",
        )
    kinds = [[turn["kind"] for turn in row["turns"]] for row in rows]
    counts = {
        "edge": (asked.edge_frames, asked.edge_pictures),
        "grid": (asked.frames, asked.pictures),
    }
    return {
        part: Measures(
            examples.first(frames),
            token_loss,
            objective,
            list(evaluate.batches(base, rows[:pictures])),
            kinds[:pictures],
        )
        for part, (frames, pictures) in counts.items()
    }


def _examples(job: Job, base: Any) -> Any:
    """Return frames of the training demonstrations, drawn with the study's seed."""
    import numpy as np
    import torch

    from unblind.diagnosis.landscape import Examples
    from unblind.training import cache
    from unblind.training.frames import ActionWeights, Frames, Labelled

    config = job.config
    labelled = Labelled(jobs.demos_folder(config), "train", config.demos.noop_filter)
    codec = base.codec(fidelity=config.training.recipe)
    frames = Frames(
        labelled, base.vocabulary, codec, ActionWeights.read(config.training.loss), config.seed
    )
    order = np.random.default_rng(config.seed).permutation(len(frames))
    chosen = order[: config.landscape.edge_frames]
    if len(chosen) < config.landscape.edge_frames:
        raise UnblindError(
            f"the demonstrations hold {len(chosen)} frames, not {config.landscape.edge_frames}",
            "lower landscape.edge_frames, or raise demos.successes",
        )
    low, teacher = (
        torch.from_numpy(cache.read(jobs.path(config, name), len(frames))[chosen]).float()
        for name in ("features_low", "features_teacher")
    )
    return Examples(low, [frames.turns[row] for row in chosen], teacher)


def _objective(config: Config, base: Any, teacher_width: int) -> Any:
    """Return the alignment that one of the runs was trained with; else the one it would be."""
    from unblind import weights
    from unblind.align.objective import Objective

    seed, widths = config.seeds[0], base.model.config.widths
    aligned = next((r for r in config.landscape.runs if config.run(r).method == "align"), None)
    align = (config.of(aligned) if aligned else config).training.align
    objective = Objective(align, seed, widths, teacher_width)
    if aligned:
        path = jobs.run_folder(config, aligned, seed) / "projector.safetensors"
        objective.load_state_dict(dict(weights.tensors([path])))
    return objective.eval()
