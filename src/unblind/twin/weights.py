"""Random weights of a tiny twin, the same for the same seed."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from unblind.weights import Shape


def random_tensors(shapes: Mapping[str, Shape], seed: int) -> dict[str, Tensor]:
    """Return a float32 tensor for every name.

    Matrices, convolutions and tables are normal with deviation 1 / sqrt(inputs); vectors are
    near 0 where they are a bias and near 1 elsewhere (norms, scales). A tensor depends on seed
    and name alone, not on the others.
    """
    return {name: _random(name, shape, seed) for name, shape in shapes.items()}


def _random(name: str, shape: Shape, seed: int) -> Tensor:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
    values = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return values * values[0].numel() ** -0.5
    return 0.1 * values + (0.0 if name.endswith("bias") else 1.0)
