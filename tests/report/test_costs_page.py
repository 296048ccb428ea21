"""The page of costs: what is measured, what is estimated, and the formula of paper scale."""

import json
import math
from pathlib import Path

import pytest
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import costs, measured, paper_scale
from unblind.report.cost_page import cost_page, hours, number, size
from unblind.report.paper_constants import CONSTANTS
from unblind.study.provenance import sidecar_path

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def config():
    return load(CONFIGS / "smoke.yaml", {"seeds": [0, 1]})


@pytest.fixture
def paper():
    return load(CONFIGS / "paper.yaml")


def say(path, **numbers):
    """Write costs into the sidecar of an artifact."""
    place = sidecar_path(path)
    place.write_text(json.dumps(json.loads(place.read_text()) | numbers))


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


def stage(config, results, name):
    return next(one for one in measured.stages(config, results) if one.name == name)


def make(config, paper, results):
    return [path.read_text() for path in cost_page(config, paper, results, results / "costs")]


def line(text, start):
    return next(row for row in text.splitlines() if row.startswith(start))


def test_a_stage_is_the_sum_of_its_artifacts(config, study):
    found = measured.measure(stage(config, study, "rollouts of noop"))
    assert (found.cpu_s, found.wall_s, found.memory_mib) == (252.0, 504.0, 501)
    assert found.disk == sum(path.stat().st_size for path in study.rglob("*.parquet"))
    assert len(found.metas) == 28
    assert measured.measure(stage(config, study, "replay")) is None


def test_the_page_tells_measured_from_estimated(config, paper, study):
    markdown, tex = make(config, paper, study)
    demos = line(markdown, "| demos")
    assert demos.split(" | ")[1:4] == ["1.000", "0.500", "1.0 GB"]
    assert demos.endswith("| sidecars |")
    assert line(markdown, "| rollouts of noop").split(" | ")[1] == "0.070"
    replay = line(markdown, "| replay")
    assert replay.endswith("| - | - | - | estimate |")
    assert f"*about {hours(costs.estimate(config)['replay'])}*" in replay
    assert line(markdown, "| table 1").endswith("| - | - | - | - | not run |")
    # 3,600 + 252 CPU-seconds and 1,800 + 504 seconds.
    together = line(markdown, "| **measured together (2 of")
    assert "**1.070** | **0.640** | **1.0 GB**" in together
    assert "| base: robot | *about " in markdown
    assert r"demos & 1.000 & 0.500 & 1.0 GB & " in tex


def test_a_missing_record_leaves_its_stage_to_the_estimate_and_no_other(config, paper, study):
    (study / "rollouts" / "noop" / "1" / "plate.parquet.meta.json").unlink()
    markdown, _ = make(config, paper, study)
    assert line(markdown, "| rollouts of noop").endswith("| estimate |")
    assert line(markdown, "| demos").endswith("| sidecars |")


def test_costs_of_other_settings_are_not_quoted(config, paper, study):
    other = load(CONFIGS / "smoke.yaml", {"seeds": [0, 1], "demos.noop_filter": "none"})
    markdown, _ = make(other, paper, study)
    assert line(markdown, "| demos").endswith("| estimate |")
    assert line(markdown, "| rollouts of noop").endswith("| sidecars |")


def test_a_job_without_sidecars_is_read_from_its_benchmark(config, study):
    table, benchmark = stage(config, study, "table 1"), study / "benchmarks" / "table1.tsv"
    for path in table.outputs:
        path.write_text("x" * 100)
    benchmark.parent.mkdir()
    benchmark.write_text(HEADER + "4.69\t0:00:04\t208.98\t1\t1\t1\t1\t1\t1\t4.19\n")
    found = measured.measure(table)
    assert (found.cpu_s, found.wall_s, found.memory_mib, found.disk) == (4.19, 4.69, 208.98, 300)
    benchmark.write_text(HEADER + "0.1\t0:00:00\tNA\t1\t1\t1\t1\t1\t1\tNA\n")
    with pytest.raises(UnblindError, match=r"table1\.tsv tells no costs"):
        measured.measure(table)


@pytest.mark.parametrize("value", [math.nan, -1.0, "9", None, True])
def test_a_damaged_sidecar_stops_the_page_and_not_the_list(config, paper, study, value):
    say(study / "demos" / "manifest.json", cpu_s=value)
    with pytest.raises(UnblindError, match=r"manifest\.json\.meta\.json tells no costs"):
        cost_page(config, paper, study, study / "costs")
    assert not list(study.glob("costs*"))
    assert "demos" in costs.report(config, study)
    assert costs.measure(config, study) == {"rollouts of noop": 252.0}


def test_the_same_artifacts_give_the_same_bytes(config, paper, study):
    first = make(config, paper, study)
    assert make(config, paper, study) == first
    meta = json.loads((study / "costs.md.meta.json").read_text())
    assert sum(name.endswith(".parquet.meta.json") for name in meta["inputs"]) == 28


# ---- paper scale -------------------------------------------------------------------------------


def constant(name):
    return next(one.value for one in CONSTANTS if one.name == name)


def vit(width, mlp, blocks, layer_scale):
    """Parameters of a ViT for 16 x 16 patches of 14 x 14 pixels, up to its last norm."""
    attention = 4 * width**2 + 4 * width
    block = attention + 2 * width * mlp + mlp + width + 4 * width + 2 * width * layer_scale
    return blocks * block + (3 * 14**2 + 1) * width + 256 * width + 2 * width


def test_the_parameters_are_those_of_openvla(paper):
    # A class token and four registers; an attention pool with its own latent, norm and MLP.
    assert constant("P_dinov2") == vit(1024, 4096, 24, 1) + 5 * 1024
    pool = 1152 + 4 * 1152**2 + 4 * 1152 + 2 * 1152 + 2 * 1152 * 4304 + 4304 + 1152
    assert constant("P_siglip") == vit(1152, 4304, 27, 0) + pool
    sizes = paper_scale.sizes(paper.base.model)
    projector = 2177 * 8704 + 8705 * 4096 + 4097 * 4096
    assert sizes.rest - projector == 6_738_415_616 + 2 * 64 * 4096  # Llama 2 and 64 more ids
    # The published weights are 15,082,474,368 bytes of bfloat16.
    assert 2 * sizes.parameters == 15_082_474_368
    assert (sizes.image, sizes.sequence) == (256, 288)


def test_the_adapters_and_projector_are_counted_as_released():
    parts = (79_953_920, 12_582_912, 15_399_936, 607_232, 1_019_904, 1_157_120, 107_264)
    assert constant("P_lora") == sum(parts)
    projector = 2 * 4096 + 4097 * 2048 + 2049 * 2048 + 2049 * 1024
    assert constant("P_align") == projector


def test_policy_calls(paper):
    assert paper_scale.ood_calls(paper) == 13 * 8 * 128 * 80 == 1_064_960
    assert paper_scale.vl_think_calls(paper) == 655_360


def test_gpu_hours_follow_from_the_formula(paper):
    needs = {need.name: need for need in paper_scale.needs(paper)}
    towers, rest = 730_911_680, 6_810_325_504
    call = 2 * (towers * 256 + rest * 288)
    rollouts = needs["rollouts of align"]
    assert rollouts.amount == "8 jobs of 143,360 policy calls"
    assert rollouts.gpu_s == pytest.approx(1_146_880 * call / (312e12 * 0.25))
    picture = (4 * towers + 2 * 320e6) * 256 + (4 * rest + 6 * 110_828_288) * 288
    training = needs["training of align"].gpu_s
    assert training == pytest.approx(8 * 60_000 * 8 * picture / (312e12 * 0.35))
    assert 80 * 3600 < training < 95 * 3600
    default, freeze = needs["training of default"].gpu_s, needs["training of freeze"].gpu_s
    assert default - freeze == pytest.approx(8 * 480_000 * 2 * towers * 256 / (312e12 * 0.35))
    rows = [need for name, need in needs.items() if name != "together" and "not in" not in name]
    assert needs["together"].gpu_s == pytest.approx(sum(need.gpu_s or 0 for need in rows))
    assert needs["rollouts of oracle"].gpu_s is None


def test_gpu_memory_agrees_with_the_released_remark(paper):
    # "48 GB hold a batch of 12, 80 GB one of 24": the slope is taken, the rest follows.
    weights = 2 * paper_scale.sizes(paper.base.model).parameters
    for batch, memory in ((12, 48e9), (24, 80e9)):
        assert weights + batch * constant("M_picture") == pytest.approx(memory, rel=0.02)
    need = {one.name: one for one in paper_scale.needs(paper)}["training of default"]
    assert size(need.gpu_bytes) == "36.4 GB"


def test_formula_constants_and_sources_stand_on_the_page(config, paper, study):
    markdown, tex = make(config, paper, study)
    assert "13 conditions x 8 seeds x 128 episodes x 80 steps = 1,064,960 policy calls" in markdown
    assert "655,360 for VL-Think" in markdown
    for one in CONSTANTS:
        assert one.source
        assert number(one.value) in line(markdown, f"| {one.name.replace('_', chr(92) + '_')} |")
    assert "GPU-hours = operations / (peak x utilisation) / 3,600." in markdown
    assert r"P\_dinov2 = 303,230,976" in tex


def test_a_small_model_has_no_formula(config, study):
    with pytest.raises(UnblindError, match="no cost formula for the tower 'lite0'"):
        cost_page(config, config, study, study / "costs")
    assert not (study / "costs.md").exists()


def test_numbers_are_short():
    assert [hours(s) for s in (None, 36, 36_000, 3.6e6)] == ["-", "0.010", "10.0", "1,000"]
    assert [size(b) for b in (None, 1500, 2.5e6, 3e9, 4e12)] == [
        *("-", "1.5 kB", "2.5 MB", "3.0 GB", "4.0 TB"),
    ]
    assert [number(v) for v in (32_064, 0.35, 312e12)] == ["32,064", "0.35", "3.12e+14"]
