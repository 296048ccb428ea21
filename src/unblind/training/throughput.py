"""How many operations a training step has, counted by torch while it runs."""

from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def operations(loss: Callable[[], Tensor], parameters: Iterable[nn.Parameter]) -> int:
    """Return the operations of a forward and backward pass, which changes nothing.

    Attention takes its plain form, for torch cannot look into the fused kernels of a CPU. What
    gradient checkpointing computes twice counts twice.

    Args:
        loss: computes what is differentiated, inputs included.
        parameters: whose gradients are thrown away.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss().backward()
    for parameter in parameters:
        parameter.grad = None
    return counter.get_total_flops()
