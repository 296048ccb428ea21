"""Linear probes: their pictures, every model of a study, and what models are held against."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblind.config import Config
from unblind.steps import parquet
from unblind.study import jobs, making
from unblind.study.jobs import Job

if TYPE_CHECKING:
    from unblind.vla.prismatic import PrismaticConfig


def pictures(config: Config) -> None:
    """Make the pictures that all models are probed with.

    Raises:
        UnblindError: a package of icons is missing, `probe.imagenet` is no such folder, no renderer
            can be set up, or the disk is full.
    """
    job = Job(config, "probe_pictures")

    def work() -> None:
        from unblind.diagnosis import probe_pictures

        probe_pictures.write(config, job.outputs[0].parent, job.stage.unit_cpu_s)

    making.run(job, work)


def model(config: Config, run: str, seed: int) -> None:
    """Probe a run's model at every site: its visual tokens, and which board it takes as named.

    Raises:
        UnblindError: the run is unknown or no model, pictures, first frames or the model are
            missing or damaged, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "probe", run), run, seed)

    def work() -> None:
        import pyarrow.parquet as pq
        import torch

        from unblind.diagnosis import models, named_board, probing

        torch.set_num_threads(1)
        tokens, named = job.outputs
        loaded = models.load(job)
        _write(job, tokens, lambda: probing.of_model(loaded))
        rows = pq.read_table(jobs.path(config, "think_frames")).to_pylist()
        made = named_board.record(
            loaded,
            named_board.frames(rows, config.fidelity),
            config.probe,
            config.seed,
            job.stage.unit_cpu_s,
        )
        parquet.write(named, made)

    making.run(job, work)


def teacher(config: Config, run: str | None = None) -> None:
    """Probe the tokens of a teacher likewise.

    Args:
        config: the study.
        run: whose teacher; the study's if None.

    Raises:
        UnblindError: the pictures, the base's config.json or a teacher that is trained here are
            missing or damaged, the teacher cannot give the student's grid, or the disk is full.
    """
    job = Job(config, "probe_teacher", run)

    def work() -> dict[str, Any]:
        from unblind.diagnosis import probing
        from unblind.teachers.loading import load_teacher

        align, student, (out,) = job.config.training.align, _student(job), job.outputs
        source = jobs.teacher_weights(job.config)
        loaded = load_teacher(align.teacher, source, interpolate=align.interpolate)
        _write(job, out, lambda: probing.of_teacher(loaded, student))
        return {"teacher": loaded.describe(student.grid)}

    making.run(job, work)


def references(config: Config) -> None:
    """Probe a model with random weights, and pixels, likewise.

    Raises:
        UnblindError: the pictures or the base's config.json are missing or damaged, or the disk is
            full.
    """
    job = Job(config, "probe_references")

    def work() -> None:
        from unblind.diagnosis import probing

        student = _student(job)
        readers = {
            "random": lambda: probing.of_random(student, config.seed),
            "pixels": lambda: probing.of_pixels,
        }
        for out in job.outputs:
            _write(job, out, readers[out.stem])

    making.run(job, work)


def _student(job: Job) -> "PrismaticConfig":
    """Return the sizes of the base that a job reads: its is the first config.json."""
    from unblind.vla.prismatic import PrismaticConfig

    first = next(path for path in job.inputs if path.name == "config.json")
    return PrismaticConfig.from_json(first.read_text())


def _write(job: Job, out: Path, reader: Callable) -> None:
    """Probe what ``reader()`` returns, and write the record."""
    import torch

    from unblind.diagnosis import probing

    torch.set_num_threads(1)
    config, folder = job.config, jobs.path(job.config, "probe_pictures").parent
    made = probing.record(reader(), folder, config.probe, config.seed, job.stage.unit_cpu_s)
    parquet.write(out, made)
