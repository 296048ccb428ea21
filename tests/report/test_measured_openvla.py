"""The stages of a study at paper scale, as tables name and count them."""

from pathlib import Path

from unblind.config import load
from unblind.report import measured

PAPER = Path(__file__).parents[2] / "workflow" / "config" / "paper.yaml"


def names(**changes):
    config = load(PAPER, {key.replace("__", "."): value for key, value in changes.items()})
    return [stage.name for stage in measured.stages(config, Path("results"))]


def test_the_published_model_is_fetched_and_warmed_up():
    found = names()
    assert [n for n in found if n.startswith("base")] == [
        "base: fetch",
        "base: warm-up demos",
        "base: warm-up",
    ]
    assert "features low" in found and "features teacher" not in found
    assert found.count("training of align") == 1


def test_a_checkpoint_that_is_warmed_up_already_is_fetched_alone():
    found = names(rebuild_base=False)
    assert [n for n in found if n.startswith("base")] == ["base: fetch"]
