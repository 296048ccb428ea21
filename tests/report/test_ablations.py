"""Tables of ablations: rows of the paper and of the study, differences to Align, runs not run.

All records are made up: of 8 episodes a condition Align solves the first 4, the run of layer 4 the
first 7, the one of layer 2 the first 4, too.
"""

import io
import re
from pathlib import Path

import pandas as pd
import pytest
import sizes
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import ablations
from unblind.report.ablations import ablation_table
from unblind.report.published import load_claims
from unblind.report.records import load_run
from unblind.report.stats import holm, mcnemar_exact
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs
from unblind.study.jobs import Job

FILE = Path(__file__).parents[2] / "workflow" / "config" / "ablations.yaml"
SOLVED = {"align": 4, "layer-20": 7, "layer-8": 4}


@pytest.fixture(scope="module")
def config():
    return load(FILE, sizes.episodes(8))


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for run, solved in SOLVED.items():
        finals = {condition.name: solved for condition in CONDITIONS}
        out = folder / "rollouts" / run / "0"
        synthetic.write_records(config, run, 0, out, finals, rules=("rollout",))
    synthetic.write_answers(config, "layer-20", 0, folder / "answers")
    return folder


@pytest.fixture(scope="module")
def rows(config, folder):
    table, measured = load_claims().tables["12"], {}
    for run in SOLVED:
        measured[run] = load_run(config, run, folder / "rollouts")
    found = ablations.ablations(config, "12", table, measured, {}, {})
    return {one.row.name: one for one in found}


def test_rows_are_the_papers_in_its_order(rows):
    assert list(rows) == list(load_claims().tables["12"].rows)
    assert rows["layer-30"].row.cells == {} and rows["layer-30"].differences == {}
    assert rows["layer-30"].paper["semantic"] == pytest.approx(
        (0.54 + 0.79 + 0.31 + 0.46 + 0.77) / 5
    )


def test_runs_that_are_the_same_are_run_once(config, rows):
    assert jobs.same_as(config, "layer-22") == "layer-20"
    assert jobs.same_as(config, "layers-8-12") == "layer-8"
    assert jobs.same_as(config, "lambda-0") == "lambda-0"
    assert jobs.same_as(config, "default") == "default"
    assert not {"layer-22", "layers-8-12"} & set(jobs.needed_runs(config, "rollout"))
    assert rows["layer-22"].same_as == "4 (paper: 20)"
    assert rows["layer-22"].row.means == rows["layer-20"].row.means
    assert rows["layer-20"].same_as == ""


def test_differences_are_to_align_on_the_same_episodes(rows):
    assert rows["align"].differences == {} and rows["align"].row.means["vision"].rate == 0.5
    of = rows["layer-20"].differences
    assert (of["semantic"].won, of["semantic"].lost, of["semantic"].n) == (15, 0, 40)
    assert of["in-distribution"].delta == of["all 13"].delta == pytest.approx(3 / 8)
    assert rows["layer-8"].differences["all 13"].delta == 0


def test_holm_runs_over_all_runs_and_groups_of_the_table(rows):
    # Two distinct runs beside Align, three groups of 5, 5 and 3 conditions with 3 pairs won each.
    won = {("layer-20", "semantic"): 15, ("layer-20", "vision"): 15, ("layer-20", "execution"): 9}
    raw = {key: mcnemar_exact(n, 0) for key, n in won.items()}
    raw |= {("layer-8", group): 1.0 for group in ablations.TESTED}
    for (run, group), p in holm(raw).items():
        assert rows[run].p[group] == pytest.approx(p)
    assert rows["layer-20"].p["semantic"] == pytest.approx(6 * 2 * 0.5**15)
    assert 0 < rows["layer-20"].detectable["semantic"] < 0.7


def test_the_pages_tell_what_the_records_hold(config, folder):
    paths = ablation_table(config, "12", folder, folder / "table12")
    text = paths[0].read_text()
    assert text.startswith("# Table 12: aligned layers by condition, success in percent")
    assert "**4 (paper: 22)** (same run as 4 (paper: 20))" in text
    assert "| **6 (paper: 30)** | not run |" in text
    assert "## By condition" in text
    frame = pd.read_csv(paths[1])
    cell = frame[(frame["row"] == "layer-20") & (frame["column"] == "Plate")]
    record = pd.read_parquet(folder / "rollouts" / "layer-20" / "0" / "plate.parquet")
    assert cell["rate"].item() == pytest.approx(record["success_final"].mean())
    assert paths[2].read_text().count("\\\\") == 1 + len(load_claims().tables["12"].rows)


def test_a_table_without_any_run_says_so(config, tmp_path):
    paths = ablation_table(config, "8", tmp_path, tmp_path / "table8")
    text = paths[0].read_text()
    assert text.count("| not run | not run | not run | not run | not run |") == 3
    assert "## By condition" not in text


def test_teachers_are_ranked_by_their_probe_before_any_run(config, tmp_path):
    """Of 40 drawings the random one tells 12, the contrastive one 32; two are unknown."""
    for run, share in (("teacher-random", 0.3), ("teacher-contrastive", 0.8), (None, 0.5)):
        right = synthetic.READ | {"icons": share}
        job = Job(config, "probe_teacher", run)
        synthetic.write_probes(job, right=right, folder=tmp_path / "probe")
    paths = ablation_table(config, "4", tmp_path, tmp_path / "table4")
    text, csv = (path.read_text() for path in paths[:2])
    (section,) = re.findall(r"## Teachers\n(.*?)\n## ", text, re.DOTALL)
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| ")][1:]
    assert [[cell.strip().partition(" [")[0] for cell in row] for row in rows] == [
        ["contrastive", "regions and words", "80.0"],
        ["lite2", "Align", "50.0"],
        ["random", "random weights", "30.0"],
        ["lite0", "EfficientNet-Lite0", "not probed"],
        ["lite2-128", "EfficientNet-Lite2 at 128 px", "not probed"],
    ]
    assert "| **regions and words** | not run |" in text
    frame = pd.read_csv(io.StringIO(csv))
    told = frame[frame["what"] == "teacher's probe"].set_index("row")
    assert told.loc["teacher-contrastive", ["column", "rate", "n"]].tolist() == [
        *("contrastive", 0.8, 40),
    ]


def test_rows_must_be_runs_that_are_trained():
    with pytest.raises(UnblindError, match="names no run with a method: 'layer-9', did you mean"):
        load(FILE, {"ablations.7": ["layer-9"]})
    with pytest.raises(UnblindError, match="names no run with a method: 'oracle'"):
        load(FILE, {"ablations.7": ["oracle"]})
    with pytest.raises(UnblindError, match=r"ablations.*'3'"):
        load(FILE, {"ablations.3": ["align"]})
