"""The token loss: weights, and soft targets among tokens that have an order."""

import models
import numpy as np
import pytest
import torch
from torch.nn import functional

from unblind.training.losses import TokenLoss
from unblind.vla.batch import Turn, collate

WORDS = models.VOCABULARY


def turn(prompt, answer, weights=None, family="question"):
    made = Turn.of(prompt, answer)
    return Turn(made.prompt, made.answer, weights or made.weights, family)


@pytest.fixture
def batch():
    action = [WORDS.actions[k] for k in (0, 1, 128, 200, 254, 255, 3)]
    place = [WORDS.locations[0], WORDS.locations[64]]
    weights = tuple(np.linspace(0.5, 4, 8))
    return collate([[turn([8], action, weights, "action"), turn([9], place)]])


@pytest.fixture
def logits(batch):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(batch.targets), WORDS.size, generator=generator)


def test_without_widths_it_is_the_weighted_cross_entropy(batch, logits):
    each = functional.cross_entropy(logits, batch.targets, reduction="none")
    wanted = (each * batch.weights).sum() / batch.weights.sum()
    assert TokenLoss(WORDS, 0, 0)(logits, batch).item() == pytest.approx(wanted.item(), abs=1e-6)
    equal = batch._replace(weights=torch.ones(len(batch.targets)))
    plain = functional.cross_entropy(logits, batch.targets)
    assert TokenLoss(WORDS, 0, 0)(logits, equal).item() == pytest.approx(plain.item(), abs=1e-6)


def test_narrow_soft_targets_are_the_hard_ones(batch, logits):
    hard, soft = TokenLoss(WORDS, 0, 0)(logits, batch), TokenLoss(WORDS, 0.05, 0.05)(logits, batch)
    assert soft.item() == pytest.approx(hard.item(), abs=1e-5)


def shares(loss):
    """Return what each target's probability is shared among: the gradient for even logits."""
    logits = torch.zeros(WORDS.size, WORDS.size, requires_grad=True)
    every = collate([[turn([8], [token])] for token in range(WORDS.size)])
    first = torch.arange(0, 2 * WORDS.size, 2)  # every second target is EOS
    every = every._replace(targets=every.targets[first], weights=every.weights[first])
    (loss(logits, every) * WORDS.size).backward()
    return 1 / WORDS.size - logits.grad


def test_soft_targets_sum_to_one_and_stay_among_their_kind():
    table = shares(TokenLoss(WORDS, 3.8, 1.0))
    torch.testing.assert_close(table.sum(1), torch.ones(WORDS.size), atol=1e-4, rtol=0)
    words = range(WORDS.locations.start)
    torch.testing.assert_close(table[words], torch.eye(WORDS.size)[words], atol=1e-5, rtol=0)
    for ids, width in ((WORDS.actions, 3.8), (WORDS.locations, 1.0)):
        inside = table[ids.start : ids.stop, ids.start : ids.stop]
        torch.testing.assert_close(inside.sum(1), torch.ones(len(ids)), atol=1e-4, rtol=0)
        middle = inside[64]
        assert middle.argmax() == 64
        # A Gaussian: one standard deviation away exp(-1/2) of the peak, here at whole bins.
        ratio = torch.exp(torch.tensor(-0.5 / width**2))
        assert middle[65] / middle[64] == pytest.approx(ratio.item(), abs=1e-4)
        assert middle[63] == pytest.approx(middle[65].item(), abs=1e-6)


def test_a_near_miss_costs_less_than_a_far_one():
    loss, target = TokenLoss(WORDS, 3.8, 1.0), WORDS.actions[100]
    batch = collate([[turn([8], [target])]])

    def cost(guess):
        logits = torch.zeros(2, WORDS.size)
        logits[0, guess] = 5
        return loss(logits, batch).item()

    assert cost(target) < cost(target + 2) < cost(target + 30)
