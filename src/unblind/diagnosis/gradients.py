"""Do action and alignment pull the weights that both reach in the same direction?

Two losses of one batch have a gradient each. Their cosine over the adapters' weights that both
reach says whether a step for one loss is a step for the other (1), of no use to it (0), or undoes
it (-1). Lambda scales one of them and changes no cosine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.align.objective import Objective
from unblind.progress import Progress
from unblind.training.feed import Inputs
from unblind.training.losses import TokenLoss, answer_logits
from unblind.vla.prismatic import Prismatic

RECORD = pa.schema(
    [("batch", pa.int32()), ("n", pa.int32())]
    + [(name, pa.float64()) for name in ("action", "alignment", "similarity", "cosine")]
    + [(name, pa.float64()) for name in ("action_norm", "alignment_norm")]
)
"""One row a batch of ``n`` frames: the action loss; the alignment loss, summed over layers; the
mean cosine of projected visual tokens and the teacher's, which alignments by any loss share; the
cosine of both gradients, NaN where they share no trained weight; and their lengths there."""


@dataclass(frozen=True)
class Losses:
    """Both losses of a model.

    Attributes:
        model: with adapters in place, in evaluation mode.
        token_loss: of the actions.
        objective: of the alignment, in evaluation mode; its lambda is not 0.
        weights: of the adapters, which are trained.
    """

    model: Prismatic
    token_loss: TokenLoss
    objective: Objective
    weights: Sequence[nn.Parameter]

    def of(self, inputs: Inputs) -> dict[str, float]:
        """Return what `RECORD` tells of a batch, its number and size apart."""
        low, batch, teacher = inputs
        encoded = self.model.vision_backbone(low)
        states = self.model.hidden(low, batch.text, layers=True, encoded=encoded)
        action = self.token_loss(answer_logits(self.model, states[-1], batch), batch)
        visual = self.model.by_layer(encoded, states)
        terms = self.objective(action, visual, teacher)
        with torch.no_grad():
            similarity = self._similarity(visual, teacher.float())
        first, second = conflict([terms.action, terms.alignment], self.weights)
        return {
            "action": terms.action.item(),
            "alignment": terms.alignment.item(),
            "similarity": similarity,
            "cosine": float(first @ second / (first.norm() * second.norm())),
            "action_norm": float(first.norm()),
            "alignment_norm": float(second.norm()),
        }

    def _similarity(self, visual: Sequence[Tensor], teacher: Tensor) -> float:
        """Return the mean cosine with the teacher, over tokens and aligned layers."""
        cosines = [
            functional.cosine_similarity(project(visual[int(layer)]).float(), teacher, dim=-1)
            for layer, project in self.objective.projectors.items()
        ]
        return float(torch.stack(cosines).mean())


def conflict(losses: Sequence[Tensor], weights: Sequence[nn.Parameter]) -> list[Tensor]:
    """Return each loss's gradient over the weights that all of them reach: (w,) float64 each.

    Without a weight in common the gradients are empty.
    """
    each = [_gradient(loss, weights) for loss in losses]
    shared = [grads for grads in zip(*each, strict=True) if all(g is not None for g in grads)]
    parts = zip(*shared, strict=True) if shared else [()] * len(each)
    empty = torch.zeros(0, dtype=torch.float64)
    return [torch.cat([empty, *(g.flatten().double() for g in part)]) for part in parts]


def _gradient(loss: Tensor, weights: Sequence[nn.Parameter]) -> Sequence[Tensor | None]:
    if not loss.requires_grad:  # as of an encoder's tokens where the towers are frozen
        return [None] * len(weights)
    return torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)


def record(losses: Losses, batches: Iterable[Inputs], count: int, unit: float) -> pa.Table:
    """Return both losses of each batch and how their gradients lie to each other, as `RECORD`.

    Args:
        losses: of the model.
        batches: of frames, with the teacher's tokens.
        count: how many batches these are.
        unit: expected CPU-seconds of a batch.
    """
    progress, rows = Progress("batches differentiated", count, unit), []
    for number, inputs in enumerate(batches):
        rows.append({"batch": number, "n": len(inputs.low), **losses.of(inputs)})
        progress.advance()
    return pa.Table.from_pylist(rows, schema=RECORD)
