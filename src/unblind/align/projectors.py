"""Maps from the decoder's width to the teacher's, by name (paper, appendix A.6)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unblind.errors import UnblindError

DROPOUT = 0.1

Factory = Callable[[int, int, int], nn.Module]
PROJECTORS: dict[str, Factory] = {}
"""Name -> factory of (inputs, hidden, outputs); filled by :func:`register`."""


def register(name: str) -> Callable[[Factory], Factory]:
    """Enter a projector class or function under ``name``."""

    def enter(factory: Factory) -> Factory:
        PROJECTORS[name] = factory
        return factory

    return enter


@register("mlp")
class MLP(nn.Module):
    """Paper's "MLP Ln&D": P(h) = W3 s(W2 s(W1 LN(h) + b1) + b2) + b3 with s = dropout of SiLU.

    Released file ``finetune_align.py``: LayerNorm(d), Linear(d, 2048), SiLU, Dropout 0.1,
    Linear(2048, 2048), SiLU, Dropout 0.1, Linear(2048, teacher width). The release sets no seed;
    :func:`make_projector` does.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, outputs)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        x = self.dropout(nn.functional.silu(self.fc1(self.norm(tokens))))
        x = self.dropout(nn.functional.silu(self.fc2(x)))
        return self.fc3(x)


class Frozen(nn.Module):
    """A projector without gradients and always in evaluation mode (no dropout), as released."""

    def __init__(self, projector: nn.Module) -> None:
        super().__init__()
        self.projector = projector.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Frozen":
        """Stay in evaluation mode whatever ``mode`` says."""
        return super().train(False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return self.projector(tokens)


def make_projector(
    name: str, inputs: int, hidden: int, outputs: int, seed: int, frozen: bool = True
) -> nn.Module:
    """Return the projector ``name`` with random weights of its own seed.

    Args:
        name: a key of ``PROJECTORS``.
        inputs: width of the decoder.
        hidden: width in between (paper: 2048, half of the decoder's).
        outputs: width of the teacher.
        seed: of the weights.
        frozen: keep the weights as drawn (the paper's best) or train them.

    Raises:
        UnblindError: there is no such projector.
    """
    if name not in PROJECTORS:
        raise UnblindError(f"no projector called {name!r}", f"use {', '.join(sorted(PROJECTORS))}")
    with torch.random.fork_rng(devices=[]):  # layers know no other generator
        torch.default_generator.manual_seed(seed)
        projector = PROJECTORS[name](inputs, hidden, outputs)
    return Frozen(projector) if frozen else projector
