"""The page and the table of costs: what is measured, and what is estimated."""

import json
import math
from pathlib import Path

import pytest
import synthetic

from unblind.config import load
from unblind.costs import formulas, measured, table
from unblind.costs.need import hours, size
from unblind.costs.page import cost_page, number
from unblind.costs.paper_scale import CONSTANTS
from unblind.errors import UnblindError
from unblind.study import dryrun
from unblind.study.dryrun import Job
from unblind.study.provenance import sidecar_path

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"


@pytest.fixture
def config(tmp_path):
    return load(CONFIGS / "smoke.yaml", {"seeds": [0, 1], "results": str(tmp_path)})


@pytest.fixture
def paper():
    return load(CONFIGS / "paper.yaml")


def say(path, **numbers):
    """Write costs into the sidecar of an artifact."""
    sidecar = sidecar_path(path)
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | numbers))


@pytest.fixture
def study(config, tmp_path):
    """Demonstrations of 3,600 CPU-seconds and rollouts of an idle policy of 2 x 14 x 9."""
    synthetic.write_demos(config, tmp_path / "demos")
    manifest = tmp_path / "demos" / "manifest.json"
    say(manifest, cpu_s=3600.0, wall_s=1800.0, peak_memory_mib=1000)
    for seed in config.seeds:
        folder = tmp_path / "rollouts" / "noop" / str(seed)
        synthetic.write_records(config, "noop", seed, folder, {})
        for record in folder.glob("*.parquet"):
            say(record, cpu_s=9.0, wall_s=18.0, peak_memory_mib=500 + seed)
    return tmp_path


def make(config, paper):
    return [path.read_text() for path in cost_page(config, paper)]


def line(text, start):
    return next(row for row in text.splitlines() if row.startswith(start))


def test_a_stage_is_the_sum_of_its_artifacts(config, study):
    cost = measured.measure(measured.lines(config)["rollout of noop"])
    assert (cost.cpu_s, cost.wall_s, cost.memory_mib) == (252.0, 504.0, 501)
    assert cost.disk == sum(path.stat().st_size for path in study.rglob("*.parquet"))
    assert len(cost.sidecars) == 28
    assert measured.measure(measured.lines(config)["replay"]) is None


def test_held_out_pictures_are_measured_though_their_sidecar_tells_other_settings(config, study):
    synthetic.write_held_out(config)
    (manifest,) = measured.lines(config)["held out"][0].outputs
    say(manifest, cpu_s=62.0, wall_s=42.0, peak_memory_mib=500)
    assert measured.measure(measured.lines(config)["held out"]).cpu_s == 62.0


def test_the_page_tells_measured_from_estimated(config, paper, study):
    markdown, tex = make(config, paper)
    demos = line(markdown, "| demos")
    assert demos.split(" | ")[1:4] == ["1.000", "0.500", "1.0 GB"]
    assert line(markdown, "| rollout of noop").split(" | ")[1] == "0.070"
    expected = hours(formulas.needs(config)["replay"].cpu_s)
    assert line(markdown, "| replay") == f"| replay | *about {expected}* | - | - | - |"
    # 3,600 + 252 CPU-seconds and 1,800 + 504 seconds; the row belongs to the table above it.
    together = line(markdown, "| **measured together (2 of")
    assert "**1.070** | **0.640** | **1.0 GB**" in together
    assert f"|\n{together}" in markdown
    assert "| robot | *about " in markdown
    assert r"demos & 1.000 & 0.500 & 1.0 GB & " in tex and "replay (estimate) & " in tex


def test_a_missing_record_leaves_its_stage_to_the_estimate_and_no_other(config, paper, study):
    (study / "rollouts" / "noop" / "1" / "plate.parquet.meta.json").unlink()
    markdown, _ = make(config, paper)
    assert "*about" in line(markdown, "| rollout of noop")
    assert "*about" not in line(markdown, "| demos")


def test_costs_of_other_settings_are_not_quoted(config, paper, study):
    changes = {"seeds": [0, 1], "results": config.results, "demos.noop_filter": "none"}
    markdown, _ = make(load(CONFIGS / "smoke.yaml", changes), paper)
    assert "*about" in line(markdown, "| demos")
    assert "*about" not in line(markdown, "| rollout of noop")


@pytest.mark.parametrize("value", [math.nan, -1.0, "9", None, True])
def test_a_damaged_sidecar_stops_the_page_and_not_the_list(config, paper, study, value):
    say(study / "demos" / "manifest.json", cpu_s=value)
    with pytest.raises(UnblindError, match=r"manifest\.json\.meta\.json tells no costs"):
        cost_page(config, paper)
    assert not list(study.glob("costs*"))
    assert line(table.report(config), "demos").endswith("-")
    assert measured.cpu_seconds(config) == {"rollout of noop": 252.0}


def test_the_same_artifacts_give_the_same_bytes(config, paper, study):
    first = make(config, paper)
    assert make(config, paper) == first
    meta = json.loads((study / "costs.md.meta.json").read_text())
    assert sum(name.endswith(".parquet.meta.json") for name in meta["inputs"]) == 28


def test_formulas_constants_and_sources_stand_on_the_page(config, paper, study):
    markdown, tex = make(config, paper)
    assert "13 OOD conditions x 8 seeds x 128 episodes x 80 steps = 1,064,960 policy" in markdown
    assert "655,360 for VL-Think" in markdown
    for constant in CONSTANTS:
        row = line(markdown, f"| {constant.name.replace('_', chr(92) + '_')} |")
        assert number(constant.value) in row and not row.endswith("|  |")
    assert "GPU-hours = operations / (peak x u) / 3,600." in markdown
    assert r"P\_lora = 110,828,288" in tex


def test_a_small_model_has_no_formula_of_paper_scale(config, study):
    with pytest.raises(UnblindError, match="no cost formula for the sizes of scale 'smoke'"):
        cost_page(config, config)
    assert not (study / "costs.md").exists()


def test_numbers_are_short():
    assert [hours(s) for s in (None, 36, 36_000, 3.6e6)] == ["-", "0.010", "10.0", "1,000"]
    sizes = ["-", "1.5 kB", "2.5 MB", "3.0 GB", "4.0 TB"]
    assert [size(b) for b in (None, 1500, 2.5e6, 3e9, 4e12)] == sizes
    assert [number(v) for v in (32_064, 0.35, 312e12)] == ["32,064", "0.35", "3.12e+14"]


# ---- the table of a target ---------------------------------------------------------------------


def test_a_target_has_its_share_of_a_stages_cost(config, study, monkeypatch):
    jobs = [Job("rollout", (("run", "noop"), ("seed", "0"))), Job("demos"), Job("table1")]
    monkeypatch.setattr(dryrun, "jobs", lambda config, target: jobs)
    each = formulas.needs(config)
    expected = each["demos"].cpu_s + each["rollout of noop"].cpu_s
    rows = [row.split() for row in table.report(config, "a target").splitlines()]
    assert rows[-1] == ["together", f"{expected:.0f}", f"{3600 + 252 / 2:.0f}"]
    assert [row[0] for row in rows[1:]] == ["demos", "rollout", "table1", "together"]


def test_a_stage_without_formula_is_not_passed_over_in_silence(paper, monkeypatch):
    monkeypatch.setattr(dryrun, "jobs", lambda config, target: [Job("demos"), Job("probe")])
    text = table.report(paper, "a target")
    assert line(text, "probe").split() == ["probe", "1", "-", "-", "-", "-"]
    assert line(text, "together").split()[1] == "2"
