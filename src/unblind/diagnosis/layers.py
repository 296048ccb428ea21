"""A model's visual tokens after each of its parts: tower, projector, and every decoder block.

Visual tokens stand before the text, and the decoder is causal: what it makes of them depends on
the picture alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from unblind.vla.checkpoint import Checkpoint
from unblind.vla.prismatic import Prismatic, Text

_BATCH = 32


def sites(model: Prismatic) -> tuple[str, ...]:
    """Return the names of the places at which visual tokens are taken, first to last.

    ``tower``, ``projector`` (with the position table added) and ``block 1`` to ``block L``; the
    last block's tokens are behind the decoder's final norm.
    """
    return ("tower", "projector", *(f"block {n + 1}" for n in range(model.config.layers)))


def visual_tokens(loaded: Checkpoint, images: Sequence[np.ndarray]) -> Iterator[dict[str, Tensor]]:
    """Yield, for one batch of pictures after another, the tokens (B, n, width) at each site.

    Args:
        loaded: the model.
        images: (H, W, 3) uint8 each, all of one size.
    """
    model = loaded.model.eval()
    for start in range(0, len(images), _BATCH):
        pixels = loaded.pixels.training(np.stack(images[start : start + _BATCH]))
        with torch.no_grad():
            low = model.vision_backbone.low(pixels)
            none = torch.zeros(len(low), 0, dtype=torch.long)
            states = model.hidden(low, Text(none, none, none), layers=True)
            tokens = (model.vision_backbone(low), *(state[:, 1:] for state in states))
        yield dict(zip(sites(model), tokens, strict=True))
