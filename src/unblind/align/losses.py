"""Distances between projected student tokens and teacher tokens, by name; less is more alike."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from unblind.errors import UnblindError

Loss = Callable[[Tensor, Tensor], Tensor]


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Return -mean cos(student, teacher) over batch and tokens, in [-1, 1] (paper, section 5).

    A student token of length zero counts 0, as in the release.

    Args:
        student: (B, n, z) projected tokens.
        teacher: (B, n, z).
    """
    return -functional.cosine_similarity(student, teacher, dim=-1).mean()


LOSSES: dict[str, Loss] = {"cosine": cosine}


def get_loss(name: str) -> Loss:
    """Return the loss ``name``.

    Raises:
        UnblindError: there is no such loss.
    """
    if name not in LOSSES:
        raise UnblindError(f"no alignment loss called {name!r}", f"use {', '.join(sorted(LOSSES))}")
    return LOSSES[name]
