"""Questions about first frames: balanced, in words of the base's pictures, true of the scene."""

from collections import Counter

import pytest

from unblind.pictures.questions import location
from unblind.sim import camera
from unblind.think import domains, questions
from unblind.think.domains import COLORS, DOMAINS, PLACES
from unblind.think.episodes import decode


@pytest.mark.parametrize("domain", [domain.name for domain in DOMAINS])
def test_each_board_is_asked_about_and_as_many_that_are_not_there(domain):
    for number in (0, 101, 333):
        episode = decode(domain, number)
        asked = questions.ask(episode)
        boards = len(episode.boards)
        # Of four arrows three are there.
        counts = dict.fromkeys(("present", "absent", "where", "at"), boards)
        counts |= {"absent": 1} if domain == "arrow" else {}
        assert Counter(one.kind for one in asked) == counts
        row = domains.get(domain)
        there = {questions.call(row, board) for board in episode.boards}
        names = there | {row.drawing(concept) for concept in row.concepts}
        if domain == "color":
            names = there | {f"{c} {b.drawing}" for c in COLORS for b in episode.boards}
        for one in asked:
            # "windy and cloudy icon" holds "cloudy icon": the longest is meant.
            named = max((name for name in names if name.lower() in one.text), key=len, default="")
            if one.kind == "present":
                assert named in there and one.answer == "yes"
            if one.kind == "absent":
                assert named and named not in there and (one.answer, one.board) == ("no", -1)


def test_the_questions_of_an_episode_stay_the_same():
    assert questions.ask(decode("traffic", 7)) == questions.ask(decode("traffic", 7))
    other = questions.ask(decode("traffic", 7, style="unseen"))
    assert other == questions.ask(decode("traffic", 7)), "the look changes no question"


def test_places_are_where_the_camera_sees_the_boards():
    episode = decode("weather", 5)
    for board, (_, y) in zip(episode.boards, PLACES.items(), strict=True):
        column, row = camera.project([[-0.25, y, camera.TABLE_Z + 0.006]])[0]
        assert questions.place_of(board) == pytest.approx((row / 480, column / 640))
    where = [one for one in questions.ask(episode) if one.kind == "where"]
    assert [one.answer for one in where] == [
        location(questions.place_of(board)) for board in episode.boards
    ]
    assert len({one.answer for one in where}) == 3


def test_a_name_is_asked_for_by_its_place():
    episode = decode("shape", 12345)
    for one in questions.ask(episode):
        if one.kind == "at":
            assert one.answer == episode.boards[one.board].drawing
            assert location(questions.place_of(episode.boards[one.board])) in one.text
