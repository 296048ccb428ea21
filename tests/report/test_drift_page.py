"""The page of drift and forgetting: numbers are those of made-up records."""

from pathlib import Path

import pandas as pd
import pytest
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import drift
from unblind.study import provenance, selection

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
#: Of CKA at the last site and of right answers, what is gone at the end.
GONE = {"default": (0.4, 0.5), "freeze": (0.1, 0.0), "align": (0.2, 0.2)}


@pytest.fixture(scope="module")
def config():
    return load(MINI, {"drift.answered": 40, "table1.rows": [*GONE, "base"]})


@pytest.fixture(scope="module")
def made(config, tmp_path_factory):
    root = tmp_path_factory.mktemp("drift")
    for run, (drifted, lost) in GONE.items():
        synthetic.write_drift(config, run, 0, drifted, lost, root / "drift")
    return root, drift.forgetting(config, root / "drift", root / "drift")


def test_a_reader_finds_the_numbers_of_the_figure_in_the_records(config, made):
    root, (page, _) = made
    tokens = pd.read_parquet(root / "drift" / "default" / "0.parquet")
    end = tokens[(tokens["step"] == 500) & (tokens["pictures"] == "held out")]
    cka = end.set_index("site")["cka"]
    assert cka["block 2"] == pytest.approx(0.6)
    row = next(line for line in page.read_text().splitlines() if line.startswith("| **Default** |"))
    assert row.split(" | ")[4].startswith(f"{cka['block 2']:.3f} [0.590, 0.610]")
    answers = pd.read_parquet(root / "drift" / "default" / "0-answers.parquet")
    answers = answers[answers["split"] == "heldout"]
    by_kind = answers.groupby(["step", "kind"])["right"].mean().unstack()
    rates = 100 * by_kind.mean(axis=1)
    assert (
        f"| **Default** | 500 | 0.600 [0.590, 0.610] | 0.200 [0.190, 0.210] | {rates[500]:.1f} ["
        in (page.read_text())
    )
    assert f"| {rates[500] - rates[0]:+.1f} [" in page.read_text()


def test_the_run_that_drifts_most_is_compared_with_the_one_that_drifts_least(config, made):
    root, (page, _) = made
    followed = drift.load(config, root / "drift")
    found = drift.verdict(followed, "block 1")
    assert (found.most, found.least) == ("Default", "Freeze")
    assert found.says == "what drifts most also forgets most"
    lost = 0.5 * (0.7 + 0.5) / 2
    assert found.difference.value == pytest.approx(-lost, abs=0.02)
    assert found.difference.high < 0
    assert "Here Default drifts most and Freeze least" in page.read_text()
    assert drift.verdict(followed[:1], "block 1") is None


def test_equal_answers_are_no_forgetting(config, tmp_path):
    for run, drifted in (("default", 0.4), ("align", 0.2)):
        synthetic.write_drift(config, run, 0, drifted, 0.3, tmp_path)
    found = drift.verdict(drift.load(config, tmp_path), "block 1")
    assert found.says == "no difference in forgetting is seen"
    assert found.difference.value == 0


def test_seeds_are_averaged_and_all_of_a_run_must_be_there(tmp_path):
    config = load(MINI, {"drift.answered": 40, "seeds": [0, 1], "table1.rows": ["default"]})
    synthetic.write_drift(config, "default", 0, 0.2, 0.0, tmp_path)
    with pytest.raises(UnblindError, match="holds no record of drift"):
        drift.load(config, tmp_path)
    synthetic.write_drift(config, "default", 1, 0.4, 0.5, tmp_path)
    (one,) = drift.load(config, tmp_path)
    assert one.measure("cka", "held out", 500, "block 2").value == pytest.approx(0.7)
    alone = [one.rate(500, seed).value for seed in (0, 1)]
    assert one.rate(500).value == pytest.approx(sum(alone) / 2) and alone[0] > alone[1]
    assert drift.draw([one], "block 1").axes[2].lines, "seeds are drawn"


def test_a_study_may_follow_other_runs_than_those_of_table_1(config, tmp_path):
    fast = {"policy": "vla", "label": "Fast", "method": "default"}
    fast["training"] = {"schedule": {"rate": 0.004}}
    rows = {"drift.answered": 40, "drift.rows": ["default", "fast"]}
    wider = load(MINI, {"runs.fast": fast} | rows)
    for run in ("default", "freeze", "fast"):
        synthetic.write_drift(wider, run, 0, 0.2, 0.3, tmp_path)
    assert [one.run for one in drift.load(wider, tmp_path)] == ["default", "fast"]
    # What is followed beside them changes no record.
    assert [one.run for one in drift.load(config, tmp_path)] == ["default", "freeze"]
    assert "fast" not in selection.needed_runs(wider, "rollout")


def test_the_same_records_give_the_same_bytes_and_sidecars_name_them(config, made, tmp_path):
    root, files = made
    again = drift.forgetting(config, root / "drift", tmp_path / "drift")
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    assert [path.name for path in again] == ["drift.md", "drift.png"]
    for path in again:
        read = provenance.read(path)["inputs"]
        assert str(root / "drift" / "align" / "0-answers.parquet") in read


def test_a_record_of_other_settings_is_refused(made):
    root, _ = made
    other = load(MINI, {"drift.answered": 41, "table1.rows": [*GONE, "base"]})
    with pytest.raises(UnblindError, match="another configuration"):
        drift.load(other, root / "drift")
