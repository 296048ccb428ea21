"""Questions in words: the same boards as our own model is asked about, and what counts as right."""

from collections import Counter

import pytest

from unblind.think import questions, spoken
from unblind.think.domains import DOMAINS
from unblind.think.episodes import decode


@pytest.mark.parametrize("domain", [domain.name for domain in DOMAINS])
def test_the_same_boards_and_absent_ones_are_asked_about(domain):
    for number in (0, 101, 333):
        episode = decode(domain, number)
        own, said = questions.ask(episode), spoken.ask(episode)
        pairs = {"present": "present", "absent": "absent", "where": "side", "at": "which"}
        assert Counter(pairs[one.kind] for one in own) == Counter(one.kind for one in said)
        shown, absent = questions.names(episode)
        assert not set(shown) & set(absent)
        by_kind = {kind: [one for one in said if one.kind == kind] for kind in pairs.values()}
        for one, name in zip(by_kind["present"], shown, strict=True):
            assert name.replace("_", " ") in one.text and one.answer == "yes"
        for one, name in zip(by_kind["absent"], absent, strict=True):
            assert name.replace("_", " ") in one.text and (one.answer, one.board) == ("no", -1)
        for one, board in zip(by_kind["side"], episode.boards, strict=True):
            assert one.answer == board.place
        for one, name in zip(by_kind["which"], shown, strict=True):
            assert one.answer == name.replace(
                "_", " "
            ) and f"{episode.boards[one.board].place}" in (one.text)


def test_every_choice_is_right_once_a_frame():
    said = spoken.ask(decode("traffic", 7))
    for kind in ("side", "which"):
        some = [one for one in said if one.kind == kind]
        assert {one.answer for one in some} == set(some[0].choices)
        for choice in some[0].choices:
            assert sum(spoken.is_right(one, choice) for one in some) == 1
    for word in ("yes", "no"):  # who always says the same is right in half
        some = [one for one in said if one.kind in ("present", "absent")]
        assert sum(spoken.is_right(one, word) for one in some) == len(some) / 2


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("Yes, I do.", {"yes"}),
        ("No.", {"no"}),
        ("Nothing, yes or no", {"yes", "no"}),
        ("NOT there", set()),
        ("", set()),
    ],
)
def test_an_answer_names_whole_words(said, named):
    assert spoken.named(("yes", "no"), said) == named


def test_places_have_other_words_and_repeating_the_question_is_wrong():
    places = ("left", "center", "right")
    question = spoken.Spoken("side", 1, "", "center", places)
    assert spoken.is_right(question, "It is in the middle.")
    assert spoken.is_right(question, "Centre")
    assert not spoken.is_right(question, "left, center or right")
    assert not spoken.is_right(question, "leftmost")


def test_the_longest_name_is_meant():
    names = ("windy", "cloudy", "windy and cloudy")
    assert spoken.named(names, "Windy and Cloudy icon") == {"windy and cloudy"}
    assert spoken.named(names, "the windy one") == {"windy"}
    assert spoken.named(("no U-turn", "yield"), "a no u turn sign") == {"no U-turn"}
