"""Table 2 from made-up records: rates by domain, what counts, changes to the base."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from unblind.config import load
from unblind.report import thinking
from unblind.report.thinking import table2

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
#: Share of the four ids of a domain on whose board the carrot ends, at rest and in hand.
RIGHT = {"base": (1, 2), "align": (2, 4)}


@pytest.fixture(scope="module")
def config():
    return load(MINI, {"table1.rows": ["align", "base"]})


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for run, right in RIGHT.items():
        synthetic.write_think(config, run, 0, folder / "think", right=right)
        out = folder / "think-answers"
        synthetic.write_think_answers(config, run, 0, out, yes=run == "align")
    return folder


@pytest.fixture(scope="module")
def frame(config, folder):
    paths = table2(config, folder / "think", folder / "think-answers", folder / "table2")
    return pd.read_csv(paths[1])


def cell(frame, run, start, measure, column):
    chosen = frame[(frame["run"] == run) & (frame["start"] == start)]
    chosen = chosen[(chosen["measure"] == measure) & (chosen["column"] == column)]
    return chosen.iloc[0]


def test_the_rate_is_that_of_the_records(frame, folder):
    records = pd.read_parquet(folder / "think" / "align" / "0" / "weather.parquet")
    wanted = records[~records["in_hand"]]["right"].mean()
    assert cell(frame, "align", "at rest", "right board", "Weather")["rate"] == wanted == 0.5
    assert cell(frame, "align", "in hand", "right board", "Weather")["rate"] == 0.75


def test_what_is_judged_counts_those_that_answered_or_grasped(frame):
    of_answered = cell(frame, "align", "at rest", "right, of those on some board", "Shape")
    assert (of_answered["rate"], of_answered["n"]) == (pytest.approx(2 / 3, abs=1e-4), 3)
    entered = "first board entered is right, of grasped"
    assert cell(frame, "base", "at rest", entered, "Shape")["rate"] == 0.5


def test_the_change_to_the_base_is_on_the_same_episodes(frame):
    change = cell(frame, "align", "at rest", "right board", "change to the base")
    assert change["rate"] == 0.25 and change["lo"] < 0.25 < change["hi"]
    changes = frame[frame["column"] == "change to the base"]
    assert set(changes["run"]) == {"align"}


def test_who_always_says_yes_is_right_in_half(frame):
    kind = "is it there? (yes and no weigh the same)"
    for run in RIGHT:
        assert cell(frame, run, "asked", kind, thinking.ALL)["rate"] == 0.5
    published = "there and where, as published"
    assert cell(frame, "align", "asked", published, "Color")["rate"] == pytest.approx(
        1 / 3, abs=1e-4
    )
    assert cell(frame, "base", "asked", published, "Color")["rate"] == 0


def test_an_interval_takes_an_id_for_one(config, folder):
    frame = synthetic.think_frame((2, 2)).assign(column="Shape", seed=0)
    twice = pd.concat([frame, frame.assign(style="unseen")])
    rates = [
        thinking._rate(thinking.clustered_rate, some, some["right"], thinking._kinds(some))
        for some in (frame, twice)
    ]
    widths = [rate.high - rate.low for rate in rates]
    assert widths[1] == pytest.approx(widths[0], rel=0.1), "the same ids in two looks tell no more"
    assert np.isclose(rates[0].value, rates[1].value)


def test_the_page_says_what_is_missing(config, tmp_path):
    paths = table2(config, tmp_path / "none", tmp_path / "none", tmp_path / "table2")
    text = paths[0].read_text()
    assert "Not run." in text and "Not asked." in text and "InternVL3.5-4B" in text
    assert pd.read_csv(paths[1]).empty
