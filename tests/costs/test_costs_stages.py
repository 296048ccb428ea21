"""The stages of a study at paper scale, as tables name and count them."""

from pathlib import Path

from unblind.config import load
from unblind.costs.formulas import needs
from unblind.costs.measured import count, lines
from unblind.costs.need import total

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
PAPER = FOLDER / "paper.yaml"


def names(**changes):
    config = load(PAPER, {key.replace("__", "."): value for key, value in changes.items()})
    return list(lines(config))


def test_the_published_model_is_fetched_and_warmed_up():
    listed = names()
    assert listed[:3] == ["fetch", "warm up demos", "warm up"]
    assert "pictures" in listed and "features teacher" not in listed
    assert listed.count("training of align") == 1


def test_a_checkpoint_that_is_warmed_up_already_is_fetched_alone():
    assert names(rebuild_base=False)[:2] == ["fetch", "demos"]


def test_the_rows_of_ablations_stay_within_their_budget():
    """Beside what Table 1's study has made already, and the teacher that is trained here."""
    config = load(FOLDER / "ablations.yaml", {"results": "nowhere"})
    listed, each = lines(config), needs(config)
    mini = lines(load(FOLDER / "mini.yaml", {"results": "nowhere"}))
    assert not set(listed) & {"replay", "frames", "landscape", "think of align", "arms of align"}
    own = [name for name in listed if name not in mini and not name.startswith("contrastive")]
    expected = [each[name].times(count(listed[name])) for name in own]
    # Following a training through its snapshots makes the rows dearer than the 30,000 once meant.
    assert 20_000 < total(expected).cpu_s < 34_000
