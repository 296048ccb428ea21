"""The plane of weights through a base and two models that were fine-tuned from it.

A change of weights is a vector of all weights that differ from the base's. The two models' changes
span the plane; its coordinates (x, y) are lengths along an orthonormal basis, made of them in their
order (Gram and Schmidt): the base lies at (0, 0), the first model at (its length, 0). Only inner
products are needed for that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from unblind.errors import UnblindError

#: By name of the weight, how it differs from the base's.
Change = Mapping[str, Tensor]
#: Two changes whose directions differ by less (sine of their angle) span no plane.
_LEAST_SINE = 1e-4


def change(base: nn.Module, model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a model minus those of its base, by name.

    Weights that are the same, bit for bit, are absent.
    """
    start = base.state_dict()
    return {
        name: weight - start[name]
        for name, weight in model.state_dict().items()
        if not torch.equal(weight, start[name])
    }


def inner(first: Change, second: Change) -> float:
    """Return the inner product of two changes, summed in float64."""
    shared = first.keys() & second.keys()
    products = ((first[n].double() * second[n].double()).sum() for n in sorted(shared))
    return float(sum(products, torch.zeros((), dtype=torch.float64)))


@dataclass(frozen=True)
class Plane:
    """All weights that are the base's plus ``a`` times the first change plus ``b`` the second.

    Attributes:
        first, second: changes of the two models.
    """

    first: Change
    second: Change

    def __post_init__(self) -> None:
        """Check that they span a plane.

        Raises:
            UnblindError: a model is the base itself, or one change is a multiple of the other.
        """
        longest = inner(self.second, self.second) ** 0.5
        if not self.length or not longest or self.height < _LEAST_SINE * longest:
            raise UnblindError(
                "the base and the two runs lie on one line and span no plane",
                "name two different trained runs as landscape.runs",
            )

    @cached_property
    def length(self) -> float:
        """Length of the first change: x of the first model."""
        return inner(self.first, self.first) ** 0.5

    @cached_property
    def foot(self) -> float:
        """Length of the second change along the first one: x of the second model."""
        return inner(self.first, self.second) / self.length if self.length else 0.0

    @cached_property
    def height(self) -> float:
        """Length of the second change across the first one: y of the second model."""
        return max(inner(self.second, self.second) - self.foot**2, 0.0) ** 0.5

    def place(self, a: float, b: float) -> tuple[float, float]:
        """Return x and y of a mixture of the two changes."""
        return a * self.length + b * self.foot, b * self.height

    def mixture(self, x: float, y: float) -> tuple[float, float]:
        """Return how much of each change makes a point (the inverse of `place`)."""
        b = y / self.height
        return (x - b * self.foot) / self.length, b

    def project(self, other: Change) -> tuple[float, float, float]:
        """Return x and y of the nearest point to a change, and how far it is from the plane."""
        x = inner(self.first, other) / self.length
        y = (inner(self.second, other) - self.foot * x) / self.height
        return x, y, max(inner(other, other) - x**2 - y**2, 0.0) ** 0.5


class Moved:
    """A model that is moved over a plane: its weights are changed in place.

    Args:
        model: the base.
        plane: through it.
    """

    def __init__(self, model: nn.Module, plane: Plane) -> None:
        self._model, self._plane = model, plane
        names = plane.first.keys() | plane.second.keys()
        self._start = {n: w.clone() for n, w in model.state_dict().items() if n in names}

    @torch.no_grad()
    def to(self, a: float, b: float) -> None:
        """Give the model the weights of a mixture of the two changes."""
        weights = self._model.state_dict()
        for name, start in self._start.items():
            weights[name].copy_(start)
            for share, changed in ((a, self._plane.first), (b, self._plane.second)):
                if name in changed:
                    weights[name].add_(changed[name], alpha=share)
