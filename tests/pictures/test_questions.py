"""Questions and answers about given scenes."""

from collections import Counter

import numpy as np
import pytest

from unblind.pictures import icons
from unblind.pictures.questions import (
    PLACE_KINDS,
    WORDINGS,
    location,
    make_turns,
    vocabulary,
    words,
)
from unblind.pictures.scenes import Gripper, Scene, Thing
from unblind.sim import conditions
from unblind.vla.text import Words

NAMES = {"object": [conditions.OBJECTS], "plate": [conditions.PLATES]}
FLAT = {kind: [names] for kind, names in icons.NAMES.items()}
CARROT = Thing("carrot", "object", (0.5, 0.2), on="cloth")
CAN = Thing("7up can", "object", (0.25, 0.9))
CLOTH, PLATE = Thing("cloth", "plate", (0.52, 0.2)), Thing("plate", "plate", (0.7, 0.7))
HAND = Gripper((0.1, 0.4), (-0.1, 0.0, 1.0), opened=False)
TABLE = Scene((CARROT, CAN, CLOTH, PLATE), table="picnic table", gripper=HAND)
STAR, BLUE_STAR = (Thing("star", "shape", (0.3, x), c) for x, c in ((0.2, "red"), (0.8, "blue")))
SEVEN = Thing("number 7", "number", (0.8, 0.5), "green")
BOARD = Scene((STAR, BLUE_STAR, SEVEN))


def ask(scene, names=NAMES, times=1200):
    """Return all turns of many draws."""
    return [t for k in range(times) for t in make_turns(scene, names, np.random.default_rng(k), 24)]


def answers(turns, kind, holding=""):
    return {t.answer for t in turns if t.kind == kind and holding in t.question}


@pytest.mark.parametrize(
    ("place", "tokens"),
    [
        ((0.0, 0.0), "<loc000><loc000>"),
        ((0.5, 0.25), "<loc064><loc032>"),
        ((0.999, 1.0), "<loc127><loc127>"),
        ((-0.2, 1.3), "<loc000><loc127>"),
    ],
)
def test_a_place_is_told_row_first_in_128_parts(place, tokens):
    assert location(place) == tokens


def test_places_of_things_and_gripper_are_told_in_every_wording():
    turns = ask(TABLE)
    assert answers(turns, "gripper") == {location(HAND.place)}
    assert answers(turns, "where", "carrot") == {location(CARROT.place)}
    assert answers(turns, "where", "7up can") == {location(CAN.place)}
    assert answers(turns, "pick", "put carrot on") == {location(CARROT.place)}
    assert answers(turns, "set", "on plate:") == {location(PLATE.place)}
    assert answers(turns, "set", "on cloth:") == {location(CLOTH.place)}
    asked = {t.question.replace("carrot", "{name}") for t in turns if t.kind == "where"}
    assert asked >= {wording.lower() for wording in WORDINGS["where"]}


def test_an_instruction_is_worded_as_in_training_and_never_as_in_the_test():
    turns = ask(TABLE)
    assert any(t.question.startswith("put carrot on plate:") for t in turns)
    said = "\n".join(t.question for t in turns)
    for template in conditions.TEMPLATES[1:]:
        for thing in (CARROT, CAN):
            for plate in (CLOTH, PLATE):
                text = template.format(object=thing.name, plate=plate.name).lower()
                assert text not in said


def test_other_answers_follow_from_the_scene():
    turns = ask(TABLE)
    assert answers(turns, "on", "cloth") == {"carrot"}
    assert answers(turns, "on", "the plate") == {"nothing"}
    assert answers(turns, "is_on", "carrot") == {"yes", "no"}
    assert answers(turns, "is_on", "7up can") == {"no"}
    assert answers(turns, "side", "carrot") == {"left"}
    assert answers(turns, "side", "7up can") == {"right"}
    assert answers(turns, "relation", "7up can above the carrot") == {"yes"}
    assert answers(turns, "relation", "carrot right of the 7up can") == {"no"}
    assert answers(turns, "hold") == {"nothing"}
    assert answers(turns, "open") == {"closed"}
    assert answers(turns, "count") == {"4"}
    assert answers(turns, "table") == {"picnic table"}
    assert answers(turns, "at", location(CAN.place)) == {"7up can"}
    assert answers(turns, "at", location(CLOTH.place)) == set()  # the carrot lies there
    assert answers(turns, "caption") == {"a carrot on a cloth, a cloth, a plate and a 7up can"}


def test_a_name_that_fits_two_things_is_not_asked_for_a_place():
    turns = ask(BOARD, FLAT)
    asked = [t for t in turns if t.kind in (*PLACE_KINDS, "color", "side")]
    assert not [t for t in asked if "star" in t.question and "red" not in t.question
                and "blue" not in t.question]  # fmt: skip
    assert answers(turns, "where", "red star") == {location(STAR.place)}
    assert answers(turns, "where", "blue star") == {location(BLUE_STAR.place)}
    assert answers(turns, "where", "odd number") == {location(SEVEN.place)}
    assert answers(turns, "color") == {"green"}
    assert answers(turns, "parity") == {"odd"}
    assert not [t for t in turns if t.kind == "parity" and "7" in t.question]
    assert answers(turns, "which") == {"number 7"}


def test_what_is_hidden_is_neither_named_nor_denied():
    scene = Scene((CAN,), hidden=frozenset({"carrot"}))
    turns = ask(scene, {"object": [["carrot", "7up can", "bread"]], "plate": [["plate"]]})
    assert not [t for t in turns if "carrot" in t.question + t.answer]
    assert answers(turns, "see", "bread") == {"no"}
    assert answers(turns, "see", "7up can") == {"yes"}
    assert not [t for t in turns if t.kind in ("caption", "count", "which", "on")]


@pytest.mark.parametrize(("scene", "names"), [(TABLE, NAMES), (BOARD, FLAT)])
def test_yes_and_no_are_balanced_and_true(scene, names):
    seen = Counter(t.answer for t in ask(scene, names, 1500) if t.kind == "see")
    assert abs(seen["yes"] - seen["no"]) < 4 * sum(seen.values()) ** 0.5
    truths = {"carrot", "7up can", "cloth", "plate"} if scene is TABLE else None
    for turn in ask(scene, names):
        if turn.kind == "see" and truths:
            named = any(f" {name}" in turn.question.replace("?", "") + " " for name in truths)
            assert named or turn.answer == "no"
        if turn.kind == "see" and "blue star" in turn.question:
            assert turn.answer == "yes"
        if turn.kind == "see" and "green star" in turn.question:
            assert turn.answer == "no"


def test_at_most_as_many_turns_as_asked_for_and_none_twice():
    for k in range(100):
        turns = make_turns(TABLE, NAMES, np.random.default_rng(k), 24)
        assert 15 < len(turns) <= 24
        assert len({turn.question for turn in turns}) == len(turns)
        assert 0 < sum(t.kind in PLACE_KINDS for t in turns) <= 4
        assert len(make_turns(TABLE, NAMES, np.random.default_rng(k), 5)) == 5


def test_a_plan_says_how_often_each_kind_is_tried():
    turns = make_turns(TABLE, NAMES, np.random.default_rng(0), 24, {"table": 1, "count": 2})
    kinds = Counter(turn.kind for turn in turns if turn.kind not in PLACE_KINDS)
    assert kinds["table"] == 1
    assert 1 <= kinds["count"] <= 2  # in two wordings, or the same one twice
    assert kinds.keys() == {"table", "count"}


def test_an_empty_scene_is_nothing():
    turns = ask(Scene(()), times=50)
    assert answers(turns, "caption") == {"nothing"}
    assert answers(turns, "see") == {"no"}


def test_words_split_punctuation_and_keep_location_tokens():
    text = "Move 7up can so it\N{RIGHT SINGLE QUOTATION MARK}s at <loc001><loc127>, right_triangle."
    assert words(text) == [
        *("move", "7up", "can", "so", "it", "\N{RIGHT SINGLE QUOTATION MARK}", "s", "at"),
        *("<loc001>", "<loc127>", ",", "right", "_", "triangle", "."),
    ]


def test_vocabulary_is_closed_and_wordings_train_every_word_of_the_instructions():
    known = set(vocabulary())
    assert vocabulary() == sorted(known)
    assert not [word for word in known if word.startswith("<loc")]
    for turn in ask(TABLE) + ask(BOARD, FLAT):
        said = {w for w in words(f"{turn.question} {turn.answer}") if not w.startswith("<loc")}
        assert said <= known
    for name in (*conditions.OBJECTS, *conditions.PLATES, *conditions.TABLES):
        assert set(words(name)) <= known
    asked = {word for group in WORDINGS.values() for wording in group for word in words(wording)}
    for template in conditions.TEMPLATES:
        assert set(words(template.format(object="", plate=""))) <= asked
    assert {"zebra", "cube"} <= set(vocabulary(["Zebra cube"]))
    assert "zebra" not in known


def test_the_tokenizer_splits_text_as_the_vocabulary_does():
    known = Words.build(vocabulary())
    for turn in ask(TABLE, times=100) + ask(BOARD, FLAT, times=100):
        for said in (turn.question, turn.answer):
            ids = known.encode(said)
            assert known.UNKNOWN not in ids
            assert known.decode(ids).split() == words(said)


def test_the_same_seed_gives_the_same_turns():
    one, two = (make_turns(TABLE, NAMES, np.random.default_rng(3), 24) for _ in range(2))
    assert one == two
    assert one != make_turns(TABLE, NAMES, np.random.default_rng(4), 24)
