"""Drawing frames with the place of every thing.

Episodes are of purpose ``validation``: no table's and no demonstration's. The planner runs them,
so that a frame has a right action; failed attempts are replaced by the next episode of the list.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

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
