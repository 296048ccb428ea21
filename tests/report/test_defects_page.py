"""What a defect costs: made-up records of Default with and without a defect.

Of 8 episodes a condition Default solves the first 4, with small steps dropped the first 2; at some
step it solves one more. Sampling was not run.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
import sizes
import synthetic
import yaml

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import defects
from unblind.report.records import load_run
from unblind.report.stats import holm, mcnemar_exact
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs, provenance

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
STATISTICS = {
    **{"q01": [-1.0] * 7, "q99": [1.0] * 7, "minimum": [-2.0] * 7, "maximum": [2.0] * 7},
    "mask": [True] * 6 + [False],
}


def study_of(folder, name, changes):
    """Write a study in a file of its own and return the file."""
    file = folder / f"{name}.yaml"
    values = {"extends": str(FOLDER / "mini.yaml"), "results": str(folder / name)}
    values |= {
        "rollout": {"episodes": 8, "in_distribution_episodes": 8} | changes.pop("rollout", {})
    }
    file.write_text(yaml.safe_dump(values | changes))
    return file


def write(config, solved):
    finals = {condition.name: solved for condition in CONDITIONS}
    out = Path(config.results, "rollouts", "default", "0")
    synthetic.write_records(config, "default", 0, out, finals, rules=("rollout",))


@pytest.fixture
def config(tmp_path, monkeypatch):
    filtered = study_of(tmp_path, "filtered", {"demos": {"noop_filter": "released"}})
    sampled = study_of(tmp_path, "sampled", {"rollout": {"temperature": 0.6}})
    listed = {
        "filter": {"label": "Steps dropped", "file": str(filtered), "entries": ["some-defect"]},
        "sampling": {"label": "Sampled", "file": str(sampled), "entries": ["other-defect"]},
    }
    own = load(
        FOLDER / "mini.yaml",
        sizes.episodes(8) | {"results": str(tmp_path / "own"), "defects": listed},
    )
    write(own, 4)
    write(load(filtered), 2)
    base = tmp_path / "base"
    base.mkdir()
    (base / "statistics.json").write_text(json.dumps(STATISTICS))
    monkeypatch.setattr(jobs, "base_folder", lambda config: base)
    return own


def test_a_defect_costs_what_the_same_episodes_lose(config):
    own = load_run(config, "default", Path(config.results, "rollouts"))
    filtered = load(config.defects["filter"].file)
    found = {"filter": load_run(filtered, "default", Path(filtered.results, "rollouts"))}
    dropped, sampled = defects.measure(config, own, found)
    # Two of eight episodes of each condition: 5 semantic, 5 vision, 3 execution.
    assert dropped.groups["all 13"].delta == pytest.approx(-2 / 8)
    assert (dropped.groups["semantic"].won, dropped.groups["semantic"].lost) == (0, 10)
    assert dropped.columns["EEPose"].delta == pytest.approx(-2 / 8)
    lost = {"semantic": 10, "vision": 10, "execution": 6}
    expected = holm({group: mcnemar_exact(0, n) for group, n in lost.items()})
    assert dropped.p == pytest.approx(expected)
    assert sampled.groups == {} and sampled.p == {}


def test_the_page_tells_all_rows(config):
    (path,) = defects.defects(config, Path(config.results))
    text = path.read_text()
    assert "| **Steps dropped** | -25.0 [" in text
    assert text.count("| **Sampled** | not run | not run | not run | not run | not run | - |") == 1
    # One of eight episodes of each condition is a success at some step and not at the last.
    assert "| **Success counts at any step** | +12.5 [" in text
    assert "Parity scores the other board** (`parity-scoring-inverted`): not run." in text
    assert "every label is the same token" in text
    assert f"of {14 * 8} evaluated ids 0 lie beyond their space" in text
    table = text.partition("weights |\n")[2]
    assert table.startswith("|:--|--:|--:|--:|--:|--:|:--|\n| **Steps dropped**")
    inputs = provenance.read(path)["inputs"]
    assert any(name.endswith("filtered.yaml") for name in inputs)
    assert any(name.endswith("mini.yaml") for name in inputs), "which that file extends"


def test_parity_is_counted_both_ways_from_one_record(config):
    folder = Path(config.results, "think")
    synthetic.write_think(config, "default", 0, folder, right=(1, 2))
    found, paths = defects._parity(config, folder)
    # Of four ids three end on a board: on the named one in 1 at rest and 2 in hand.
    assert found.right == pytest.approx((1 / 4 + 2 / 4) / 2)
    assert found.released == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert found.difference.value == pytest.approx(0)
    assert len(paths) == 1 and paths[0].name == "parity.parquet"


def test_normalisation_differs_where_a_dimension_does_not_vary(tmp_path):
    file = tmp_path / "statistics.json"
    changes = {"minimum": [-2.0] * 6 + [1.0], "maximum": [2.0] * 6 + [1.0]}
    file.write_text(json.dumps(STATISTICS | changes))
    assert defects.constant_dimensions(file) == 1
    with pytest.raises(UnblindError, match="is missing or unreadable"):
        defects.constant_dimensions(tmp_path / "none.json")


def test_ids_beyond_the_space_and_beyond_32_bits_are_counted(config):
    own = load_run(config, "default", Path(config.results, "rollouts"))
    episodes = own.episodes.copy()
    # EEPose has more than 11 thousand million ids, Carrot fewer than 2 ** 32.
    episodes.loc[episodes["condition"] == "ee_pose", "episode_id"] += 2**32
    first = episodes.index[episodes["condition"] == "carrot"][0]
    episodes.loc[first, "episode_id"] = 2**32 - 1
    changed = type(own)(own.run, pd.DataFrame(episodes), own.metas, own.paths)
    assert defects.ids(changed) == {"all": 14 * 8, "outside": 1, "long": 8}


def test_a_defect_needs_a_folder_of_its_own(config, tmp_path):
    file = study_of(tmp_path, "own", {"fidelity": "released"})
    entry = config.defects["filter"].model_copy(update={"file": str(file)})
    clash = config.model_copy(update={"defects": {"filter": entry}})
    with pytest.raises(UnblindError, match="has the folder of the study without defects"):
        defects.defects(clash, Path(config.results))
