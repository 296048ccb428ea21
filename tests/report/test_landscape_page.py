"""The page of the landscape: barriers and numbers are those of made-up records."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import landscape
from unblind.study.jobs import Job

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("landscape")
    changes = {"results": str(root), "landscape.frames": 4, "landscape.edge_frames": 8}
    config = load(MINI, changes | {"landscape.grid": 2, "landscape.edge": 1})
    synthetic.write_landscape(config)
    return config, landscape.figure2c(config, root / "landscape", root)


def test_a_reader_finds_the_numbers_of_the_figure_in_the_records(made):
    config, (page, _) = made
    points, values = (pd.read_parquet(path) for path in Job(config, "landscape").outputs)
    measured = values.merge(points, on="point")
    line = measured[(measured["name"] == "base to align") & (measured["measure"] == "action loss")]
    means = line.groupby("t")["value"].mean()
    height = means[0.5] - (means[0.0] + means[1.0]) / 2
    assert height == 1
    row = "| action loss (nats) | base to Align | "
    (shown,) = (text for text in page.read_text().splitlines() if text.startswith(row))
    cells = shown.removeprefix(row).split(" | ")
    assert cells[0].startswith(f"{means[0.0]:.3f} [") and cells[1].startswith(f"{means[1.0]:.3f} [")
    assert cells[2:] == ["0.50", f"{height:.3f} [1.000, 1.000] |"]


def test_barriers_are_seen_where_the_middle_is_worse_for_every_frame(made):
    config, (page, _) = made
    land, _ = landscape.load(config, Path(config.results, "landscape"))
    assert land.edges == ["base to default", "base to align", "default to align"]
    action = land.barrier("default to align", "action loss")
    assert (action.height.value, action.is_seen) == (1, True)
    straight = land.barrier("base to default", "alignment loss")
    assert straight.height.value == pytest.approx(0) and not straight.is_seen
    assert (straight.start.value, straight.end.value) == (0, -0.5)
    answers = land.barrier("base to align", "answers")
    assert answers.start.value == 0.75 and answers.height.value == 0 and not answers.is_seen
    assert "worse by 1.000 [1.000, 1.000] at 0.50" in page.read_text()


def test_fewer_right_answers_between_two_models_are_a_barrier(made):
    config, _ = made
    land, _ = landscape.load(config, Path(config.results, "landscape"))
    middle = land.on("base to align")["point"].iloc[1]
    values = land.values.copy()
    here = (values["point"] == middle) & (values["measure"] == "answers")
    values.loc[here & (values["item"] >= 10), "value"] = 0.0
    worse = landscape.Landscape(land.points, values, 0).barrier("base to align", "answers")
    assert worse.height.value == pytest.approx(0.5) and worse.is_seen


def test_the_grid_is_laid_out_as_it_is_drawn(made):
    config, _ = made
    land, _ = landscape.load(config, Path(config.results, "landscape"))
    xs, ys, values = land.grid("alignment loss")
    assert (xs.tolist(), ys.tolist()) == ([0, 2], [0, 1])
    # -a/2 - b, where x = 2 a + b and y = b.
    assert values == pytest.approx(np.array([[0, -0.5], [-0.75, -1.25]]))


def test_the_same_records_give_the_same_bytes(made, tmp_path):
    config, files = made
    again = landscape.figure2c(config, Path(config.results, "landscape"), tmp_path)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]


def test_a_study_without_the_two_runs_has_no_landscape(made):
    config, _ = made
    few = load(MINI, {"table1.rows": ["default"], "results": config.results})
    with pytest.raises(UnblindError, match="are not two trained runs"):
        landscape.load(few, Path(config.results, "landscape"))
