"""Models of a few thousand weights, with the modules of the real ones."""

from pathlib import Path

import numpy as np
import torch

from unblind.vla import lora
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.lite import load_lite
from unblind.vla.pixels import Squeezed
from unblind.vla.prismatic import Prismatic, PrismaticConfig
from unblind.vla.text import BOS, Words
from unblind.vla.tokens import ActionNormalizer
from unblind.vla.towers import sized

WORDS = (
    "put {object} on {plate}",
    "carrot plate cube",
    "where is the gripper holding robot yes no",
)
VOCABULARY = Words.build(WORDS)
#: A normaliser of motions up to 2 cm and 0.1 rad.
STATISTICS = ActionNormalizer(
    *((sign * 0.02,) * 3 + (sign * 0.1,) * 3 + (sign * 1.0,) for sign in (-1, 1, -1, 1))
)
SMALL = {
    "towers": ("lite0",),
    "image_size": 64,
    "frozen_blocks": 5,
    "projector_width": 48,
    "hidden_size": 32,
    "layers": 2,
    "heads": 2,
    "intermediate_size": 64,
    "vocab_size": VOCABULARY.size,
    "padded": 0,
    "bos": BOS,
    "position_scale": 0.5,
    "rms_norm_eps": 1e-6,
    "max_positions": 128,
}
OPENVLA = {
    "towers": ("dinov2", "siglip"),
    "image_size": 224,
    "frozen_blocks": 0,
    "projector_width": 8704,
    "hidden_size": 4096,
    "layers": 32,
    "heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32064,
    "padded": 64,
    "bos": 1,
    "position_scale": 0.0,
    "rms_norm_eps": 1e-6,
    "max_positions": 2048,
}


def small(seed: int = 0, **changes) -> Prismatic:
    """Return a two-layer model with EfficientNet-Lite0's first blocks as tower (4 x 4 tokens).

    The decoder's weights are larger than usual, so that every token depends on all before it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Prismatic(PrismaticConfig(**{**SMALL, **changes}))
        with torch.no_grad():
            for weight in model.language_model.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, 0.25)
    tower = model.vision_backbone.featurizer
    tower.load_state_dict(load_lite("lite0", len(tower.blocks)).state_dict())
    return model.eval()


def adapter_weights(model: Prismatic, rank: int, vision: bool) -> int:
    """Return the number of adapter weights by formula: the sum of rank * (inputs + outputs)."""
    modules = lora.target_modules(model, vision)
    shapes = lora.shapes(model, modules, rank).values()
    return sum(torch.Size(shape).numel() for shape in shapes)


#: A model of OpenVLA's layout with two blocks a tower.
TINY_OPENVLA = SMALL | {
    "towers": tuple(
        sized(name, {"depth": 2, "embed_dim": width, "num_heads": 2})
        for name, width in (("dinov2", 32), ("siglip", 24))
    ),
    "image_size": 28,
    "frozen_blocks": 0,
    "padded": 8,
    "position_scale": 0.0,
}


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    """Return (count, 3, 64, 64) pictures of coloured squares."""
    coarse = np.random.default_rng(seed).random((count, 3, 8, 8), np.float32)
    return torch.from_numpy(coarse.repeat(8, axis=2).repeat(8, axis=3))


def loaded(seed: int = 0) -> Checkpoint:
    """Return the small model as if it had been read from a folder."""
    statistics = {"own": STATISTICS.to_release()}
    return Checkpoint(small(seed), VOCABULARY, Squeezed(64), statistics, Path("nowhere"))
