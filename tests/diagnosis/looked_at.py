"""Made-up frames, and models of both scales that look at them."""

from pathlib import Path

import models
import numpy as np
import pandas as pd
import torch

from unblind.diagnosis.frames import PARTS, Frames
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.pixels import Released
from unblind.vla.prismatic import Prismatic, PrismaticConfig


def frames(count: int = 4, seed: int = 0) -> Frames:
    """Return frames of noise, the object in the left upper quarter's corner, two an episode."""
    rng = np.random.default_rng(seed)
    segments = np.zeros((count, 48, 64), np.uint8)
    segments[:, 2:10, 3:13] = PARTS.index("object")
    segments[:, 30:46, 40:60] = PARTS.index("plate")
    segments[:, :20, 50:] = PARTS.index("robot")
    rows = pd.DataFrame(
        {
            "frame": np.arange(count, dtype=np.int32),
            "condition": ["in_distribution", "plate"] * (count // 2),
            "episode_id": np.arange(count) // 2,
            "moment": "start",
            "step": 0,
            "object": ["carrot", "cube"] * (count // 2),
            "plate": "plate",
            "instruction": ["put carrot on plate", "put cube on plate"] * (count // 2),
            "object_xyz": [np.array([-0.16, 0.0, 0.87])] * count,
            "action": [np.array([0.01, -0.01, 0.0, 0, 0, 0, 1], np.float32)] * count,
        }
    )
    return Frames(rows, rng.integers(0, 256, (count, 48, 64, 3), dtype=np.uint8), segments)


def openvla(seed: int = 0) -> Checkpoint:
    """Return a tiny model of OpenVLA's layout: two vision transformers, three-layer projector."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Prismatic(PrismaticConfig(**models.TINY_OPENVLA)).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, 0.2)
    pixels = Released(28, ((0.5,) * 3,) * 2, ((0.25,) * 3,) * 2)
    statistics = {"own": models.STATISTICS.to_release()}
    return Checkpoint(model, models.VOCABULARY, pixels, statistics, Path("nowhere"))


#: Both scales.
CHECKPOINTS = {"mini": models.loaded, "openvla": openvla}
