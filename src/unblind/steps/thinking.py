"""VL-Think's first frames, and what models answer to questions about them."""

from collections.abc import Iterator
from typing import Any

from unblind import png
from unblind.config import Config
from unblind.progress import Progress
from unblind.steps import parquet
from unblind.study import jobs, making
from unblind.study.jobs import Job
from unblind.think import domains, questions
from unblind.think.episodes import ThinkEpisode, decode, sample_ids

#: What names a frame.
KEY = ("domain", "episode_id", "style")


def frames(config: Config) -> None:
    """Draw the first frames of the episodes that models are asked about.

    Raises:
        UnblindError: no renderer can be set up, boards are missing, or the disk is full.
    """
    job = Job(config, "think_frames")

    def work() -> None:
        import pyarrow as pa

        rows = list(_rows(config, job.stage.unit_cpu_s))
        columns = {name: [row[name] for row in rows] for name in (*KEY, "image")}
        parquet.write(job.outputs[0], pa.table(columns), "none")

    making.run(job, work)


def _rows(config: Config, unit: float) -> Iterator[dict[str, Any]]:
    from unblind.sim.env import PutOnPlateEnv

    episodes = asked_about(config)
    progress = Progress("first frames of VL-Think", len(episodes), unit)
    env = PutOnPlateEnv(
        catalog=config.catalog,
        width=config.render.width,
        height=config.render.height,
        shader=config.render.shader,
        episode=episodes[0],
    )
    for episode in episodes:
        env.reset(options={"episode": episode})
        key = (episode.condition, episode.episode_id, episode.style)
        yield dict(zip(KEY, key, strict=True)) | {"image": png.encode(env.frame())}
        progress.advance()
    env.close()


def asked_about(config: Config) -> list[ThinkEpisode]:
    """Return the episodes whose first frames models are asked about: the same for all."""
    asked, purpose = config.think, config.rollout.purpose
    return [
        decode(domain, number, config.fidelity, style=style)
        for domain in domains.DOMAINS
        for number in sample_ids(domain, asked.frames, config.seed, purpose=purpose)
        for style in asked.styles
    ]


def answer(config: Config, run: str, seed: int) -> None:
    """Ask the model of a run about the first frames, and record its answers.

    Raises:
        UnblindError: the run is unknown or no model, the frames or the model are missing or
            damaged, or the disk is full.
    """
    job = Job(config, jobs.stage_of(config, "think_answers", run), run, seed)

    def work() -> None:
        import torch

        torch.set_num_threads(1)
        parquet.write(job.outputs[0], _record(job))

    making.run(job, work)


def _record(job: Job) -> Any:
    """Return one row a question: whether it is answered right, with the frame and with grey."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from unblind.diagnosis import models
    from unblind.training import evaluate

    rows = pq.read_table(jobs.path(job.config, "think_frames")).to_pylist()
    asked = [questions.ask(episode) for episode in asked_about(job.config)]
    shown = [
        {
            "image": row["image"],
            "turns": [{"question": one.text, "answer": one.answer} for one in some],
        }
        for row, some in zip(rows, asked, strict=True)
    ]
    loaded = models.load(job)
    right, blind = (evaluate.answers(loaded, shown, grey) for grey in (False, True))
    columns: dict[str, list] = {name: [] for name in (*KEY, "kind", "board", "right", "blind")}
    for row, some, *judged in zip(rows, asked, right, blind, strict=True):
        for name in KEY:
            columns[name] += [row[name]] * len(some)
        columns["kind"] += [one.kind for one in some]
        columns["board"] += [one.board for one in some]
        columns["right"] += judged[0]
        columns["blind"] += judged[1]
    return pa.table(columns)
