"""Frames of the study with the place of every thing: what attention and collapse are judged on.

Episodes are of purpose ``validation``: no table's and no demonstration's. The planner runs them,
so that a frame has a right action; failed attempts are replaced by the next episode of the list.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import png
from unblind.config import Config
from unblind.demos import labels
from unblind.errors import UnblindError, near
from unblind.progress import Progress
from unblind.sim import blocked, conditions
from unblind.sim.episodes import Episode, decode, sample_ids

if TYPE_CHECKING:
    from unblind.diagnosis.segments import SegmentedEnv
    from unblind.sim.planner import PickAndPlace

#: What a pixel can show, by number; the roles are those of the environment.
PARTS = ("background", "object", "plate", "distractor", "distractor_plate", "robot")
#: In distribution, and where an object, a plate, or what stands beside them is unseen.
CONDITIONS = ("in_distribution", "carrot", "plate", "multi_carrot", "multi_plate")
#: Moments of an episode: its first frame with a label, and the middle one of a planner's stage.
MOMENTS: Mapping[str, str | None] = {
    "start": None,
    "approach": "reach",
    "grasp": "close",
    "carry": "carry",
}
#: Listed episodes for each wanted one.
_ATTEMPTS = 3
_WORD = pa.dictionary(pa.int8(), pa.string())
SCHEMA = pa.schema(
    [
        ("frame", pa.int32()),
        ("condition", _WORD),
        ("episode_id", pa.int64()),
        ("moment", _WORD),
        ("step", pa.int32()),
        ("image", pa.binary()),
        ("segments", pa.binary()),
        ("object", pa.string()),
        ("plate", pa.string()),
        ("instruction", pa.string()),
        ("object_xyz", pa.list_(pa.float32(), 3)),
        ("action", pa.list_(pa.float32(), 7)),
    ]
)
"""One row a frame: picture and `PARTS` by pixel as PNG, names, where the object is (world, m), and
the planner's action as training labels it, null where no planner has acted."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Some frames in memory.

    Attributes:
        rows: the columns of `SCHEMA` without pictures.
        images: (N, H, W, 3) uint8, RGB.
        segments: (N, H, W) uint8, numbers of `PARTS`.
    """

    rows: pd.DataFrame
    images: np.ndarray
    segments: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: np.ndarray) -> "Frames":
        """Return the frames for which ``chosen``, (N,) bool, is true."""
        return Frames(
            self.rows[chosen].reset_index(drop=True), self.images[chosen], self.segments[chosen]
        )

    def shares(self, grid: int) -> Mapping[str, np.ndarray]:
        """Return by part, (N, grid * grid), the share of each visual token's area that shows it.

        Models squeeze a picture to a square and cut it into ``grid`` rows and columns.
        """
        return {
            part: area_shares(self.segments == number, grid) for number, part in enumerate(PARTS)
        }


def area_shares(masks: np.ndarray, grid: int) -> np.ndarray:
    """Return the share of each cell's area, (N, grid * grid), that masks (N, H, W) cover.

    A pixel that two cells share counts for each by its part.
    """
    down, across = (_overlaps(size, grid) for size in masks.shape[1:])
    cells = np.einsum("rh,nhw,cw->nrc", down, masks.astype(np.float64), across)
    return cells.reshape(len(masks), -1)


def _overlaps(size: int, grid: int) -> np.ndarray:
    """Return (grid, size): the share of each of ``grid`` equal stretches that a pixel fills."""
    edges, pixels = np.arange(grid + 1) * size / grid, np.arange(size)
    ends = np.minimum(edges[1:, None], pixels + 1)
    return np.clip(ends - np.maximum(edges[:-1, None], pixels), 0, None) * grid / size


def read(path: Path) -> Frames:
    """Return the frames of a file.

    Raises:
        UnblindError: it is unreadable.
    """
    try:
        table = pq.read_table(path, schema=SCHEMA)
    except (pa.ArrowInvalid, OSError):
        raise UnblindError(f"{path} is unreadable", "delete it and run: unblind frames") from None
    images = [png.decode(data) for data in table["image"].to_pylist()]
    segments = [png.decode(data)[..., 0] for data in table["segments"].to_pylist()]
    rows = table.drop_columns(["image", "segments"]).to_pandas()
    return Frames(rows, np.stack(images), np.stack(segments))


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write frames in order, numbered."""
    numbered = [{"frame": number, **row} for number, row in enumerate(rows)]
    table = pa.Table.from_pylist(numbered, schema=SCHEMA)
    pq.write_table(table, path, compression="none")


# ---- drawing ------------------------------------------------------------------------------------


def draw(config: Config, unit_cpu_s: float) -> tuple[list[dict], list[dict]]:
    """Return the frames of `of_episodes`, and those of `of_classes`."""
    return of_episodes(config, unit_cpu_s), of_classes(config, unit_cpu_s / 4)


def of_episodes(config: Config, unit_cpu_s: float) -> list[dict[str, Any]]:
    """Return frames at all `MOMENTS` of ``frames.episodes`` episodes of each of `CONDITIONS`.

    Args:
        config: the study.
        unit_cpu_s: expected CPU-seconds an episode.

    Raises:
        UnblindError: the catalog lacks files, or the planner fails too often.
    """
    from unblind.sim.planner import PickAndPlace

    wanted = config.frames.episodes
    planner, rows = PickAndPlace(config.demos.euler), []
    progress = Progress("episodes with masks", len(CONDITIONS) * wanted, unit_cpu_s)
    for condition in CONDITIONS:
        found = 0
        for env, episode in _started(config, _list(config, condition, wanted * _ATTEMPTS)):
            if found == wanted:
                break
            course = _course(config, env, planner, episode)
            rows += course
            found += bool(course)
            progress.advance(bool(course))
        if found < wanted:
            cause = f"the planner solved {found} of {wanted} episodes of {condition}"
            raise UnblindError(cause, "lower frames.episodes")
    return rows


def of_classes(config: Config, unit_cpu_s: float) -> list[dict[str, Any]]:
    """Return first frames of ``frames.class_episodes`` episodes of each of ``collapse.classes``.

    Args:
        config: the study.
        unit_cpu_s: expected CPU-seconds a frame.

    Raises:
        UnblindError: there is no such object, or the catalog lacks files.
    """
    classes, wanted = config.collapse.classes, config.frames.class_episodes
    progress, rows = Progress("frames of classes", len(classes) * wanted, unit_cpu_s), []
    for name in classes:
        if name not in conditions.OBJECTS:
            cause = f"collapse.classes names no object: '{name}'{near(name, conditions.OBJECTS)}"
            raise UnblindError(cause, f"objects are {', '.join(conditions.OBJECTS)}")
        number = conditions.OBJECTS.index(name)
        seen = conditions.get("in_distribution").evaluation.objects
        condition = "in_distribution" if number in seen else "carrot"
        fixed = {"object": conditions.get(condition).evaluation.objects.index(number)}
        for env, episode in _started(config, _list(config, condition, wanted, fixed)):
            image = env.reset(options={"episode": episode})[0]["image"][0].numpy()
            rows.append(_row(episode, "start", 0, image, env) | {"action": None})
            progress.advance()
    return rows


def _list(
    config: Config, condition: str, n: int, fixed: Mapping[str, int] | None = None
) -> list[Episode]:
    """Return the first episodes of a condition's list, without those that lack files.

    Raises:
        UnblindError: some lack files, and ``catalog_missing`` is 'stop'.
    """
    split = conditions.get(condition).split
    ids = sample_ids(
        condition,
        n,
        config.seed,
        split,
        purpose="validation",
        fidelity=config.fidelity,
        fixed=fixed,
    )
    episodes = [decode(condition, number, split, config.fidelity) for number in ids]
    found = blocked.find(config.catalog, {condition: episodes})
    blocked.stop_or_note(config, found)
    return [episode for episode in episodes if episode.episode_id not in found[condition]]


def _started(
    config: Config, episodes: Sequence[Episode]
) -> Iterator[tuple["SegmentedEnv", Episode]]:
    """Yield the environment with each episode that it is to start."""
    from unblind.diagnosis.segments import SegmentedEnv

    render = config.render
    size = {"width": render.width, "height": render.height, "shader": render.shader}
    env = SegmentedEnv(catalog=config.catalog, episode=episodes[0], **size)
    try:
        for episode in episodes:
            yield env, episode
    finally:
        env.close()


def _course(
    config: Config, env: "SegmentedEnv", planner: "PickAndPlace", episode: Episode
) -> list[dict[str, Any]]:
    """Return the rows of an episode that the planner runs, none if it fails."""
    from unblind.sim.planner import PlanningError

    obs, info = env.reset(options={"episode": episode})
    seen, actions, stages = [], [], []
    try:
        for command in planner.commands(env):
            seen.append(_row(episode, "", len(seen), obs["image"][0].numpy(), env))
            actions.append(command.action)
            stages.append(command.stage)
            obs, _, _, _, info = env.step(command.action)
    except PlanningError:
        return []
    if not info["success"]:
        return []
    executed = np.stack(actions)
    labelled = labels.apply(config.demos.noop_filter, executed, executed, stages)
    chosen = _moments(labelled.frames, np.array(stages))
    return [
        seen[labelled.frames[row]] | {"moment": moment, "action": labelled.actions[row]}
        for moment, row in chosen.items()
    ]


def _moments(frames: np.ndarray, stages: np.ndarray) -> dict[str, int]:
    """Return by moment which of the labelled frames it is; a stage may have none."""
    chosen = {}
    for moment, stage in MOMENTS.items():
        rows = np.arange(len(frames)) if stage is None else np.flatnonzero(stages[frames] == stage)
        if len(rows):
            chosen[moment] = int(rows[0] if stage is None else rows[len(rows) // 2])
    return chosen


def _row(
    episode: Episode, moment: str, step: int, image: np.ndarray, env: "SegmentedEnv"
) -> dict[str, Any]:
    return {
        "condition": episode.condition,
        "episode_id": episode.episode_id,
        "moment": moment,
        "step": step,
        "image": png.encode(image),
        "segments": png.encode(np.repeat(env.segments()[..., None], 3, axis=2)),
        "object": episode.object,
        "plate": episode.plate,
        "instruction": episode.instruction,
        "object_xyz": env.object.pose.p,
    }
