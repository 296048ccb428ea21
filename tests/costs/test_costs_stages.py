"""The stages of a study at paper scale, as tables name and count them."""

from pathlib import Path

from unblind.config import load
from unblind.costs import measured

PAPER = Path(__file__).parents[2] / "workflow" / "config" / "paper.yaml"


def names(**changes):
    config = load(PAPER, {key.replace("__", "."): value for key, value in changes.items()})
    return list(measured.lines(config))


def test_the_published_model_is_fetched_and_warmed_up():
    listed = names()
    assert listed[:3] == ["fetch", "warm up demos", "warm up"]
    assert "pictures" in listed and "features teacher" not in listed
    assert listed.count("training of align") == 1


def test_a_checkpoint_that_is_warmed_up_already_is_fetched_alone():
    assert names(rebuild_base=False)[:2] == ["fetch", "demos"]
