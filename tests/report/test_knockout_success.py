"""Success with the target hidden: the rows of the attention page."""

from pathlib import Path

import pandas as pd
import pytest
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import attention, knockout_success
from unblind.report.stats import mcnemar_exact, wilson
from unblind.study.jobs import Job

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"


@pytest.fixture
def config(tmp_path):
    changes = {"results": str(tmp_path / "results"), "training.align.layers": [2]}
    config = load(MINI, changes | {"table1.rows": ["default", "base"]})
    synthetic.write_knockout(config, "base", 0)
    few = {"nothing": 8, "target": 6, "target_first_half": 8, "elsewhere": 8}
    synthetic.write_knockout(config, "default", 0, successes=few)
    return config


def test_lines_are_those_of_the_records(config):
    lines = knockout_success.losses(knockout_success.load(config), 0)
    found = {(line.label, line.hidden): line for line in lines}
    assert [line.hidden for line in lines[:5]] == list(knockout_success.HIDDEN)
    default = found["Default", "target"]
    assert (default.success.rate, default.success.n) == (6 / 16, 16)
    assert (default.success.low, default.success.high) == wilson(6, 16)
    assert default.change.rate == pytest.approx(-2 / 16)
    assert default.change.low < -2 / 16 < default.change.high <= 0
    assert found["Default", "nothing"].change is None and found["Default", "nothing"].p is None
    # 8 lines have a test; those with 16 lost pairs are the family's smallest: 8 times their own p.
    base = found["Base (before fine-tuning)", "target"]
    assert base.p == pytest.approx(8 * mcnemar_exact(0, 16))
    assert found["Default", "target"].p == 1


def test_the_page_has_a_table_of_them(config):
    synthetic.write_attention(config, "base", 0)
    text = attention.page(config)[0].read_text()
    table = text.partition("## Success with the target hidden")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 2 * 5
    assert "| nothing | 100.0 [80.6, 100.0] | - | - |" in table
    assert "| | hidden | success |" in rows[0]
    assert "| the target | 0.0 [0.0, 19.4] | -100.0 [-100.0, -100.0] | 0.000 |" in table
    assert "The first 16 episodes of in_distribution" in table


def test_a_run_that_lacks_a_record_is_left_out_and_another_list_is_refused(config):
    job = Job(config, "knockout", "default", 0)
    last = job.outputs[-1]
    last.unlink()
    assert list(knockout_success.load(config)) == ["base"]
    frame = pd.read_parquet(job.outputs[0]).assign(hidden=last.stem).iloc[:-1]
    synthetic._write(last, frame, job.settings, job.stage.modules, 0)
    with pytest.raises(UnblindError, match="knockouts of run 'default' are of different"):
        knockout_success.load(config)
