"""What stages are expected to take, against sizes counted by hand."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.costs import formulas, measured
from unblind.costs.need import size
from unblind.costs.paper_scale import VALUES
from unblind.study.stages import STAGES

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"
TOWERS, REST, LORA = 730_911_680, 6_810_325_504, 110_828_288


@pytest.fixture
def paper():
    return load(CONFIGS / "paper.yaml")


def test_gpu_hours_follow_from_the_formula(paper):
    each = formulas.needs(paper)
    call = 2 * (TOWERS * 256 + REST * 288)
    rollouts = each["rollout of align"].times(8)
    assert rollouts.amount == "8 jobs of 143,360 policy calls"
    assert rollouts.gpu_s == pytest.approx(1_146_880 * call / (312e12 * 0.25))
    picture = (4 * TOWERS + 2 * 320e6) * 256 + (4 * REST + 6 * LORA) * 288
    align = each["training of align"].gpu_s
    assert align == pytest.approx(60_000 * 8 * picture / (312e12 * 0.35))
    assert 80 * 3600 < 8 * align < 95 * 3600
    default, freeze = (each[f"training of {name}"].gpu_s for name in ("default", "freeze"))
    assert default - freeze == pytest.approx(480_000 * 2 * TOWERS * 256 / (312e12 * 0.35))
    assert each["rollout of oracle"].gpu_s is None


def test_models_of_others_are_asked_and_looked_into(paper):
    each = formulas.needs(paper)
    # Eight domains with 24 frames, at most twelve questions to each, and to a grey one.
    prompts, tokens = 8 * 24 * 12 * 2, 17 * 23 + 64
    asked = each["answerer answers of qwen2_5-7b"]
    assert asked.amount == f"{prompts:,} prompts"
    assert asked.gpu_s == pytest.approx(prompts * 2 * 8.3e9 * tokens / (312e12 * 0.25))
    assert asked.gpu_bytes == pytest.approx(1.2 * 2 * 8.3e9)
    # Five conditions with ten episodes of four frames, with two prompts each; of one tile.
    looked = each["answerer attention of internvl3_5-8b"]
    assert looked.gpu_s == pytest.approx(2 * 200 * 2 * 8.5e9 * (256 + 64) / (312e12 * 0.25))
    assert each["answerer of qwen2_5-7b"].disk == pytest.approx(16.6e9)
    assert "answerer of ovis2_5-2b" not in each


def test_gpu_memory_agrees_with_the_released_remark(paper):
    # "48 GB hold a batch of 12, 80 GB one of 24": the slope is taken, the rest follows from the
    # weights and the released adapters, 8 bytes a weight.
    for batch, memory in ((12, 48e9), (24, 80e9)):
        weights = 2 * (TOWERS + REST) + 8 * LORA
        assert weights + batch * VALUES["M_picture"] == pytest.approx(memory, rel=0.001)
    # In float32 adapters take 16: 15.08 + 1.77 + 21.33.
    assert size(formulas.needs(paper)["training of default"].gpu_bytes) == "38.2 GB"


def test_a_small_study_needs_no_gpu_and_as_many_units_as_the_configuration_says():
    config = load(CONFIGS / "mini.yaml")
    each = formulas.needs(config)
    assert all(need.gpu_s is None for need in each.values())
    more = load(CONFIGS / "mini.yaml", {"demos.successes": config.demos.successes + 100})
    further = formulas.needs(more)["demos"].cpu_s - each["demos"].cpu_s
    assert further == pytest.approx(100 * STAGES["demos"].unit_cpu_s)


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("rebuild_base", [True, False])
def test_every_stage_has_a_formula(scale, rebuild_base):
    config = load(CONFIGS / f"{scale}.yaml", {"rebuild_base": rebuild_base})
    assert measured.lines(config).keys() <= formulas.needs(config).keys()


def test_jobs_may_run_as_long_as_the_formula_expects(paper):
    """On a GPU half as fast, too: two to one, or a quarter of an hour for what takes seconds."""
    stages = {"training": "training of align", "rollout": "rollout of align", "demos": "demos"}
    stages |= {"replay": "replay", "pictures": "pictures"}
    stages |= {"warm_up_demos": "warm up demos", "warm_up": "warm up"}
    stages |= {"rollout_scripted": "rollout of oracle"}
    each = formulas.needs(paper)
    for rule, stage in stages.items():
        seconds = max(each[stage].gpu_s or 0.0, each[stage].cpu_s or 0.0)
        assert 60 * paper.cluster.job(rule).minutes >= max(900, 2 * seconds), rule
