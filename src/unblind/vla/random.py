"""Models with random weights: twins of published checkpoints, and full-size ones for timing.

The weights are made where they will be used, so that a full-size model costs no download and no
copy. They are drawn so that signals keep their size from layer to layer and every input matters.
"""

import torch
from torch import Tensor

from unblind.vla import loading
from unblind.vla.prismatic import Prismatic, PrismaticConfig


def model(
    sizes: PrismaticConfig,
    seed: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
) -> Prismatic:
    """Return a model with random weights, in evaluation mode and without gradients.

    The same arguments give the same weights on the same kind of device.
    """
    made = loading.blank(sizes).to(dtype).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            fill(name, weight, generator)
    loading.restore_rotations(made, device)
    return made


def fill(name: str, weight: Tensor, generator: torch.Generator) -> None:
    """Draw one weight in place by the part it plays.

    Args:
        name: of the weight, which tells biases, norms and LayerScale apart.
        weight: any shape.
        generator: on the weight's device.
    """
    if name.endswith(".bias"):
        weight.normal_(0, 0.1, generator=generator)
    elif "norm" in name or name.endswith((".gamma", ".scale_factor")):
        weight.normal_(0, 0.1, generator=generator).add_(1)
    elif weight.dim() < 2 or "embed_tokens" in name or name.endswith(("_token", "pos_embed")):
        weight.normal_(0, 1, generator=generator)
    else:
        weight.normal_(0, weight[0].numel() ** -0.5, generator=generator)
