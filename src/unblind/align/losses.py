"""Distances between projected student tokens and teacher tokens, by name; less is more alike."""

from collections.abc import Callable

import torch
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


def l2(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference over batch, tokens and channels (paper, table 8: "L2").

    The paper does not say how it is normalised.

    Args:
        student: (B, n, z) projected tokens.
        teacher: (B, n, z).
    """
    return functional.mse_loss(student, teacher)


def info_nce(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross-entropy of finding each student token's own teacher token among all.

    That is InfoNCE (van den Oord et al. 2018) in the form of NT-Xent (Chen et al. 2020), the
    paper's "InfoNCE (NT-Xent)": -log softmax of cos(student, teacher) / `TEMPERATURE` over the
    B n teacher tokens at hand. A student token of length zero chooses at random: log(B n).

    Args:
        student: (B, n, z) projected tokens.
        teacher: (B, n, z).
    """
    students, teachers = (functional.normalize(x.flatten(0, 1), dim=-1) for x in (student, teacher))
    own = torch.arange(len(students), device=student.device)
    return functional.cross_entropy(students @ teachers.T / TEMPERATURE, own)


LOSSES: dict[str, Loss] = {"cosine": cosine, "l2": l2, "info_nce": info_nce}
#: Of InfoNCE; Chen et al. 2020 find 0.1 best, the paper does not say its own.
TEMPERATURE = 0.1


def get_loss(name: str) -> Loss:
    """Return the loss ``name``.

    Raises:
        UnblindError: there is no such loss.
    """
    if name not in LOSSES:
        raise UnblindError(f"no alignment loss called {name!r}", f"use {', '.join(sorted(LOSSES))}")
    return LOSSES[name]
