"""What is said about demonstrations: order, weights, and what is asked beside the action."""

import json
import shutil

import commands
import demonstrations
import models
import numpy as np
import pytest

from unblind.config import load
from unblind.demos.labels import apply
from unblind.errors import UnblindError
from unblind.sim import camera
from unblind.training import data
from unblind.training.data import Demonstrations
from unblind.training.frames import ActionWeights, Frames, Labelled, Order, action_turns
from unblind.vla.text import EOS, Words
from unblind.vla.tokens import ActionCodec, ActionTokenizer

WORDS = Words.build([*models.WORDS, data.HEIGHT_QUESTION, data.HOLD_QUESTION, "the where is"])
CODEC = ActionCodec(models.STATISTICS, ActionTokenizer(WORDS.size))
WEIGHTS = ActionWeights(gripper_reach=3.6, gripper_lift=6.0, still_motion=0.3)
CLOSING = demonstrations.CLOSING


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("demos") / "set"
    return demonstrations.write(place, load(commands.SMOKE), train=3, held_out=1)


def source(folder, questions=0, seed=0, split="train", rule="none", weights=WEIGHTS):
    return Demonstrations(Labelled(folder, split, rule), WORDS, CODEC, weights, questions, seed)


# ---- order ------------------------------------------------------------------------------------


def test_each_pass_shows_every_item_once_in_an_order_of_its_own():
    order = Order(50, 0)
    passes = [[order[50 * n + k] for k in range(50)] for n in range(3)]
    assert all(sorted(items) == list(range(50)) for items in passes)
    assert len({tuple(items) for items in passes}) == 3


def test_the_order_is_the_seeds_and_can_be_entered_anywhere():
    positions = [120, 3, 77, 149, 0]
    wanted = [Order(50, 7)[position] for position in positions]
    order = Order(50, 7)
    assert [order[position] for position in positions] == wanted
    assert [Order(50, 8)[position] for position in positions] != wanted


# ---- weights ----------------------------------------------------------------------------------


def test_weights_around_the_grasp():
    moving, still = np.array([0.02] * 6 + [1.0]), np.array([0.0] * 6 + [-1.0])
    gripper = [WEIGHTS.of(frame, 10, moving)[6] for frame in range(20)]
    assert gripper == [1.0] * 6 + [3.6] * 4 + [6.0] * 7 + [1.0] * 3
    assert WEIGHTS.of(10, 10, still) == (*[0.3] * 6, 6.0, 1.0)
    assert WEIGHTS.of(0, 10, moving) == (1.0,) * 8
    assert ActionWeights(1, 1, 1).of(9, 10, still) == (1.0,) * 8


# ---- demonstrations ---------------------------------------------------------------------------


def test_a_frame_is_its_instruction_and_its_action(folder):
    demos = source(folder)
    assert len(demos) == 3 * demonstrations.STEPS
    row = demonstrations.episode(1)[3]
    turn = demos.actions[demonstrations.STEPS + 3]
    assert turn.prompt == WORDS.action_prompt("put carrot on plate")
    assert turn.answer == (*CODEC.encode(row["action"]).tolist(), EOS)
    assert turn.family == "action"
    decoded = CODEC.decode(np.array(turn.answer[:7]))
    # Half a bin of the normaliser's 4 cm.
    assert np.abs(decoded - row["action"])[:3].max() <= 0.02 / 255 + 1e-6


def test_the_closing_frame_has_the_weights_of_the_grasp(folder):
    turns = source(folder).actions
    assert turns[CLOSING].weights == (*[0.3] * 6, 6.0, 1.0)
    assert turns[CLOSING - 1].weights[6] == 3.6
    assert turns[0].weights == (1.0,) * 8
    assert all(len(turn.weights) == len(turn.answer) == 8 for turn in turns)


def test_after_a_lapse_reopening_and_the_second_grasp_have_its_weights():
    closed = [*[False] * 3, *[True] * 3, *[False] * 8, *[True] * 10, False]
    actions = np.full((len(closed), 7), 0.01, np.float32)
    actions[:, 6] = np.where(closed, -1, 1)
    actions[[6, 14]] = [*[0] * 6, 1], [*[0] * 6, -1]
    stages = [*["lapse"] * 6, *["reopen"] * 2, *["reach"] * 17]
    episode = {"instruction": "put carrot on plate", "actions": actions, "stages": stages}
    labels = apply("none", actions, actions, stages)
    turns = action_turns(episode, labels, WORDS, CODEC, WEIGHTS)
    gripper = [turn.weights[6] for turn in turns]
    assert gripper == [6.0] * 2 + [1.0] * 2 + [3.6] * 4 + [6.0] * 7 + [1.0] * 4
    assert turns[0].weights[0] == 0.3


def test_questions_are_those_of_the_labelled_frames(folder):
    """The released rule drops one small step of each; the others keep their questions."""
    demos = source(folder, rule="released")
    rows = [row for number in range(3) for row in demonstrations.episode(number)]
    kept = [row for row in rows if row["step"] != 3]
    assert len(demos) == len(kept)
    for row, turn, questions in zip(kept, demos.actions, demos.questions, strict=True):
        assert turn.answer[:7] == tuple(CODEC.encode(row["action"]).tolist())
        gripper = data.place_text(np.array(row["gripper_xyz"], np.float32))
        assert dict(questions)["where is the gripper"] == gripper


def test_frames_of_fine_tuning_are_those_of_pretraining_without_questions(folder):
    demos = source(folder, seed=3)
    frames = Frames(Labelled(folder, "train", "none"), WORDS, CODEC, WEIGHTS, 3)
    assert frames.turns == demos.actions
    assert len(frames) == len(demos)
    positions = [4, 0, 50]
    assert frames.rows(positions) == demos.rows(positions)
    assert frames.rows(positions) == [Order(len(frames), 3)[place] for place in positions]
    prompt = WORDS.action_prompt("put carrot on plate")
    assert frames.longest == len(prompt) + 7


def test_a_set_without_a_frame_is_refused(folder):
    with pytest.raises(UnblindError, match="no frame of 'none'"):
        Frames(Labelled(folder, "none", "none"), WORDS, CODEC, WEIGHTS, 0)
    with pytest.raises(UnblindError, match="no frame of 'none'"):
        source(folder, split="none")


def test_splits_are_apart(folder):
    for split, first, count in (("train", 0, 3), ("held_out", 100, 1)):
        rows = [r for n in range(first, first + count) for r in demonstrations.episode(n)]
        answers = [tuple(CODEC.encode(row["action"]).tolist()) for row in rows]
        assert [turn.answer[:7] for turn in source(folder, split=split).actions] == answers


def test_the_parts_of_a_set_are_its_shards(folder, tmp_path):
    two = tmp_path / "two"
    shutil.copytree(folder, two)
    path = two / "manifest.json"
    manifest = json.loads(path.read_text())
    shutil.copyfile(two / "train-00000.parquet", two / "train-00001.parquet")
    manifest["shards"]["train-00001.parquet"] = manifest["shards"]["train-00000.parquet"]
    path.write_text(json.dumps(manifest))
    whole = Labelled(two, "train", "none")
    parts = whole.parts()
    assert [part.shard for part in parts] == ["train-00000.parquet", "train-00001.parquet"]
    episodes = [[e["episode_id"] for e, _ in one.episodes(False)] for one in (whole, *parts)]
    assert episodes == [[0, 1, 2] * 2, [0, 1, 2], [0, 1, 2]]


def test_questions_accompany_the_action(folder):
    demos = source(folder, questions=2)
    turns = demos.turns(5, np.random.default_rng(0))
    assert turns[0] == demos.actions[5] and len(turns) == 3
    known = {WORDS.question_prompt(question) for question, _ in demos.questions[5]}
    asked = {turn.prompt for turn in turns[1:]}
    assert len(asked) == 2 and asked <= known
    others = [demos.turns(5, np.random.default_rng(seed))[1:] for seed in range(8)]
    assert len({tuple(t.prompt for t in turns) for turns in others}) > 2
    assert source(folder).turns(5, np.random.default_rng(0)) == turns[:1]


def test_answers_about_places_are_projected_state(folder):
    row = demonstrations.episode(0)[CLOSING + 2]
    answers = dict(source(folder).questions[CLOSING + 2])
    for question, key in (
        ("where is the carrot", "object_xyz"),
        ("where is the plate", "plate_xyz"),
        ("where is the gripper", "gripper_xyz"),
    ):
        column, line = camera.project(np.array([row[key]], np.float32))[0]
        wanted = f"<loc{int(line / 480 * 128):03d}><loc{int(column / 640 * 128):03d}>"
        assert answers[question] == wanted
    height = row["gripper_xyz"][2] - camera.TABLE_Z
    assert answers[data.HEIGHT_QUESTION] == f"<loc{int(height / 0.25 * 128):03d}>"
    assert answers[f"{data.HOLD_QUESTION} carrot"] == "yes"
    assert dict(source(folder).questions[0])[f"{data.HOLD_QUESTION} carrot"] == "no"


@pytest.mark.parametrize(
    ("instruction", "names"),
    [
        ("put BBQ sauce on plate", ("BBQ sauce", "plate")),
        ("bring the red cube to the blue saucer", ("red cube", "blue saucer")),
        ("get the 7up can and drop it on the tray", ("7up can", "tray")),
        ("transfer toy bear over to plate", ("toy bear", "plate")),
        ("Take the pepper and put it on the tomato slice", ("pepper", "tomato slice")),
    ],
)
def test_names_are_found_in_instructions(instruction, names):
    assert data._names(instruction) == names


def test_a_changed_set_is_refused(folder, tmp_path):
    copy = demonstrations.write(tmp_path / "set", load(commands.SMOKE), train=1)
    path = copy / "train-00000.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnblindError, match="differs from its manifest"):
        source(copy)
