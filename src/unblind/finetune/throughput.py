"""How many operations a training step has, and how many a GPU can do.

Operations are counted by torch while a step runs. What gradient checkpointing computes twice is
counted twice.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from unblind.finetune.feed import Feed

#: Dense bfloat16 operations a second by a part of the device's name (NVIDIA's data sheets).
PEAKS = {
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "L40S": 362e12,
}


def peak(device: str) -> float | None:
    """Return the peak of a device, operations a second; None where it is not known."""
    return next((value for name, value in PEAKS.items() if name in device), None)


def picture_operations(learner: nn.Module, feed: "Feed") -> int:
    """Return the operations of one picture in a training step, the teacher's included.

    The step is run on one picture and changes nothing. Attention takes its plain form, for torch
    cannot look into the fused kernels of a CPU.

    Args:
        learner: returns a loss and numbers of the log.
        feed: the learner's arguments at a step.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        learner(*replace(feed, batch=feed.parts)(0))[0].backward()
    learner.zero_grad(set_to_none=True)
    return counter.get_total_flops()
