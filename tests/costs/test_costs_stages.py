"""The stages of a study at paper scale, as tables name and count them."""

from pathlib import Path

from unblind.config import load
from unblind.costs import measured

PAPER = Path(__file__).parents[2] / "workflow" / "config" / "paper.yaml"


def names(**changes):
    config = load(PAPER, {key.replace("__", "."): value for key, value in changes.items()})
    return [stage.name for stage in measured.stages(config)]


def test_the_published_model_is_fetched_and_warmed_up():
    listed = names()
    base = [name for name in listed if name.startswith("base")]
    assert base == ["base: fetch", "base: warm-up demos", "base: warm-up"]
    assert "features low" in listed and "features teacher" not in listed
    assert listed.count("training of align") == 1


def test_a_checkpoint_that_is_warmed_up_already_is_fetched_alone():
    listed = names(rebuild_base=False)
    assert [name for name in listed if name.startswith("base")] == ["base: fetch"]
