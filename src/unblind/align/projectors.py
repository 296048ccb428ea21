"""Maps from the decoder's width to the teacher's, by name (paper, appendix A.6)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import orthogonal

from unblind.errors import UnblindError

DROPOUT = 0.1
#: Of the covariance in `Whitening`: share of the multiple of the identity, and least variance.
SHRINKAGE, _LEAST_VARIANCE = 0.1, 1e-6

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
        x = self.dropout(functional.silu(self.fc1(self.norm(tokens))))
        x = self.dropout(functional.silu(self.fc2(x)))
        return self.fc3(x)


# The paper names the following six and gives a formula each (appendix A.6); none is released. What
# the formulas leave open is said where it is decided. They have no hidden layer.


@register("cosine")
class Cosine(nn.Module):
    """Normalised linear map: P(h)_k = cos(w_k, h), each output in [-1, 1]."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Linear(inputs, outputs, bias=False).weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        directions = functional.normalize(self.weight, dim=-1)
        return functional.normalize(tokens, dim=-1) @ directions.T


@register("orthproj")
def orthproj(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """Return the orthogonal map P(h) = W h: W^T W = I, or W W^T = I where it narrows.

    Training moves along such matrices alone (torch's ``orthogonal`` parametrisation). Of its maps,
    Cayley's: that of Householder keeps signs among the weights, which weight decay would destroy.
    """
    return orthogonal(nn.Linear(inputs, outputs, bias=False), orthogonal_map="cayley")


@register("film")
class FiLM(nn.Module):
    """Feature-wise linear modulation (Perez et al. 2018): P(h) = (1 + G c) * (W h) + B c.

    The condition c is the mean of the picture's tokens, our choice. ``tokens`` are (..., n, inputs)
    of one picture each.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.scale, self.shift = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., n, inputs) to (..., n, outputs)."""
        condition = tokens.mean(-2, keepdim=True)
        return (1 + self.scale(condition)) * self.linear(tokens) + self.shift(condition)


@register("rff")
class RandomFourierFeatures(nn.Module):
    """P(h) = sqrt(2 / D) cos(W LN(h) + b) (Rahimi and Recht 2007), D outputs.

    W is drawn from N(0, 1 / inputs) and b from U(0, 2 pi): a Gaussian kernel as wide as the
    distance of two normalised tokens. The norm is ours; without it the width had to be chosen.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs, elementwise_affine=False)
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / math.sqrt(inputs))
        self.phase = nn.Parameter(torch.rand(outputs) * 2 * math.pi)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        angle = functional.linear(self.norm(tokens), self.weight, self.phase)
        return math.sqrt(2 / len(self.phase)) * angle.cos()


@register("whitening")
class Whitening(nn.Module):
    """Whitening, then an affine map: P(h) = W L^-1 (h - m) + b with L L^T = C (Kessy et al. 2018).

    Mean m and covariance C are those of the tokens at hand. C is shrunk towards a multiple of the
    identity by `SHRINKAGE`, our choice: there may be fewer tokens than channels.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        flat = _widened(tokens.flatten(0, -2))
        centered = flat - flat.mean(0)
        covariance = centered.T @ centered / len(flat)
        size = covariance.diagonal().mean() + _LEAST_VARIANCE
        identity = torch.eye(len(covariance), dtype=flat.dtype, device=flat.device)
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * size * identity
        root = torch.linalg.cholesky(shrunk)
        white = torch.linalg.solve_triangular(root, centered.T, upper=False).T
        return self.linear(white.to(tokens.dtype).view(tokens.shape))


@register("spectral")
class Spectral(nn.Module):
    """Linear map of spectral norm 1: P(h) = W h / s(W) + b (Miyato et al. 2018).

    The largest singular value s is computed, not estimated by power iteration, whose state a
    training that goes on after an interruption would lack.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        weight = self.linear.weight
        largest = torch.linalg.matrix_norm(_widened(weight), ord=2).to(weight)
        return functional.linear(tokens, weight / largest, self.linear.bias)


def _widened(x: Tensor) -> Tensor:
    """Return a tensor of a precision in which matrices can be factored."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


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
