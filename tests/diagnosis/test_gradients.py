"""Gradients of two losses: their cosine where it is known, and those of a model's two losses."""

from pathlib import Path

import models
import numpy as np
import pytest
import torch
from torch import nn

from unblind.align.objective import Objective
from unblind.config import load
from unblind.diagnosis import gradients
from unblind.diagnosis.gradients import Losses, conflict
from unblind.training.feed import Inputs
from unblind.training.losses import TokenLoss
from unblind.vla import lora
from unblind.vla.batch import Turn, collate

MINI = load(Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml")


def cosine(first, second):
    return float(first @ second / (first.norm() * second.norm()))


def test_only_weights_that_both_losses_reach_count():
    shared, own = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([7.0]))
    # Gradients on the shared weights: (1, 0) and (1, 1), at 45 degrees.
    found = conflict([shared[0] + own[0], shared.sum()], [shared, own])
    assert [len(one) for one in found] == [2, 2]
    assert cosine(*found) == pytest.approx(0.5**0.5)
    against = conflict([shared[0], -2 * shared[0]], [shared, own])
    assert cosine(*against) == pytest.approx(-1)


def test_a_loss_that_reaches_no_weight_shares_none():
    weight = nn.Parameter(torch.tensor([1.0]))
    first, second = conflict([weight.sum(), torch.tensor(2.0)], [weight])
    assert len(first) == len(second) == 0
    assert np.isnan(cosine(first, second))


@pytest.fixture
def inputs():
    """Two frames of grey levels with one action each, and a teacher's tokens of width 8."""
    generator = torch.Generator().manual_seed(0)
    model, words = models.small(), models.VOCABULARY
    pixels = torch.randn(
        2, 3, model.config.image_size, model.config.image_size, generator=generator
    )
    prompt = words.action_prompt("put carrot on plate")
    turns = [[Turn(prompt, (words.actions[k],) * 7, (1.0,) * 7, "action")] for k in (3, 200)]
    teacher = torch.randn(2, model.config.grid**2, 8, generator=generator)
    return model, Inputs(model.vision_backbone.low(pixels), collate(turns), teacher)


def losses(model, loss="cosine", vision=True, layers=(1,)):
    align = MINI.training.align.model_copy(update={"layers": list(layers), "loss": loss})
    objective = Objective(align, 0, model.config.widths, 8).eval()
    wrapped = lora.add_lora(model, vision=vision, seed=0, rank=4, alpha=2)
    weights = [weight for weight in wrapped.parameters() if weight.requires_grad]
    token_loss = TokenLoss(models.VOCABULARY, 0.0, 0.0)
    return Losses(wrapped.get_base_model().eval(), token_loss, objective, weights)


def test_a_batch_tells_both_losses_and_leaves_the_weights(inputs):
    model, batch = inputs
    measured = losses(model)
    before = [weight.clone() for weight in measured.weights]
    (row,) = gradients.record(measured, [batch], 1, 0.0).to_pylist()
    assert (row["batch"], row["n"]) == (0, 2)
    # The loss "cosine" is minus the similarity, of one layer.
    assert row["alignment"] == pytest.approx(-row["similarity"], abs=1e-6)
    assert -1 <= row["cosine"] <= 1 and row["action_norm"] > 0 and row["alignment_norm"] > 0
    assert all(torch.equal(a, b) for a, b in zip(before, measured.weights, strict=True))
    assert all(weight.grad is None for weight in measured.weights)


def test_similarity_is_the_same_measure_whatever_the_loss(inputs):
    model, batch = inputs
    by_cosine = losses(model).of(batch)
    by_l2 = losses(models.small(), "l2").of(batch)
    assert by_l2["similarity"] == pytest.approx(by_cosine["similarity"])
    assert by_l2["alignment"] != pytest.approx(by_cosine["alignment"])


def test_frozen_towers_share_nothing_with_an_alignment_of_the_encoder(inputs):
    model, batch = inputs
    row = losses(model, vision=False, layers=(0,)).of(batch)
    assert np.isnan(row["cosine"]) and row["similarity"] == pytest.approx(-row["alignment"])
