"""The half of Table 3's page that tells from which layer on the named board is read."""

from pathlib import Path

import pytest
import synthetic

from unblind.config import load
from unblind.report import named_board
from unblind.report.table3 import table3
from unblind.study.jobs import Job

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
#: Frames of 8 in each of 2 domains in which all three boards are read right.
KNOWN = {"vlm": 0, "base": 6, "default": 2}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    rows = {"table1.rows": ["default", "base"]}
    config = load(MINI, rows | {"results": str(tmp_path_factory.mktemp("study"))})
    for run, known in KNOWN.items():
        synthetic.write_probes(Job(config, "probe", run, 0), known=known)
    for stage in ("probe_teacher", "probe_references"):
        synthetic.write_probes(Job(config, stage))
    return config


@pytest.fixture(scope="module")
def models(config):
    return named_board.load(config)


def test_shares_are_those_of_the_records(models):
    sites = ["embedding", *(f"block {n}" for n in range(1, 7))]
    right, whole = (named_board.rows(models, name, sites) for name in ("right", "all_right"))
    assert [row.heading for row in right][1:] == ["Base (before fine-tuning)", "Default"]
    # Of 16 frames 12 have 3 right, 4 have 1: 40 of 48.
    assert [cell.value for cell in right[1].cells] == pytest.approx([1 / 3] * 4 + [40 / 48] * 3)
    assert [cell.value for cell in whole[1].cells] == pytest.approx([0.0] * 4 + [12 / 16] * 3)
    assert {cell.n for row in right for cell in row.cells} == {48}


def test_an_answer_that_no_instruction_changes_is_worth_chance(models):
    told = {
        run: named_board.reading(model, ["block 3", "block 6"]) for run, model in models.items()
    }
    assert told["vlm"].above == [] and told["vlm"].rate.value == pytest.approx(1 / 3)
    assert told["base"].above == ["block 6"] == [told["base"].best]
    low, high = told["base"].rate.low, told["base"].rate.high
    assert 1 / 3 < low < 40 / 48 < high < 1


def test_episode_ids_are_clusters(models):
    """Each id is all right or a third right: 16 values of variance 1/12, not 48."""
    rate = named_board.rate(named_board._at(models["base"].frame, "block 6"), "right")
    error = ((0.75 * 0.25 * (2 / 3) ** 2) / 15) ** 0.5
    effective = 40 / 48 * 8 / 48 / error**2
    z, p = 1.959964, 40 / 48
    middle = (p + z**2 / 2 / effective) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * (p * (1 - p) / effective + z**2 / 4 / effective**2) ** 0.5
    assert (rate.low, rate.high) == pytest.approx((middle - half, middle + half), rel=1e-4)


def test_models_are_compared_on_the_same_instructions(models):
    change = named_board.change(models["default"], models["base"], ["block 3", "block 6"])
    # 4 frames less in each domain, two boards each: 16 of 48.
    assert change.cells["block 6"].value == pytest.approx(-16 / 48)
    assert (change.higher, change.lower) == ([], ["block 6"])
    assert change.cells["block 3"].value == 0


def test_the_page_says_it_in_one_sentence(config):
    paths = table3(config, Path(config.results))
    text = paths[0].read_text()
    (said,) = [line for line in text.splitlines() if line.startswith("Which of three boards")]
    assert "from VLM (before robot pretraining) nowhere; " in said
    assert "from Base (before fine-tuning) at block 4, block 5, block 6, most at block 4" in said
    assert "with 83.3 % [" in said
    assert "16 first frames of VL-Think of 16 episode ids" in text
    assert "| Default - Base (before fine-tuning) | +0.0 [+0.0, +0.0] |" in text
    assert paths[-1].name == "table3-named-board.png"
    assert paths[-1].read_bytes().startswith(b"\x89PNG")


def test_a_study_without_these_records_says_so():
    assert named_board.context({}) == {"readings": []}
