"""What counts as a right answer, and how answers are counted."""

import commands
import demonstrations
import models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.nn.functional import one_hot

from unblind.config import load
from unblind.training import data, evaluate, stages
from unblind.vla import checkpoint
from unblind.vla.policy import Policy
from unblind.vla.text import EOS

#: More than one batch.
PICTURES = 40
WORDS = models.VOCABULARY
ONES = data.ActionWeights(1, 1, 1)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "base"
    checkpoint.save(folder, models.small(), WORDS, models.STATISTICS.to_json())
    return checkpoint.load(folder)


def answer(patch, change):
    """Make the model prefer, at each target of a batch, the token that ``change`` returns."""

    def scores(model, states, batch):
        return one_hot(change(batch), WORDS.size).float()

    patch.setattr(stages, "answer_logits", scores)


# ---- questions --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Each picture has a question for a place; every second one also a word to answer."""
    place = {"question": "where is the carrot", "answer": "<loc010><loc100>", "kind": "where"}
    word = {"question": "is the cube on the plate", "answer": "yes", "kind": "is_on"}
    rng = np.random.default_rng(0)
    rows = [
        {"image": demonstrations.picture(rng), "turns": [place, word][: 1 + n % 2], "kind": "still"}
        for n in range(PICTURES)
    ]
    folder = tmp_path_factory.mktemp("asked")
    table = pa.Table.from_pylist(rows, shards.SCHEMA)
    pq.write_table(table, folder / "heldout-00000.parquet")
    return folder


def test_right_answers_are_counted_by_kind(loaded, asked, monkeypatch):
    answer(monkeypatch, lambda batch: batch.targets)
    found = evaluate.questions(loaded, asked)
    assert found == {
        "is_on": {"n": PICTURES // 2, "accuracy": 1.0},
        "where": {"n": PICTURES, "accuracy": 1.0},
    }
    few = evaluate.questions(loaded, asked, pictures=3)
    assert {kind: values["n"] for kind, values in few.items()} == {"is_on": 1, "where": 3}


@pytest.mark.parametrize(("off", "accuracy"), [(6, 1.0), (-6, 1.0), (7, 0.0), (-7, 0.0)])
@pytest.mark.parametrize("order", [0, 1])
def test_a_place_may_be_six_bins_off_by_row_and_by_column(
    loaded, asked, monkeypatch, off, accuracy, order
):
    first = WORDS.locations.start

    def moved(batch):
        return batch.targets + off * ((batch.targets >= first) & (batch.orders == order))

    answer(monkeypatch, moved)
    found = evaluate.questions(loaded, asked)
    assert found["where"]["accuracy"] == accuracy
    assert found["is_on"]["accuracy"] == 1.0


@pytest.mark.parametrize("order", [0, 1])
def test_a_word_and_its_end_must_be_exact(loaded, asked, monkeypatch, order):
    """Order 1 of the answer "yes" is its end."""
    (yes,) = WORDS.encode("yes")

    def next_word(batch):
        is_word = (batch.targets == yes) | (batch.targets == EOS)
        return batch.targets + (is_word & (batch.orders == order)).long()

    answer(monkeypatch, next_word)
    found = evaluate.questions(loaded, asked)
    assert found["is_on"]["accuracy"] == 0.0
    assert found["where"]["accuracy"] == 1.0, "its end has order 2"


def test_each_answer_counts_for_itself(loaded, asked, monkeypatch):
    """One wrong token in every fourth picture, whose place alone is wrong then."""

    def some(batch):
        return batch.targets + 20 * ((batch.rows % 4 == 1) & (batch.orders == 0) & places(batch))

    def places(batch):
        return batch.targets >= WORDS.locations.start

    answer(monkeypatch, some)
    found = evaluate.questions(loaded, asked)
    assert found["where"] == {"n": PICTURES, "accuracy": 0.75}
    assert found["is_on"] == {"n": PICTURES // 2, "accuracy": 1.0}


# ---- actions ----------------------------------------------------------------------------------


@pytest.fixture
def demos(loaded, tmp_path):
    """Three episodes; they are the test's own, to be relabelled."""
    folder = demonstrations.write(tmp_path / "demos", load(commands.SMOKE), train=1, held_out=3)
    return data.Demonstrations(folder, "held_out", WORDS, loaded.codec(), "none", ONES, 0, 0)


def relabel(demos, ids):
    """Replace the actions of all frames by tokens (N, 7)."""
    demos.frames = [
        frame._replace(turn=turn_of(frame, row))
        for frame, row in zip(demos.frames, ids.tolist(), strict=True)
    ]


def turn_of(frame, ids):
    return data.Turn(frame.turn.prompt, (*ids, EOS), (1.0,) * 8, "action")


def test_what_the_policy_would_do_counts_as_right(loaded, demos):
    """Labels are the policy's own greedy actions, then others, 128 bins away."""
    policy = Policy(loaded)
    images = np.stack([data.picture(frame.image) for frame in demos.frames])
    ids = policy.tokens(images, ["put carrot on plate"] * len(images))
    assert len(np.unique(ids)) > 20
    relabel(demos, ids)
    found = evaluate.actions(loaded, demos)["all"]
    assert found["accuracy"] == dict.fromkeys(stages.DIMENSIONS, 1.0)
    assert found["error_cm"] == [0.0, 0.0, 0.0]
    first = WORDS.actions.start
    relabel(demos, first + (ids - first + 128) % 256)
    found = evaluate.actions(loaded, demos)["all"]
    assert found["accuracy"]["x"] == 0.0
    assert found["error_cm"][0] == pytest.approx(128 / 255 * 4, abs=0.02)


def test_errors_are_told_by_stage_and_dimension(loaded, demos, monkeypatch):
    """X is three bins off while lifting: 3 / 255 of the normaliser's 4 cm."""
    relabel(demos, np.full((len(demos.frames), 7), WORDS.actions[100]))
    lifting = np.array([frame.stage == "lift" for frame in demos.frames])
    parts = iter([lifting[:32], lifting[32:]])

    def off(batch):
        now = batch.rows.new_tensor(next(parts))[batch.rows]
        return batch.targets + 3 * now * (batch.orders == 0)

    answer(monkeypatch, off)
    found = evaluate.actions(loaded, demos)
    steps, reach = demonstrations.STEPS, demonstrations.CLOSING
    counts = {"all": 3 * steps, "reach": 3 * reach, "lift": 3 * (steps - reach)}
    assert {stage: values["n"] for stage, values in found.items()} == counts
    right = {"all": round(reach / steps, 3), "reach": 1.0, "lift": 0.0}
    for stage, values in found.items():
        others = dict.fromkeys(stages.DIMENSIONS[1:], 1.0)
        assert values["accuracy"] == {"x": right[stage], **others}
        wrong = (1 - right[stage]) * 3 / 255 * 4
        assert values["error_cm"] == pytest.approx([wrong, 0, 0], abs=6e-4)


def test_actions_are_chosen_among_action_tokens(loaded, demos, monkeypatch):
    """A word that scores higher than every action does not count."""

    def scores(model, states, batch):
        table = one_hot(batch.targets, WORDS.size).float()
        table[:, WORDS.encode("carrot")[0]] = 2.0
        return table

    monkeypatch.setattr(stages, "answer_logits", scores)
    found = evaluate.actions(loaded, demos)["all"]
    assert found["accuracy"] == dict.fromkeys(stages.DIMENSIONS, 1.0)
