"""Sources of examples: order, weights, and what is asked about a demonstration's pictures."""

import commands
import demonstrations
import models
import numpy as np
import pytest

from unblind import png
from unblind.config import load
from unblind.demos.labels import apply
from unblind.errors import UnblindError
from unblind.sim import camera
from unblind.training import data
from unblind.training.data import Demonstrations, Share
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


class Numbers:
    """A source whose examples are their positions, and what their generator draws."""

    def draw(self, position, rng):
        return position, rng.random()


def test_the_parts_of_a_batch_are_the_batch():
    shares = [Share(Numbers(), 5), Share(Numbers(), 2)]
    whole = [data.batch(shares, step, 0, 1, 0) for step in (0, 1)]
    assert [position for position, _ in whole[1]] == [5, 6, 7, 8, 9, 2, 3]
    halves = [data.batch(shares, 1, part, 2, 0) for part in (0, 1)]
    assert sorted(p for half in halves for p, _ in half) == sorted(p for p, _ in whole[1])
    assert data.batch(shares, 1, 1, 2, 0) == halves[1], "the same numbers every time"
    assert halves[0][0][1] != halves[1][0][1], "each part draws for itself"


# ---- weights ----------------------------------------------------------------------------------


def test_weights_around_the_grasp():
    moving, still = np.array([0.02] * 6 + [1.0]), np.array([0.0] * 6 + [-1.0])
    gripper = [WEIGHTS.of(frame, 10, moving)[6] for frame in range(20)]
    assert gripper == [1.0] * 6 + [3.6] * 4 + [6.0] * 7 + [1.0] * 3
    assert WEIGHTS.of(10, 10, still) == (*[0.3] * 6, 6.0, 1.0)
    assert WEIGHTS.of(0, 10, moving) == (1.0,) * 8
    assert ActionWeights(1, 1, 1).of(9, 10, still) == (1.0,) * 8


# ---- demonstrations ---------------------------------------------------------------------------


def test_a_frame_is_its_picture_its_instruction_and_its_action(folder):
    demos = source(folder)
    assert len(demos.frames) == 3 * demonstrations.STEPS
    rows = demonstrations.episode(1)
    frame = demos.frames[demonstrations.STEPS + 3]
    assert frame.image == rows[3]["image"]
    assert frame.turn.prompt == WORDS.action_prompt("put carrot on plate")
    assert frame.turn.answer == (*CODEC.encode(rows[3]["action"]).tolist(), EOS)
    assert frame.turn.family == "action"
    decoded = CODEC.decode(np.array(frame.turn.answer[:7]))
    # Half a bin of the normaliser's 4 cm.
    assert np.abs(decoded - rows[3]["action"])[:3].max() <= 0.02 / 255 + 1e-6


def test_the_closing_frame_has_the_weights_of_the_grasp(folder):
    frames = source(folder).frames
    assert frames[CLOSING].turn.weights == (*[0.3] * 6, 6.0, 1.0)
    assert frames[CLOSING - 1].turn.weights[6] == 3.6
    assert frames[0].turn.weights == (1.0,) * 8
    assert all(len(frame.turn.weights) == len(frame.turn.answer) == 8 for frame in frames)


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


def test_pictures_are_those_of_the_labelled_frames(folder):
    """The released rule drops one small step of each; the others keep their pictures."""
    kept = source(folder, rule="released").frames
    rows = [row for number in range(3) for row in demonstrations.episode(number)]
    place = {row["image"]: row for row in rows}
    assert len(kept) == len(rows) - 3
    for frame in kept:
        assert frame.turn.answer[:7] == tuple(CODEC.encode(place[frame.image]["action"]).tolist())


def test_frames_of_fine_tuning_are_those_of_pretraining_without_pictures(folder):
    demos, frames = (
        source(folder),
        Frames(Labelled(folder, "train", "none"), WORDS, CODEC, WEIGHTS, 3),
    )
    assert frames.turns == [frame.turn for frame in demos.frames]
    assert len(frames) == len(demos.frames)
    assert frames.rows([4, 0]) == [Order(len(frames), 3)[place] for place in (4, 0)]
    prompt = WORDS.action_prompt("put carrot on plate")
    assert frames.longest == len(prompt) + 7
    with pytest.raises(UnblindError, match="no frame of 'none'"):
        Frames(Labelled(folder, "none", "none"), WORDS, CODEC, WEIGHTS, 0)


def test_splits_are_apart(folder):
    held_out = source(folder, split="held_out").frames
    assert [frame.image for frame in held_out] == [r["image"] for r in demonstrations.episode(100)]


def test_questions_accompany_the_action(folder):
    demos = source(folder, questions=2)
    example = demos.draw(5, np.random.default_rng(0))
    frame = demos.frames[Order(len(demos.frames), 0)[5]]
    assert example.image.shape == (48, 64, 3)
    assert example.turns[0] == frame.turn and len(example.turns) == 3
    known = {WORDS.question_prompt(question) for question, _ in frame.questions}
    asked = {turn.prompt for turn in example.turns[1:]}
    assert len(asked) == 2 and asked <= known
    others = [demos.draw(5, np.random.default_rng(seed)).turns[1:] for seed in range(8)]
    assert len({tuple(t.prompt for t in turns) for turns in others}) > 2


def test_answers_about_places_are_projected_state(folder):
    row = demonstrations.episode(0)[CLOSING + 2]
    answers = dict(source(folder).frames[CLOSING + 2].questions)
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
    assert dict(source(folder).frames[0].questions)[f"{data.HOLD_QUESTION} carrot"] == "no"


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


# ---- pictures ---------------------------------------------------------------------------------


def test_jitter_is_seeded_bounded_and_can_be_switched_off():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert data.jitter(image, np.random.default_rng(0), 0.0) is image
    changed = [data.jitter(image, np.random.default_rng(seed), 0.2) for seed in (1, 1, 2)]
    assert (changed[0] == changed[1]).all() and (changed[0] != changed[2]).any()
    # At most 20 % of contrast about 128, then 20 % of each colour; and one for rounding.
    value = image.astype(float)
    far = np.abs(value - 128) * 0.2 + (np.abs(value - 128) * 1.2 + 128) * 0.2 + 1
    assert (np.abs(changed[0].astype(float) - value) <= far).all()


def test_pictures_are_rgb():
    import cv2

    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 2] = 255  # OpenCV's order is BGR
    assert png.decode(cv2.imencode(".png", red)[1].tobytes())[0, 0].tolist() == [255, 0, 0]
