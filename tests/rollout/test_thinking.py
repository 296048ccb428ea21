"""VL-Think in closed loop: what is noted of an episode, who acts, and records of it."""

from dataclasses import replace

import commands
import numpy as np
import pandas as pd
import pytest
from synthetic import CrewStandIn

from unblind.config import load
from unblind.errors import UnblindError
from unblind.rollout import run, thinking
from unblind.rollout.thinking import ThinkOutcome, ThinkScenes, ThinkSetup
from unblind.rollout.worker import Reply
from unblind.sim.success import Milestones
from unblind.study import graph
from unblind.study.jobs import Job
from unblind.think.episodes import decode

LEFT, CENTER, RIGHT = 0, 1, 2
START = (-0.10, 0.0)


def state(xy=START, held=False, on=-1, gripper=None):
    gripper = xy if gripper is None else gripper
    return Reply(
        None, on == RIGHT, Milestones(grasped=held), np.array([*xy, 1.0]),
        np.array([*gripper, 1.0]), on,
    )  # fmt: skip


def course(*states, number=62 - 20, **variant):
    """Return the columns after some states; the right board is named (id 42: target 2)."""
    episode = decode("weather", number, **variant)
    assert episode.boards[episode.named].place == "right" or variant
    outcome = ThinkOutcome(episode)
    first, *others = states
    outcome.begin(first)
    for one in others:
        outcome.add(one)
    return outcome.columns()


# ---- what is noted ------------------------------------------------------------------------------


def test_who_does_nothing_has_answered_nothing():
    told = course(state(), state(), state())
    assert not any(told[name] for name in ("answered", "answered_any", "right", "held_at_start"))
    places = ("chosen_board", "first_entered", "released_near")
    assert [told[name] for name in places] == [None] * 3
    assert (told["steps_right_side"], told["steps_wrong_side"]) == (0, 0)
    # From (-0.10, 0) to (-0.25, 0.155) and to (-0.25, 0).
    assert told["least_right_m"] == pytest.approx(np.hypot(0.15, 0.155))
    assert told["least_wrong_m"] == pytest.approx(0.15)


def test_a_carried_object_tells_where_it_goes():
    told = course(
        state(),
        state(held=True),
        state((-0.18, 0.02), held=True),  # forward, the center's side
        state((-0.24, 0.06), held=True),  # over the center board: 6 cm and 1 cm from its middle
        state((-0.25, 0.12), held=True),  # over the right one
        state((-0.25, 0.15)),  # let go
        state((-0.25, 0.15), on=RIGHT),
    )
    assert told["first_entered"] == "center"
    assert told["released_near"] == "right"
    assert (told["steps_right_side"], told["steps_wrong_side"]) == (1, 2)
    assert told["least_right_m"] == pytest.approx(0.005)
    assert told["right"] and told["answered"] and told["chosen_board"] == "right"


def test_the_wrong_board_is_an_answer_but_not_right():
    told = course(state(), state((-0.25, -0.15), on=LEFT))
    assert (told["answered"], told["right"], told["chosen_board"]) == (True, False, "left")
    assert told["first_entered"] is None, "it was not held"


def test_an_object_that_falls_off_again_has_answered_once():
    told = course(state(), state((-0.25, 0.15), on=RIGHT), state((-0.25, 0.3)))
    assert (told["answered_any"], told["right_any"]) == (True, True)
    assert (told["answered"], told["right"], told["chosen_board"]) == (False, False, None)


def test_a_gripper_over_a_board_enters_it_and_far_releases_are_nobodys():
    told = course(
        state(),
        state((-0.17, 0.06), held=True, gripper=(-0.24, 0.10)),
        state((-0.12, 0.06)),  # 16 cm from the right board's middle
    )
    assert told["first_entered"] == "right" and told["released_near"] is None


def test_the_last_release_counts():
    told = course(
        state(held=True),
        state((-0.25, -0.15), held=True),
        state((-0.25, -0.15)),
        state((-0.25, 0.0), held=True),
        state((-0.25, 0.0)),
    )
    assert told["held_at_start"] and told["first_entered"] == "left"
    assert told["released_near"] == "center"


def test_columns_tell_the_boards_of_the_layout():
    told = course(state(), state(), swapped=True)
    boards = [told[f"{place}_board"] for place in ("left", "center", "right")]
    assert boards == ["rainy icon", "cloudy icon", "clear night icon"], "right and left changed"
    assert (told["place"], told["scored_place"]) == ("left", "left")


# ---- the real thing -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config():
    return load(commands.SMOKE, {})


def play(config, episode, always=None, images=False):
    """Let the planner act for a whole episode; return its outcome and the reply to its start."""
    scenes = ThinkScenes(ThinkSetup(config, images, True, always))
    begins = scenes.reset(0, episode)
    outcome = ThinkOutcome(episode)
    outcome.begin(begins)
    for _ in range(config.rollout.max_steps):
        outcome.add(scenes.step(0, None))
    return outcome, begins


@pytest.mark.parametrize("name, number", [("color", 7_000_021), ("parity", 100)])
def test_the_planner_knows_the_board(config, name, number):
    outcome, _ = play(config, decode(name, number))
    told = outcome.columns()
    assert told["success_final"] and told["right"] and told["answered"]
    assert told["chosen_board"] == told["place"] == told["first_entered"] == told["released_near"]
    assert told["least_right_m"] < 0.02 < told["least_wrong_m"]


def test_in_released_parity_the_planner_is_right_and_scores_nothing(config):
    outcome, _ = play(config, decode("parity", 100, "released"))
    told = outcome.columns()
    assert told["right"] and not told["success_any"]
    assert told["place"] != told["scored_place"]


def test_in_hand_the_object_is_really_held(config):
    episode = decode("arrow", 900, in_hand=True)
    outcome, begins = play(config, episode)
    table = 0.87
    assert begins.milestones.grasped and begins.milestones.lifted
    assert begins.object_xyz[2] > table + 0.06
    assert np.linalg.norm(begins.object_xyz - begins.gripper_xyz) < 0.05
    told = outcome.columns()
    assert told["held_at_start"] and told["right"]
    assert told["steps"] == config.rollout.max_steps


def test_always_left_goes_left_whatever_it_is_told(config):
    number = next(n for n in range(0, 1512, 21) if decode("arrow", n).named == CENTER)
    outcome, _ = play(config, decode("arrow", number, in_hand=True), always=LEFT)
    told = outcome.columns()
    assert told["chosen_board"] == "left" and not told["right"]


# ---- records ------------------------------------------------------------------------------------


class Interrupted(Exception):
    """As good as a kill."""


@pytest.fixture
def crew(monkeypatch):
    """Replace the workers: the object ends on the left board at once; `left` may stop them."""

    class FakeCrew(CrewStandIn):
        ran: list = []  # noqa: RUF012
        left = None

        def __init__(self, setup, n_workers, policy, scenes, outcome):
            super().__init__(setup, n_workers, policy)
            self.outcome = outcome

        def run(self, episodes):
            for episode in episodes:
                if FakeCrew.left == 0:
                    raise Interrupted
                FakeCrew.left = FakeCrew.left and FakeCrew.left - 1
                FakeCrew.ran.append((episode.episode_id, episode.style, episode.in_hand))
                outcome = self.outcome(episode)
                outcome.begin(state(held=episode.in_hand))
                outcome.add(state((-0.25, -0.155), on=LEFT))
                yield outcome

    monkeypatch.setattr(run, "Crew", FakeCrew)
    return FakeCrew


@pytest.fixture
def small(config):
    asked = config.think.model_copy(
        update={"questions": 6, "styles": ["seen", "unseen"], "swap": True, "in_hand": True}
    )
    return config.model_copy(update={"think": asked})


def test_a_record_holds_every_variant_and_cells_can_be_counted(crew, small, tmp_path):
    thinking.think(small, "always_left", 0, tmp_path, ["weather", "Parity"], 1)
    frame = pd.read_parquet(tmp_path / "weather.parquet")
    assert len(frame) == 6 * 2 * 2 * 2
    assert list(frame.columns) == thinking.SCHEMA.names
    assert (frame.groupby(["style", "swapped", "in_hand"]).size() == 6).all()
    assert (frame["right"] == (frame["place"] == "left")).all()
    assert frame["answered"].all() and (frame["chosen_board"] == "left").all()
    assert (frame["held_at_start"] == frame["in_hand"]).all()
    both = frame[frame["right"]].groupby(["episode_id", "style", "in_hand"]).size()
    assert (both == 1).all(), "never right in both layouts"
    parity = pd.read_parquet(tmp_path / "parity.parquet")
    assert parity["center_board"].isna().all()
    assert parity["right"].mean() == 0.5, "of two boards, in both layouts"


def test_an_interrupted_record_is_continued(crew, small, tmp_path):
    crew.left = 10
    with pytest.raises(Interrupted):
        thinking.think(small, "oracle", 0, tmp_path / "a", ["arrow"], 1)
    assert not (tmp_path / "a" / "arrow.parquet").exists()
    crew.left = None
    thinking.think(small, "oracle", 0, tmp_path / "a", ["arrow"], 1)
    assert len(crew.ran) == 48, "nothing was run twice"
    thinking.think(small, "oracle", 0, tmp_path / "b", ["arrow"], 1)
    crew.ran.clear()
    thinking.think(small, "oracle", 0, tmp_path / "a", ["arrow"], 1)
    assert crew.ran == []
    records = [(tmp_path / name / "arrow.parquet").read_bytes() for name in "ab"]
    assert records[0] == records[1]


def test_who_has_no_place_there_is_refused(config, tmp_path):
    with pytest.raises(UnblindError, match="nothing to do for run 'noop'"):
        thinking.think(config, "noop", 0, tmp_path, None, 1)
    with pytest.raises(UnblindError, match="unknown domain"):
        thinking.think(config, "oracle", 0, tmp_path, ["wheather"], 1)


def test_planners_have_one_job_and_always_left_no_rollouts(config):
    seeds = config.model_copy(update={"seeds": [3, 4]})
    listed = [(j.name, j.run, j.seed_of_run) for j in graph.of_study(seeds)]
    assert ("think_scripted", "always_left", 3) in listed
    assert ("think_scripted", "oracle", 3) in listed
    assert ("think", "default", 4) in listed
    assert not any(run == "always_left" and name != "think_scripted" for name, run, _ in listed)
    assert not any(name == "think_scripted" and seed == 4 for name, _, seed in listed)


def test_settings_of_the_boards_make_other_records(config):
    job = Job(config, "think", "default", 0)
    changed = config.model_copy(update={"think": config.think.model_copy(update={"swap": True})})
    assert job.origin.config != replace(job, config=changed).origin.config
    assert job.outputs[0].as_posix().endswith("think/default/0/shape.parquet")
