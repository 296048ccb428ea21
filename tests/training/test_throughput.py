"""Operations of a step as torch counts them, and peaks of GPUs."""

import torch
from torch import nn
from torch.nn import functional

from unblind.training import meter, throughput


def test_operations_are_those_of_matrices_and_attention():
    trained, frozen = nn.Linear(8, 4, bias=False), nn.Linear(4, 12, bias=False)
    frozen.requires_grad_(False)

    def loss():
        query, key, value = frozen(trained(torch.randn(2, 5, 8))).split(4, dim=-1)
        return functional.scaled_dot_product_attention(query, key, value).sum()

    # Forward and the gradient of the weights; forward and that of the input; attention thrice.
    wanted = 2 * (5 * (2 * 2 * 8 * 4 + 2 * 2 * 4 * 12) + 3 * 4 * 5**2 * 4)
    assert throughput.operations(loss, trained.parameters()) == wanted
    assert trained.weight.grad is None


def test_peaks_of_known_devices():
    assert meter.peak("NVIDIA H200") == meter.peak("NVIDIA H100 80GB HBM3") == 989.4e12
    assert meter.peak("NVIDIA H100 PCIe") == 756e12
    assert meter.peak("NVIDIA A100-SXM4-80GB") == 312e12
    assert meter.peak("cpu") is None
