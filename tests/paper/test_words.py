import pytest

from unblind.paper import words
from unblind.report.differences import Paired
from unblind.report.summary import Share


def paired(delta, low, high, won=3, lost=1):
    return Paired(delta, low, high, 0.0, 16, won, lost, Share(0.0, 0.0, 0.0, 16))


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.01, 0.2, "more"),
        (0.0, 0.2, "no clear difference"),
        (-0.1, 0.1, "no clear difference"),
        (-0.2, 0.0, "no clear difference"),
        (-0.2, -0.01, "fewer"),
        (0.0, 0.0, "no clear difference"),
    ],
)
def test_words_follow_from_the_interval(low, high, word):
    assert words.comparison(low, high) == word


def test_a_margin_must_be_passed_by_the_whole_interval():
    assert words.comparison(0.05, 0.2, margin=0.05) == "no clear difference"
    assert words.comparison(0.06, 0.2, margin=0.05) == "more"
    assert words.comparison(-0.2, -0.06, margin=0.05) == "fewer"


def test_a_clause_turns_with_the_interval():
    def said(low, high):
        return words.success("A", "B", "in distribution", paired((low + high) / 2, low, high))

    assert said(0.031, 0.407) == (
        "A succeeds more often than B in distribution (+21.9 points [+3.1, +40.7]; "
        "won 3 and lost 1 of 16 pairs)"
    )
    less = said(-0.4, -0.1).replace(words.MINUS, "-")
    assert less.startswith("A succeeds less often than B in distribution (-25.0 points ")
    assert "[-40.0, -10.0]" in less
    assert said(-0.1, 0.2).startswith("there is no clear difference between A and B in distri")
    groups = [words.often("vision", paired(0, *ends)) for ends in ((0.1, 1), (-1, -0.1), (-1, 1))]
    assert groups == ["vision more often", "vision less often", "vision no clear difference"]


def test_no_minus_before_zero():
    assert words.interval(-0.0001, 0.0) == "[+0.0, +0.0]"


def test_numbers_lists_and_sentences():
    assert words.counted(0, "record") == "no records"
    assert words.counted(1, "record") == "one record"
    assert words.counted(12, "entry", "entries") == "twelve entries"
    assert words.counted(1568, "episode") == "1,568 episodes"
    assert words.rate(8 / 32, 0.1325, 0.4211) == "25 % [13, 42]"
    assert [words.listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert words.listed([0, 1]) == "0 and 1"
    assert words.tally({"reproduced": 3, "cached": 0, "not run": 2}) == "3 reproduced and 2 not run"
    assert words.sentence("there is none") == "There is none."
    assert (words.chance(0.0004), words.chance(0.05)) == ("< 0.001", "0.050")
