"""Figure 5 and its page: numbers that a reader finds in the records, changes, seeds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from unblind.config import load
from unblind.png import decode
from unblind.report import by_model, collapse

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
SILHOUETTES = {"vlm": 0.5, "base": 0.3, "default": 0.1, "align": 0.1}
ITEMS = ("frame", "episode_id", "class", "tokens", "layer")


def study(folder, **changes):
    changes |= {"results": str(folder / "results")}
    return load(MINI, changes | {"table1.rows": ["default", "align", "base"]})


@pytest.fixture
def config(tmp_path):
    config = study(tmp_path)
    for run, silhouette in SILHOUETTES.items():
        synthetic.write_collapse(config, run, 0, silhouette)
    return config


def loaded(config):
    return by_model.load(config, "collapse", ITEMS, (*collapse.MEASURES, "x", "y"))


def test_a_reader_finds_the_page_s_numbers_in_the_records(config):
    text = collapse.page(config)[0].read_text()
    frame = pd.read_parquet(Path(config.results, "collapse", "base", "0.parquet"))
    mine = frame.query("tokens == 'object' and layer == 3")
    section = text.partition("## Visual tokens of the object")[2]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| **Base")]
    values = [row[3].split()[0] for row in rows[:3]]  # layers 2, 3 and 6
    assert values[0] == f"{mine['silhouette'].mean():.3f}" == "0.300"
    assert values[1] == f"{100 * mine['right'].mean():.1f}" == "50.0"
    assert values[2] == f"{100 * mine['overlap'].mean():.1f}" == "30.0"


def test_models_that_no_run_trains_come_first(config):
    assert list(loaded(config)) == ["vlm", "base", "default", "align"]


def test_changes_name_layers_at_which_classes_come_closer(config):
    models = loaded(config)
    for number, model in enumerate(models.values()):  # a spread of the pairs
        frame = model.by_seed[0]
        frame["silhouette"] += 0.001 * (frame["frame"] * (number + 1) % 5)
    found = {change.labels: change for change in collapse.changes(models, config.collapse.layers)}
    first = found["Base (before fine-tuning)", "VLM (before robot pretraining)"]
    assert first.cells[2].value == pytest.approx(-0.2, abs=0.01)
    assert (first.lower, first.higher) == ([2, 3, 6], [])
    same = found["Align", "Default"]
    assert same.cells[2].low < 0.005 and abs(same.cells[2].value) < 0.003
    assert len(found) == 3  # Freeze has no record


def test_page_and_figure_have_the_same_bytes_each_time(config):
    paths = collapse.page(config)
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in collapse.page(config)] == before
    text = before[0].decode()
    assert "Default - Base (before fine-tuning): classes are less apart at layer 2, 3, 6" in text
    assert "chance 33 %" in text and "nan" not in text
    assert decode(before[1]).std() > 5 and b"Software" not in before[1]


def test_seeds_are_averaged_picture_by_picture(tmp_path):
    config = study(tmp_path, seeds=[0, 1])
    for seed, silhouette in ((0, 0.1), (1, 0.4)):
        synthetic.write_collapse(config, "default", seed, silhouette)
    frame = loaded(config)["default"].frame
    assert frame["silhouette"].mean() == pytest.approx(0.25)
    assert set(np.unique(frame["right"])) == {0.0, 1.0}
    Path(config.results, "collapse", "default", "1.parquet").unlink()
    assert loaded(config) == {}  # a run whose records are not all there


def test_a_study_without_records_says_so(tmp_path):
    text = collapse.page(study(tmp_path))[0].read_text()
    assert "No model's tokens have been recorded" in text
