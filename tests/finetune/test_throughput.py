"""Operations of a step as torch counts them, and peaks of GPUs."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from unblind.finetune import throughput


@dataclass(frozen=True)
class Feed:
    """Batches of sequences of noise, each of five tokens of width 8."""

    batch: int = 6
    part: int = 0
    parts: int = 1

    def __call__(self, step):
        return (torch.randn(self.batch // self.parts, 5, 8),)


class Learner(nn.Module):
    """A frozen and a trained matrix, then attention of one head."""

    def __init__(self):
        super().__init__()
        self.trained, self.frozen = nn.Linear(8, 4, bias=False), nn.Linear(4, 12, bias=False)
        self.frozen.requires_grad_(False)

    def forward(self, x):
        query, key, value = self.frozen(self.trained(x)).split(4, dim=-1)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return attended.sum(), {}


def test_operations_of_one_picture_are_those_of_its_matrices():
    learner = Learner()
    # Forward and the gradient of the weights; forward and that of the input; attention thrice.
    wanted = 5 * (2 * 2 * 8 * 4 + 2 * 2 * 4 * 12) + 3 * 4 * 5**2 * 4
    for parts in (1, 2):
        assert throughput.picture_operations(learner, Feed(parts=parts)) == wanted
    assert all(weight.grad is None for weight in learner.parameters())


def test_peaks_of_known_devices():
    assert throughput.peak("NVIDIA H200") == throughput.peak("NVIDIA H100 80GB HBM3") == 989.4e12
    assert throughput.peak("NVIDIA H100 PCIe") == 756e12
    assert throughput.peak("NVIDIA A100-SXM4-80GB") == 312e12
    assert throughput.peak("cpu") is None
