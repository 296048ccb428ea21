"""Tables of ablations: rows of the paper and of the study, differences to Align, runs not run.

All records are made up: of 8 episodes a condition Align solves the first 4, the run of layer 4 the
first 7, the one of layer 2 the first 4, too.
"""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sizes
import synthetic
from scipy.stats import t

from unblind.config import load
from unblind.errors import UnblindError
from unblind.files import write_json
from unblind.report import ablations, reasons
from unblind.report.ablations import ablation_table
from unblind.report.differences import pair, shared
from unblind.report.published import load_claims
from unblind.report.records import load_run
from unblind.report.stats import holm, mcnemar_exact
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs, provenance, selection
from unblind.study.jobs import Job

FILE = Path(__file__).parents[2] / "workflow" / "config" / "ablations.yaml"
SOLVED = {"align": 4, "layer-20": 7, "layer-8": 4}


def of_size(n, seeds, results):
    """Return a study of so many episodes and seeds whose rows have 8 episodes of the first seed."""
    values = sizes.episodes(n) | sizes.of_rows(SOLVED, 8)
    return load(FILE, {"seeds": seeds, "results": str(results)} | values)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return of_size(8, [0], tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def folder(config):
    folder = Path(config.results)
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
    found = ablations.ablations(config, "12", table, measured, {}, {}, {})
    return {one.row.name: one for one in found}


def test_rows_are_the_papers_in_its_order(rows):
    assert list(rows) == list(load_claims().tables["12"].rows)
    assert rows["layer-30"].row.cells == {} and rows["layer-30"].differences == {}
    assert rows["layer-30"].paper["semantic"] == pytest.approx(
        (0.54 + 0.79 + 0.31 + 0.46 + 0.77) / 5
    )


def test_runs_that_are_the_same_are_run_once(config, rows):
    first = selection.first_of(config)
    assert first["layer-22"] == "layer-20"
    assert first["layers-8-12"] == "layer-8"
    assert first["lambda-0"] == "default", "a lambda of 0 is Default"
    assert first["default"] == "default"
    assert not {"layer-22", "layers-8-12"} & set(selection.needed_runs(config, "rollout"))
    assert rows["layer-22"].same_as == "4 (paper: 20)"
    assert rows["layer-22"].row.means == rows["layer-20"].row.means
    assert rows["layer-20"].same_as == ""


def test_differences_are_to_align_on_the_same_episodes(rows):
    assert rows["align"].differences == {} and rows["align"].row.means["vision"].rate == 0.5
    of = rows["layer-20"].differences
    assert (of["semantic"].won, of["semantic"].lost, of["semantic"].n) == (15, 0, 40)
    assert of["in-distribution"].delta == of["all 13"].delta == pytest.approx(3 / 8)
    assert rows["layer-8"].differences["all 13"].delta == 0


def test_align_may_have_more_episodes_and_seeds_than_a_row(tmp_path, rows):
    larger = of_size(10, [0, 1], tmp_path)
    for run, seed in (("align", 0), ("align", 1), ("layer-20", 0)):
        finals = {condition.name: SOLVED[run] for condition in CONDITIONS}
        synthetic.write_records(larger, run, seed, tmp_path / run / str(seed), finals)
    table = load_claims().tables["12"]
    measured = {run: load_run(larger, run, tmp_path) for run in ("align", "layer-20")}
    assert len(measured["align"].episodes) == 14 * 2 * 10
    found = ablations.ablations(larger, "12", table, measured, {}, {}, {})
    of = {one.row.name: one for one in found}
    assert of["layer-20"].differences == rows["layer-20"].differences
    assert of["align"].row.cells["Tex03"].n == 2 * 10
    assert ablations._sizes(larger, "12") == [(1, 8), (1, 16), (2, 10)]


def test_other_episodes_than_aligns_are_refused(config, folder):
    align, row = (load_run(config, run, folder / "rollouts") for run in ("align", "layer-20"))
    moved = row.episodes.assign(episode_id=row.episodes["episode_id"] + 4)
    other = replace(row, episodes=moved)
    with pytest.raises(UnblindError, match="share only"):
        pair(*shared(align, other))


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
    paths = ablation_table(config, "12", folder)
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


@pytest.fixture
def explained(config, tmp_path):
    """Layer 2's run with all records but answers, in a folder of its own; drift up to block 2."""
    own = load(FILE, sizes.episodes(8) | {"results": str(tmp_path)})
    synthetic.write_gradients(own, "layer-8", 0)
    synthetic.write_drift(own, "layer-8", 0)
    synthetic.write_probes(jobs.Job(own, "probe", "layer-8", 0))
    return own


def test_the_columns_that_say_why_hold_what_is_recorded(explained):
    found = reasons.load(explained, "layer-8", Path(explained.results))
    assert found.site == "block 2", "the layer that this run aligns, not Align's block 3"
    # Two batches 0.1 off their mean: a standard deviation of 0.1 sqrt 2, one degree of freedom.
    half = t.ppf(0.975, 1) * 0.1 * np.sqrt(2) / np.sqrt(2)
    assert found.conflict.value == pytest.approx(-0.1)
    assert found.conflict.low == pytest.approx(-0.1 - half)
    assert (found.alignment.value, found.alignment.n) == (pytest.approx(0.4), 48)
    assert found.drift.value == pytest.approx(1 - 0.2), "block 2 is the last made-up site"
    assert found.probe.value == pytest.approx(0.5), "five of ten drawings of each concept"
    assert found.cost is None and len(found.paths) == 1 + 2 + 1
    empty = reasons.load(explained, "layer-30", Path(explained.results))
    assert empty == reasons.Reasons()


def test_gradients_that_no_weight_shares_are_no_number(explained):
    path = jobs.Job(explained, "gradients", "layer-8", 0).outputs[0]
    provenance.sidecar_path(path).unlink()
    synthetic.write_gradients(explained, "layer-8", 0, cosine=np.nan)
    found = reasons.load(explained, "layer-8", Path(explained.results))
    assert found.conflict is None and found.alignment is not None


def _cost(config, run, cpu_s, cpu="EPYC"):
    """Write an adapter whose training took so many CPU-seconds on a kind of machine."""
    synthetic.write_adapter(config, run, 0)
    folder = jobs.run_folder(config, run, 0)
    (folder / "training.jsonl").unlink(missing_ok=True)
    sidecar = provenance.sidecar_path(folder / "adapter_model.safetensors")
    write_json(sidecar, json.loads(sidecar.read_text()) | {"cpu_s": cpu_s, "hardware": cpu})


def test_costs_are_told_of_whole_trainings_on_one_kind_of_machine(explained):
    def cost():
        return reasons.load(explained, "layer-8", Path(explained.results)).cost

    _cost(explained, "layer-8", 240.0)
    assert cost() is None, "there is no Default"
    _cost(explained, "default", 200.0)
    assert cost() == pytest.approx(1.2)
    log = jobs.run_folder(explained, "default", 0) / "training.jsonl"
    log.write_text('{"step": 20, "cpu_s": 90.0}\n{"step": 40, "cpu_s": 100.0}\n')
    assert cost() == pytest.approx(1.2)
    log.write_text('{"step": 20, "cpu_s": 190.0}\n{"step": 40, "cpu_s": 100.0}\n')
    assert cost() is None, "the sidecar counts the last call alone"
    log.unlink()
    _cost(explained, "default", 200.0, "Xeon")
    assert cost() is None


def test_the_page_and_its_long_form_tell_them(explained):
    finals = {condition.name: 4 for condition in CONDITIONS}
    for run in ("align", "layer-8"):
        out = Path(explained.results, "rollouts", run, "0")
        synthetic.write_records(explained, run, 0, out, finals, rules=("rollout",))
    paths = ablation_table(explained, "7", Path(explained.results))
    (line,) = (
        line
        for line in paths[0].read_text().partition("## Why")[2].splitlines()
        if line.startswith("| **2 (paper: 8)**")
    )
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:4] == ["-", "-", "-"] and cells[4].startswith("0.40 [")
    assert cells[5].startswith("-0.10 [") and cells[6] == "0.80 [0.79, 0.81] block 2"
    assert cells[7].startswith("50.0 [") and cells[7].endswith("block 2") and cells[8] == "-"
    frame = pd.read_csv(paths[1]).query("row == 'early' and what == 'why'")
    told = frame.set_index("column")["rate"]
    assert told["gradients"] == -0.1 and told["CKA at block 2"] == 0.8
    inputs = provenance.read(paths[0])["inputs"]
    assert any("gradients/layer-8" in name for name in inputs)


def test_a_table_without_any_run_says_so(config, tmp_path):
    paths = ablation_table(config, "8", tmp_path / "none", tmp_path / "table8")
    text = paths[0].read_text()
    why = text.partition("## Why")[2]
    assert why.count("| - | - | - | - | - | - | - | - |") == 3, "all columns are empty"
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
    with pytest.raises(UnblindError, match=r"drift\.rows names no run with a method: 'base'"):
        load(FILE, {"drift.rows": ["default", "base"]})
    with pytest.raises(UnblindError, match=r"ablations.*'3'"):
        load(FILE, {"ablations.3": ["align"]})
