"""VL-Think in closed loop: which board the carrot is put on, and what tells of it before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.spatial.distance import cdist

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.rollout import records
from unblind.rollout.factory import make_policy
from unblind.rollout.loop import Outcome
from unblind.rollout.policies import OracleActor, Policy
from unblind.rollout.run import Evaluation, Suite, evaluate, made_from
from unblind.rollout.trained import details
from unblind.rollout.worker import Reply, Scenes, Setup, reply
from unblind.sim.success import XY_SLACK
from unblind.study import jobs
from unblind.study.stages import EPISODE_CPU_S
from unblind.think import domains, drawings, episodes
from unblind.think.boards import BBOX
from unblind.think.domains import BOARD_X, OBJECT_XYZ
from unblind.think.episodes import ThinkEpisode

#: The robot's planner goes to this board whatever the instruction says.
ALWAYS_LEFT = "always_left"
#: An object or a gripper that is horizontally no further than this from a board's middle is over
#: it, m (the success rule's distance).
OVER = BBOX[1][0] + XY_SLACK
#: Two boards' middles are twice this apart, m: nearer to none of them is on nobody's side.
HALF_PITCH = domains.PLACES["right"] / 2
#: Sides are taken from here on, m: half of the way from the object to the row of boards.
FORWARD_X = (OBJECT_XYZ[0] + BOARD_X) / 2

#: What a record of VL-Think tells beside the columns of all records (`records.SCHEMA`). Places are
#: ``left``, ``center`` and ``right``, and empty for none.
COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("style", "concept", "place", "scored_place")),
        *((f"{place}_board", pa.string()) for place in domains.PLACES),
        *((name, pa.bool_()) for name in ("swapped", "in_hand", "pictured", "held_at_start")),
        *((name, pa.bool_()) for name in ("answered_any", "answered", "right_any", "right")),
        *((name, pa.string()) for name in ("first_entered", "released_near")),
        *((f"steps_{side}_side", pa.int32()) for side in ("right", "wrong")),
        *((f"least_{which}_m", pa.float64()) for which in ("right", "wrong")),
    ]
)
SCHEMA = pa.unify_schemas([records.SCHEMA, COLUMNS])


class _Seen(NamedTuple):
    """Where the object is after a step, seen from the boards' nominal middles, horizontally."""

    object_m: np.ndarray  # (boards,) distances of the object
    gripper_m: np.ndarray  # (boards,) of the gripper
    is_forward: bool


@dataclass
class ThinkOutcome(Outcome):
    """How an episode of VL-Think went; boards are counted from left to right.

    "While held" is after steps with both fingers on the object. A place is on a board's side from
    half of the way to the row of boards on, where that board is the nearest.

    Attributes:
        held_at_start: the robot held the object when the policy began.
        stands_on: the board on which the object stands after the last step; -1: none.
        stood_on: those on which it stood after some step.
        first_entered: the first that object or gripper were over while held.
        released_near: nearest to the object when it was last let go, if no further than half of
            the boards' distance.
        side_steps: steps on the side of each board while held.
        least_m: least horizontal distance of the object from each board's middle, m.
    """

    episode: ThinkEpisode
    held_at_start: bool = False
    stands_on: int = -1
    stood_on: set[int] = field(default_factory=set)
    first_entered: int = -1
    released_near: int = -1
    side_steps: np.ndarray = field(init=False)
    least_m: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._xy = np.array([episodes.spawn(board)[:2] for board in self.episode.boards])
        self._held = False
        self.side_steps = np.zeros(len(self._xy), dtype=int)
        self.least_m = np.full(len(self._xy), np.inf)

    def begin(self, reply: Reply) -> None:
        """Take note of the state in which the policy begins."""
        self._held = self.held_at_start = reply.milestones.grasped
        self.least_m = self._see(reply).object_m

    def add(self, reply: Reply) -> None:
        """Count one step."""
        super().add(reply)
        seen, held = self._see(reply), reply.milestones.grasped
        self.least_m = np.minimum(self.least_m, seen.object_m)
        self.stands_on = reply.stands_on
        self.stood_on |= {reply.stands_on} - {-1}
        nearest = int(seen.object_m.argmin())
        if held:
            self._follow(seen)
            self.side_steps[nearest] += seen.is_forward
        elif self._held:
            self.released_near = nearest if seen.object_m[nearest] <= HALF_PITCH else -1
        self._held = held

    def _see(self, reply: Reply) -> _Seen:
        here = np.stack([reply.object_xyz[:2], reply.gripper_xyz[:2]])
        return _Seen(*cdist(here, self._xy), bool(reply.object_xyz[0] <= FORWARD_X))

    def _follow(self, seen: _Seen) -> None:
        over = np.minimum(seen.object_m, seen.gripper_m)
        if self.first_entered < 0 and over.min() <= OVER:
            self.first_entered = int(over.argmin())

    def columns(self) -> dict[str, Any]:
        """Return how it went, by column of a record."""
        episode, named = self.episode, self.episode.named
        boards = {f"{board.place}_board": board.name for board in episode.boards}
        return {
            **super().columns(),
            **boards,
            "place": self._place(named),
            "scored_place": self._place(episode.scored),
            "pictured": drawings.is_pictured(
                episode.boards[named].kind, episode.boards[named].drawing
            ),
            "held_at_start": self.held_at_start,
            "answered_any": bool(self.stood_on),
            "answered": self.stands_on >= 0,
            "right_any": named in self.stood_on,
            "right": self.stands_on == named,
            "chosen_board": self._place(self.stands_on),
            "first_entered": self._place(self.first_entered),
            "released_near": self._place(self.released_near),
            "steps_right_side": int(self.side_steps[named]),
            "steps_wrong_side": int(np.delete(self.side_steps, named).sum()),
            "least_right_m": float(self.least_m[named]),
            "least_wrong_m": float(np.delete(self.least_m, named).min()),
        }

    def _place(self, number: int) -> str | None:
        return None if number < 0 else self.episode.boards[number].place


# ---- who acts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ThinkSetup(Setup):
    """What a worker builds.

    Attributes:
        always: the board that the planner goes to; None: the one that the instruction names.
    """

    always: int | None = None


class Aimed:
    """The environment as the planner sees it that goes to one of the boards."""

    def __init__(self, env: Any, board: int) -> None:
        self._env, self._board = env, board
        self.plate, self.plate_model = env.plate_at(board)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def evaluate(self) -> dict[str, Any]:
        """Return what the environment tells, with success on this board."""
        told = self._env.evaluate()
        return told | {"success": told["stands_on"] == self._board}


class BoardActor:
    """The planner, which puts the object on one board.

    Args:
        planner: plans and acts.
        board: as the environment counts its plates.
    """

    def __init__(self, planner: OracleActor, board: int) -> None:
        self._planner, self._board = planner, board

    def go_on(self, env: Any, planner: Any, grasp: Any) -> None:
        """Begin with the object in the gripper, taken by the pose ``grasp``."""
        aimed = Aimed(env, self._board)
        self._planner.go_on(aimed, planner.place(aimed, grasp))

    def act(self, env: Any) -> np.ndarray:
        """Return the (7,) action of the next step."""
        return self._planner.act(Aimed(env, self._board))


class ThinkScenes(Scenes):
    """Scenes with boards, in which the planner may pick the object up before the policy begins."""

    _setup: ThinkSetup

    def reset(self, scene: int, episode: ThinkEpisode) -> Reply:
        """Start an episode."""
        state = super().reset(scene, episode)
        env, euler = self._envs[scene], self._setup.config.demos.euler
        board = episode.named if self._setup.always is None else self._setup.always
        if self._setup.oracle:
            self._actors[scene] = BoardActor(OracleActor(euler), board)
        if not episode.in_hand:
            return state
        from unblind.sim.planner import shared_planner

        planner = shared_planner(euler)
        grasp = _pick_up(env, planner)
        if self._setup.oracle:
            self._actors[scene].go_on(env, planner, grasp)
        return reply(env.get_obs(), env.evaluate())


def _pick_up(env: Any, planner: Any) -> Any:
    """Let the planner take hold of the object and lift it; return the grasp pose.

    Raises:
        UnblindError: the object is not held then.
    """
    from unblind.sim.planner import PlanningError

    commands = planner.pick(env)
    try:
        while True:
            env.step(next(commands).action)
    except StopIteration as end:
        grasp = end.value
    except PlanningError:
        grasp = None
    if grasp is None or not env.held:
        raise UnblindError(
            f"the planner cannot pick the {env.episode.object} up", "set think.in_hand to false"
        )
    return grasp


# ---- records ------------------------------------------------------------------------------------


def think_episodes(config: Config, domain: str, seed: int) -> list[ThinkEpisode]:
    """Return the episodes of a domain: the same for every run with this seed."""
    asked = config.think
    ids = episodes.sample_ids(domain, asked.questions, seed, purpose=config.rollout.purpose)
    return episodes.variants(ids, domain, config.fidelity, asked.styles, asked.swap, asked.in_hand)


def _suite(kind: str) -> Suite:
    def setup(config: Config, policy: Policy | None) -> ThinkSetup:
        sees = bool(policy and policy.needs_images)
        return ThinkSetup(config, sees, policy is None, 0 if kind == ALWAYS_LEFT else None)

    return Suite(
        episodes=think_episodes,
        setup=setup,
        crew={"scenes": ThinkScenes, "outcome": ThinkOutcome},
        schema=SCHEMA,
        key=("episode_id", "style", "swapped", "in_hand"),
    )


def think(
    config: Config, run: str, seed: int, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Write ``out/DOMAIN.parquet`` for every domain whose record is not current.

    As `unblind.rollout.run.rollout`: finished episodes of an interrupted call are kept, and the
    result does not depend on the number of workers.

    Args:
        config: the whole configuration.
        run: one of ``config.runs``: a model that acts, the planner, or the one that always goes to
            the left board.
        seed: evaluation seed; draws the episode ids and seeds the policy.
        out: folder of the records.
        names: domains; all if None.
        n_workers: processes.

    Raises:
        UnblindError: unknown run or domain, or one that does not act here; the catalog lacks files
            or boards; the run's model is missing or damaged; a worker died, or the disk is full.
    """
    job = jobs.Job(config, jobs.stage_of(config, "think", run), run, seed)
    kind = config.run(run).policy
    unit = 0.0 if config.is_published(run) else EPISODE_CPU_S[kind]
    told: Mapping[str, Any] = details(config, run, seed) if kind == "vla" else {}
    evaluation = Evaluation(
        run,
        seed,
        made_from(job),
        told,
        lambda: make_policy(config, run, seed),
        unit * config.rollout.max_steps / 80,
        _suite(kind),
    )
    listed = [domains.get(name).name for name in names or [path.stem for path in job.outputs]]
    evaluate(config, evaluation, out, listed, n_workers)
