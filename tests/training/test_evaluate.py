"""What counts as a right answer, and how answers are counted."""

import json

import demonstrations
import models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import one_hot

from unblind.pictures import shards
from unblind.training import evaluate
from unblind.vla import checkpoint
from unblind.vla.text import EOS

#: More than one batch.
PICTURES = 40
WORDS = models.VOCABULARY


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "base"
    checkpoint.save(folder, models.small(), WORDS, models.STATISTICS.to_json())
    return checkpoint.load(folder)


def answer(patch, change):
    """Make the model prefer, at each target of a batch, the token that ``change`` returns."""

    def scores(model, states, batch):
        return one_hot(change(batch), WORDS.size).float()

    patch.setattr(evaluate, "answer_logits", scores)


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


def test_a_grey_picture_tells_a_model_nothing_of_what_it_would_have_shown(loaded, asked, tmp_path):
    """Other pictures with the same questions get the same answers, if they are not seen."""
    rows = pq.read_table(asked / "heldout-00000.parquet").to_pylist()
    rng = np.random.default_rng(1)
    others = [row | {"image": demonstrations.picture(rng)} for row in rows]
    pq.write_table(pa.Table.from_pylist(others, shards.SCHEMA), tmp_path / "style-00000.parquet")
    grey = np.full((1, 48, 64, 3), 128, np.uint8)
    low = loaded.model.vision_backbone.low(loaded.pixels.training(grey))
    shown = evaluate.prepare(loaded, others[:2], blind=True).low
    assert torch.equal(shown, low.expand_as(shown))
    blind = [
        evaluate.questions(loaded, folder, blind=True, split=split)
        for folder, split in ((asked, "heldout"), (tmp_path, "style"))
    ]
    assert blind[0] == blind[1]


# ---- records ----------------------------------------------------------------------------------

#: Names of pictures that show a part of the study's things and one that is extra.
NAMES = {"object": [["carrot"], ["carrot", "golf ball"], ["red cube"]], "plate": [["plate"]]}


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("where is the carrot <loc010>", "study"),
        ("is the golf ball on the plate yes", "study"),
        ("what is at <loc001><loc002> red cube", "extra"),
        ("is the red cube on the plate no", "other"),
        ("how many things do you see 3", "other"),
        ("is the carrots icon even", "other"),
        ("what color is the BBQ sauce".lower(), "study"),
    ],
)
def test_a_question_belongs_to_those_whose_names_alone_it_holds(text, owner):
    assert evaluate.whose_names(NAMES)(text) == owner


def test_the_longest_name_counts():
    extra = {"object": [["toy carrot"], ["carrot"]], "plate": [["plate rack"]]}
    whose = evaluate.whose_names(extra)
    assert whose("where is the toy carrot") == whose("a plate rack") == "extra"
    assert whose("where is the carrot") == "study"


@pytest.mark.parametrize("blind", [True, False])
def test_a_record_has_a_row_for_each_answer(loaded, asked, tmp_path, blind):
    for split in evaluate.SPLITS:
        rows = pq.read_table(asked / "heldout-00000.parquet")
        pq.write_table(rows, tmp_path / f"{split}-00000.parquet")
    (tmp_path / "manifest.json").write_text(json.dumps({"names": NAMES}))
    made = evaluate.record(loaded, tmp_path, 34, blind, 0.02)
    assert made.schema == evaluate.RECORD
    frame = made.to_pandas()
    assert len(frame) == 2 * (34 + 17)
    assert frame.groupby("split", observed=True)["picture"].max().to_dict() == {
        "heldout": 33,
        "style": 33,
    }
    assert set(frame["names"][frame["kind"] == "where"]) == {"study"}
    assert frame["blind"].notna().all() == blind
    counted = evaluate.questions(loaded, tmp_path, pictures=34)
    mine = frame[frame["split"] == "heldout"].groupby("kind", observed=True)["right"]
    assert {k: (v["n"], v["accuracy"]) for k, v in counted.items()} == {
        kind: (len(right), round(float(right.mean()), 4)) for kind, right in mine
    }
