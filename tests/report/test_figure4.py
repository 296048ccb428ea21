"""Figure 4 and its page: numbers that a reader finds in the records, and verdicts."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.png import decode
from unblind.report import attention, attention_figure, by_model

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
LIFTS = {"base": 2.0, "default": 1.2, "align": 1.8}
ITEMS = ("frame", "condition", "episode_id", "prompt", "variant", "layer")


@pytest.fixture
def config(tmp_path):
    changes = {"results": str(tmp_path / "results"), "training.align.layers": [2]}
    return load(MINI, changes | {"table1.rows": ["default", "align", "base"]})


@pytest.fixture
def records(config):
    for run, lift in LIFTS.items():
        synthetic.write_attention(config, run, 0, lift, cost=lift)
    return Path(config.results)


def loaded(config):
    return by_model.load(config, "attention", ITEMS, (*attention.MEASURES, "target"))


def test_a_reader_finds_the_page_s_numbers_in_the_records(config, records):
    text = attention.page(config)[0].read_text()
    frame = pd.read_parquet(records / "attention" / "default" / "0.parquet")
    mine = frame.query("prompt == 'question' and variant == 'divided' and layer == 2")
    mean = mine.groupby("condition")["target_lift"].mean().mean()
    table = text[text.index("Prompt: question, divided") :]
    (row,) = [line for line in table.splitlines() if line.startswith("| 2 |")][:1]
    assert row.split("|")[3].split()[0] == f"{mean:.2f}" == "1.20"
    cut = pd.read_parquet(records / "knockout" / "base" / "0.parquet").query("task == 'action'")
    uncut = cut.query("hidden == 'nothing'")["loss"].mean()
    hidden = cut.query("hidden == 'target' and mode == 'only' and layer == 2")["loss"].mean()
    table = text.partition("## With the target hidden")[2]
    (row,) = [line for line in table.splitlines() if line.startswith("| 2 only |")][:1]
    assert row.split("|")[2].split()[0] == f"{hidden - uncut:+.2f}" == "+2.00"


def test_intervals_take_episodes_as_clusters():
    # Both frames of an episode deviate in opposite ways: episodes agree, so there is no width.
    frame = synthetic.attention_frame(1.5)
    some = attention.of_map(frame, "action", "raw").query("layer == 2")
    rate = attention.estimate(some, "target_lift")
    assert (rate.value, rate.low, rate.high) == pytest.approx((1.5, 1.5, 1.5))
    alone = by_model.interval(some, "target_lift", "condition", ("frame",))
    # 12 frames 0.1 above or below: standard error of two means of six, each half.
    error = 0.1 / 12**0.5 * (12 / 11) ** 0.5
    assert alone.high - alone.value == pytest.approx(1.959964 * error, rel=1e-5)
    assert attention.estimate(some, "distractor_lift") is None


def test_changes_are_of_the_same_frames_and_name_layers(config, records):
    models = loaded(config)
    # Give the pair a spread: without one any difference is sure.
    changed = models["default"].by_seed[0]
    changed["target_lift"] += np.where(changed["layer"] == 2, 0.01 * (changed["frame"] % 5), 0)
    found = attention.change(models["default"], models["base"], "action", "raw")
    assert found["target_lift"].labels == ("Default", "Base (before fine-tuning)")
    lift = found["target_lift"].cells[2]
    assert lift.value == pytest.approx(-0.8 + 0.01 * (np.arange(12) % 5).mean())
    assert lift.low < lift.value < lift.high < 0
    assert (found["target_lift"].higher, found["target_lift"].lower) == ([], [2])
    assert (found["entropy"].higher, found["entropy"].lower) == ([], [])


def test_the_strongest_head_is_chosen_on_other_episodes_than_it_is_measured_on(config, records):
    head = attention.strongest_head(loaded(config)["base"])
    assert (head["layer"], head["head"]) == (2, 2)
    assert head["lift"].value == pytest.approx(2.0 * 4 / 3, rel=1e-3)
    assert head["lift"].n == 6  # half of the episodes


def test_what_hiding_the_target_costs_beyond_other_tokens(config, records):
    cut = by_model.load(config, "attention", attention._CUTS, ("loss", "right"), output=2)
    rows = {row.heading: row.cells for row in attention.cuts(cut, "where")}
    assert list(rows) == ["1 only", "2 only", "1 on", "2 on"]
    assert rows["1 only"][0].value == 0
    first = list(cut).index("default")
    cells = rows["2 on"][2 * first : 2 * first + 2]
    assert [cell.value for cell in cells] == pytest.approx([1.2, 1.2 * 0.9])
    relied = attention.reliance(cut, "where")["Default"]
    assert relied == {"only": [2], "from": [1, 2]}
    shares = attention.accuracy(cut, "where")[0].cells
    assert [rate.value for rate in shares] == [0.5, 0.25, 0.25, 0.25]


def test_page_and_figure_have_the_same_bytes_each_time(config, records):
    paths = attention.page(config)
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in attention.page(config)] == before
    text = before[0].decode()
    assert "Default - Base (before fine-tuning), instruction: the target gets less" in text
    assert "Align - Default, instruction: the target gets more attention at layer 2" in text
    assert not re.search(r"\bnan\b|None", text)
    picture = decode(before[1])
    assert picture.shape[0] > 500 and picture.std() > 10
    assert b"Software" not in before[1]


def test_a_study_without_records_says_so(config):
    text = attention.page(config)[0].read_text()
    assert "No model's attention has been recorded" in text


def test_models_that_looked_at_other_frames_are_refused(config, records):
    path = records / "attention" / "align" / "0.parquet"
    path.unlink()
    job = synthetic.jobs.Job(config, "attention", "align", 0)
    other = synthetic.attention_frame(1.0).assign(episode_id=99)
    synthetic._write(path, other, job.settings, job.stage.modules, None)
    with pytest.raises(UnblindError, match="run 'align', seed 0, is of other items than that of"):
        loaded(config)


def test_maps_are_shown_in_multiples_of_an_even_one():
    values = attention_figure.even(pd.Series({"map": [0.4, 0.2, 0.2, 0.2]}))
    assert values == pytest.approx(np.array([[1.6, 0.8], [0.8, 0.8]]))
