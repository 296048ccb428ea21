"""Table 1 of records that lack episodes, for want of files of the catalog.

All records are made up: of 16 episodes of every condition Default ends 8 in success, Align 12. Both
lack the first two episodes of Carrot, and all of Plate.
"""

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest
import sizes
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report.differences import pair
from unblind.report.records import episode_lists_hash, load_cell, load_run
from unblind.report.table1 import table1
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
FINALS = {"default": 8, "align": 12}
BEAR, CUP = "carrot/more_carrot/010_toy bear_1/textured.glb", "carrot/more_carrot/x/textured.glb"
CARROT = {0: [BEAR], 1: [BEAR, CUP]}
PLATE = {number: [BEAR] for number in range(16)}


def settings(**changes):
    runs = load(MINI).model_dump(mode="json")["runs"]
    values = {
        "catalog": "assets",
        "catalog_missing": "skip",
        "runs": {name: runs[name] for name in FINALS},
        "table1.rows": list(FINALS),
        **sizes.episodes(16),
    }
    return load(MINI, values | changes)


def record(folder, run, condition):
    return folder / "rollouts" / run / "0" / f"{condition}.parquet"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder, config = tmp_path_factory.mktemp("study"), settings()
    for run, final in FINALS.items():
        finals = {condition.name: final for condition in CONDITIONS}
        synthetic.write_records(config, run, 0, folder / "rollouts" / run / "0", finals)
        synthetic.leave_out(config, record(folder, run, "carrot"), run, CARROT)
        synthetic.leave_out(config, record(folder, run, "plate"), run, PLATE)
    synthetic.write_demos(config, folder / "demos")
    synthetic.write_replay(config, folder / "replay.parquet")
    return folder


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "study")


def make(folder, config=None):
    places = (folder / "rollouts", folder / "demos", folder / "replay.parquet")
    made = table1(config or settings(), *places, folder / "table1")
    return {path.suffix: path.read_text() for path in made if path.suffix != ".png"}


def cells(text):
    rows = csv.DictReader(text.splitlines())
    return {(row["row"], row["suite"], row["column"]): row for row in rows}


def test_cells_count_what_was_run_and_an_empty_one_is_not_run(copy):
    made = make(copy)
    found = cells(made[".csv"])
    carrot = found["default", "semantic", "Carrot"]
    assert (carrot["status"], carrot["k"], carrot["n"]) == ("run", "6", "14")
    assert float(carrot["rate"]) == pytest.approx(6 / 14, abs=1e-4)
    plate = found["default", "semantic", "Plate"]
    assert (plate["status"], plate["k"], plate["n"], plate["rate"]) == ("not run", "", "", "")
    assert "| ↳ successes/episodes | 8/16 | 6/14 | 8/16 | 8/16 | 8/16 | - |" in made[".md"]
    row = next(line for line in made[".md"].splitlines() if line.startswith("| **Default**"))
    assert row.count("not run") == 1
    assert r"\quad episodes & 8/16 & 6/14 & 8/16 & 8/16 & 8/16 & -- " in made[".tex"]


def test_a_mean_over_columns_of_which_one_is_empty_is_not_run(copy):
    found = cells(make(copy)[".csv"])
    status = {
        (row, group): found[row, group, "mean"]["status"]
        for row in FINALS
        for group in ("semantic", "vision", "execution", "all 13")
    }
    assert {key for key, said in status.items() if said == "not run"} == {
        (row, group) for row in FINALS for group in ("semantic", "all 13")
    }
    assert found["default", "vision", "mean"]["rate"] == "0.5000"
    assert found["default", "all 13", "lifted"]["status"] == "not run"


def test_pairs_are_the_episodes_that_both_were_run_on(copy):
    found = cells(make(copy)[".csv"])
    difference = {
        group: found["align - default", group, "paired difference"]
        for group in ("in-distribution", "semantic", "vision")
    }
    assert difference["semantic"]["status"] == "not run"
    assert difference["vision"]["n"] == "80" and difference["vision"]["rate"] == "0.2500"
    # One run meets the first two episodes of Carrot after all: they have no partner.
    finals = {condition.name: 12 for condition in CONDITIONS}
    record(copy, "align", "carrot").unlink()
    synthetic.write_records(settings(), "align", 0, copy / "rollouts" / "align" / "0", finals)
    runs = [load_run(settings(), run, copy / "rollouts") for run in ("align", "default")]
    pairs = pair(*runs)
    assert (pairs["column"] == "Carrot").sum() == 14
    episode_lists_hash(runs)  # both were to be run on the same
    changed = runs[1].episodes["episode_id"].replace({7: 99})
    other = type(runs[1])(
        "default", runs[1].episodes.assign(episode_id=changed), runs[1].metas, runs[1].paths
    )
    with pytest.raises(UnblindError, match="share only"):
        pair(runs[0], other)
    with pytest.raises(UnblindError, match="have different episodes"):
        episode_lists_hash([runs[0], other])


def test_the_footer_says_how_many_and_why(copy):
    text = make(copy)[".md"]
    assert (
        "- Episodes not run: default, align: Carrot 2, Plate 16; missing or changed in the "
        f"catalog: {BEAR.replace('_', chr(92) + '_')}, " in text
    )
    manifest = copy / "demos" / "manifest.json"
    manifest.unlink()
    with pytest.MonkeyPatch.context() as patch:
        told = {"not_collected": {"slots": {"toy bear": 24, "carrot": 1}}}
        write = synthetic.write_json
        patch.setattr(synthetic, "write_json", lambda path, v: write(path, v | told))
        synthetic.write_demos(settings(), copy / "demos")
    assert "25 left out for lack of files" in make(copy)[".md"]


def test_a_whole_study_says_nothing_of_it(tmp_path):
    config = settings(**{"table1.rows": ["default"]})
    place = tmp_path / "rollouts" / "default" / "0"
    synthetic.write_records(config, "default", 0, place, {"carrot": 4})
    synthetic.write_demos(config, tmp_path / "demos")
    synthetic.write_replay(config, tmp_path / "replay.parquet")
    text = make(tmp_path, config)[".md"]
    assert "not run" not in text.partition("## How")[2] and "left out" not in text


def test_only_listed_episodes_may_lack(copy):
    path = record(copy, "align", "carrot")
    synthetic.leave_out(settings(), path, "align", {0: [BEAR]})
    with pytest.raises(UnblindError, match="holds 14 episodes instead of 15"):
        load_cell(settings(), "align", 0, "carrot", copy / "rollouts")
    synthetic.leave_out(settings(), path, "align", {0: [BEAR], 900: [BEAR]})
    frame = pd.read_parquet(path)
    assert len(frame) == 14
    synthetic.leave_out(settings(), path, "align", {})
    with pytest.raises(UnblindError, match="holds 14 episodes instead of 16"):
        load_cell(settings(), "align", 0, "carrot", copy / "rollouts")


def test_an_episode_is_either_run_or_left_out(copy):
    path = record(copy, "align", "instruct")
    frame = pd.read_parquet(path)
    code, extra = ("unblind.errors",), {"not_run": {"15": [BEAR]}}
    part = jobs.settings(settings(), "rollout", "align")
    synthetic._write(path, frame[frame["episode_id"] != 3], part, code, 0, extra=extra)
    with pytest.raises(UnblindError, match="holds an episode that its sidecar says was not run"):
        load_cell(settings(), "align", 0, "instruct", copy / "rollouts")


@pytest.mark.parametrize("told", [[1], {"x": []}, {"1": 5}, "none"])
def test_a_malformed_list_is_one_error(copy, told):
    path = record(copy, "align", "instruct")
    part = jobs.settings(settings(), "rollout", "align")
    synthetic._write(
        path, pd.read_parquet(path), part, ("unblind.errors",), 0, extra={"not_run": told}
    )
    with pytest.raises(UnblindError, match=r"sidecar of instruct\.parquet lists"):
        load_cell(settings(), "align", 0, "instruct", copy / "rollouts")
