"""The released recipe beside ours: number format, count and place of what is trained."""

import json

import commands
import models
import pytest
import small_study
import torch
from safetensors.torch import load_file

from unblind.config import load
from unblind.errors import UnblindError
from unblind.training import finetune, loop, state
from unblind.vla.prismatic import Prismatic, PrismaticConfig

#: Counted by hand from the published sizes: rank 32 on all linear layers, the output head and the
#: patch embeddings of both towers (released ``finetune_align.py`` with its PEFT version).
TRAINED = {
    "language_model.model.": 79_953_920,
    "language_model.lm_head.": 1_157_120,
    "projector.": 1_019_904,
    "vision_backbone.featurizer.blocks.": 12_582_912,
    "vision_backbone.fused_featurizer.blocks.": 15_399_936,
    "vision_backbone.fused_featurizer.attn_pool.": 607_232,
    "patch_embed.": 107_264,
}


@pytest.fixture(params=["corrected", "released"])
def recipe(request):
    return request.param


@pytest.fixture
def wrapped(recipe):
    """Return OpenVLA-7B with adapters, no weight of it in memory."""
    with torch.device("meta"):
        model = Prismatic(PrismaticConfig(**models.OPENVLA)).to(torch.bfloat16)
    config = load(small_study.PAPER, {"training.recipe": recipe})
    with torch.device("meta"):
        return finetune.adapt(model, vision=True, seed=0, training=config.training)


def test_the_published_number_of_weights_is_trained(wrapped):
    sizes = {n: w.numel() for n, w in wrapped.named_parameters() if w.requires_grad}
    found = {part: sum(s for n, s in sizes.items() if part in n) for part in TRAINED}
    assert found == TRAINED
    assert sum(sizes.values()) == sum(TRAINED.values()) == 110_828_288


def test_the_release_trains_bfloat16_and_we_float32(wrapped, recipe):
    kinds = {w.dtype for w in wrapped.parameters() if w.requires_grad}
    assert kinds == {torch.bfloat16 if recipe == "released" else torch.float32}
    assert {w.dtype for w in wrapped.parameters() if not w.requires_grad} == {torch.bfloat16}


def test_a_small_step_is_lost_in_bfloat16_alone():
    """A weight of 1 cannot take a step of 1e-3 in bfloat16: there is no float32 copy of it."""
    config = load(small_study.PAPER, {"training.schedule.rate": 1e-3})
    schedule = finetune.schedule(config.training, config.training.schedule)
    moved = {}
    for kind in (torch.bfloat16, torch.float32):
        weight = torch.nn.Parameter(torch.ones(4, dtype=kind))
        optimizer = loop.make_optimizer({"w": weight}, schedule)
        optimizer.param_groups[0]["lr"] = schedule.at(0)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        moved[kind] = float((weight.detach() - 1).abs().max())
        assert optimizer.state[weight]["exp_avg"].dtype == kind
    assert moved[torch.bfloat16] == 0
    assert moved[torch.float32] == pytest.approx(1.01e-3, rel=1e-3)  # the step and the decay


def test_the_published_optimiser():
    config = load(small_study.PAPER)
    schedule = finetune.schedule(config.training, config.training.schedule)
    weight = torch.nn.Parameter(torch.ones(1))
    group = loop.make_optimizer({"w": weight}, schedule).param_groups[0]
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-8, 0.01)
    assert {schedule.at(step) for step in (0, 1, 30_000, 59_999)} == {5e-4}
    assert schedule.steps == 60_000 and schedule.clip == float("inf")
    assert config.training.schedule.batch == 8


def test_a_whole_run_in_bfloat16(published, recipe, tmp_path):
    changes = {"training.recipe": recipe, "training.precision": "bfloat16"}
    published.train("align", tmp_path, **changes)
    kinds = {weight.dtype for weight in load_file(tmp_path / state.FILE).values()}
    assert kinds == {torch.bfloat16 if recipe == "released" else torch.float32}
    lines = (tmp_path / "training.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["gradient_norm"] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"training.precision": "float32", "training.recipe": "released"}, "'released' means bf"),
        ({"training.gpus": 3}, r"batch \(8\) cannot be shared by training.gpus \(3\)"),
        ({"base.warm_up.batch": 1}, r"base.warm_up.batch \(1\) must be at least 2"),
        ({"training.loss.action_width": 2.0}, "action_width and location_width must be 0"),
        ({"training.betas": [0.9, 1.0]}, "less than 1"),
        ({"training.augmentation.hew": 1}, "unknown key 'training.augmentation.hew'.*'hue'"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, words):
    with pytest.raises(UnblindError, match=words):
        load(small_study.PAPER, change)


@pytest.mark.parametrize(
    "change",
    [
        {"training.precision": "bfloat16"},
        {"training.augmentation": load(small_study.PAPER).training.augmentation.model_dump()},
    ],
)
def test_stored_features_are_of_unchanged_pictures_in_float32(change):
    with pytest.raises(UnblindError, match=r"without base\.source"):
        load(commands.SMOKE, change)
