"""Table 2 from made-up records: rates by domain, what counts, changes to the base."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unblind.config import load
from unblind.files import atomic_path
from unblind.report import thinking
from unblind.report.thinking import COLUMNS, table2
from unblind.study import jobs, provenance
from unblind.study.stages import STAGES

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
#: Share of the four ids of a domain on whose board the carrot ends, at rest and in hand.
RIGHT = {"base": (1, 2), "align": (2, 4)}


@pytest.fixture(scope="module")
def config():
    return load(MINI, {"table1.rows": ["align", "base"]})


def write(path, frame, config, stage, run):
    made_from = {"config": jobs.settings(config, stage, run), "code": STAGES[stage].modules}
    with provenance.record(path, **made_from, seed=0), atomic_path(path) as place:
        frame.to_parquet(place)


def acting(right):
    """Four ids, each at rest and in hand; all end on some board, half of them grasped."""
    rows = [
        {
            "episode_id": number,
            "style": "seen",
            "swapped": False,
            "in_hand": bool(held),
            "grasped": number % 2 == 0,
            "answered": number < 3,
            "right": number < min(right[held], 3),
            "place": "left",
            "first_entered": "left" if number == 0 else "right",
        }
        for held in (0, 1)
        for number in range(4)
    ]
    return pd.DataFrame(rows)


def answers(yes):
    """One frame a domain: presence is answered yes or no throughout, places are right for one."""
    rows = []
    for domain in COLUMNS.values():
        for board in range(3):
            for kind, right in (("present", yes), ("absent", not yes), ("where", board == 0)):
                shown = {"domain": domain, "episode_id": 0, "style": "seen", "kind": kind}
                rows.append({**shown, "board": board, "right": right, "blind": False})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for run, right in RIGHT.items():
        for domain in COLUMNS.values():
            path = folder / "think" / run / "0" / f"{domain}.parquet"
            write(path, acting(right), config, "think", run)
        path = folder / "think-answers" / run / "0.parquet"
        write(path, answers(run == "align"), config, "think_answers", run)
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
    frame = acting((2, 2)).assign(column="Shape", seed=0)
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
