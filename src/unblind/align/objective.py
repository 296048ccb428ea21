"""The training objective of Align: L = L_action + lambda * sum over layers of L_align.

Visual tokens are taken after decoder blocks, from 1 on (the paper's Backbone2Enc), or as the vision
encoder makes them, which is layer 0 (its Enc2Enc).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unblind.align.losses import get_loss
from unblind.align.projectors import make_projector
from unblind.errors import UnblindError

if TYPE_CHECKING:  # only its attributes are read
    from unblind.config import Alignment


@dataclass(frozen=True)
class Terms:
    """The parts of one step's loss, each a scalar tensor; ``total`` is what is differentiated.

    ``alignment`` is the sum over layers before it is multiplied by lambda, ``layers`` its addends.
    """

    total: Tensor
    action: Tensor
    alignment: Tensor
    layers: dict[int, Tensor]

    def numbers(self) -> dict[str, Tensor]:
        """Return all terms without gradient, for a log line."""
        values = {"loss": self.total, "action": self.action, "alignment": self.alignment}
        values |= {f"alignment_{layer}": term for layer, term in self.layers.items()}
        return {name: value.detach() for name, value in values.items()}


class Objective(nn.Module):
    """Action loss plus alignment of the decoder's visual tokens with teacher tokens.

    One projector per layer maps student tokens to the teacher's width. Where the projectors are not
    frozen, the optimiser needs ``parameters()``. The losses of several layers are summed, not
    averaged, as in the release.
    """

    def __init__(
        self, align: "Alignment", seed: int, widths: Sequence[int], teacher_width: int
    ) -> None:
        """Build the projectors.

        Args:
            align: what is aligned and how; layer 1 is the output of the first block.
            seed: of the first projector's weights; each further one has the next seed.
            widths: of the visual tokens of each layer (`PrismaticConfig.widths`).
            teacher_width: of the teacher's tokens.

        Raises:
            UnblindError: a layer does not exist or stands twice, or a name is unknown.
        """
        super().__init__()
        check_layers(align.layers, len(widths) - 1)
        self.align, self._loss = align, get_loss(align.loss)
        self.projectors = nn.ModuleDict(
            {
                str(layer): make_projector(
                    align.projector,
                    widths[layer],
                    align.projector_width,
                    teacher_width,
                    seed + offset,
                    align.frozen,
                )
                for offset, layer in enumerate(align.layers)
            }
        )

    def forward(self, action_loss: Tensor, visual: Sequence[Tensor], teacher: Tensor) -> Terms:
        """Return the terms of one step.

        With a lambda of 0 the total is ``action_loss`` itself, so that training is bit for
        bit the one without alignment; the alignment is then only measured.

        Args:
            action_loss: scalar.
            visual: the visual tokens (B, n, width) of each layer: item 0 the vision encoder's, item
                k those after block k.
            teacher: (B, n, teacher width), token i over the same image region as visual token i.

        Raises:
            UnblindError: the teacher's tokens are not as many as the student's.
        """
        teacher = teacher.detach().to(visual[0].device, torch.float32)
        students = {layer: visual[layer] for layer in self.align.layers}
        if self.align.lambda_ == 0:
            students = {layer: student.detach() for layer, student in students.items()}
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.align.lambda_ != 0):
            layers = {
                layer: self._one(layer, student, teacher) for layer, student in students.items()
            }
            alignment = torch.stack(list(layers.values())).sum()
        total = action_loss
        if self.align.lambda_ != 0:
            total = action_loss + self.align.lambda_ * alignment
        return Terms(total, action_loss, alignment, layers)

    def _one(self, layer: int, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the alignment loss of one layer's visual tokens (B, n, width)."""
        if student.shape[:2] != teacher.shape[:2]:
            raise UnblindError(
                f"the model has {tuple(student.shape[:2])} visual tokens (batch, tokens), "
                f"the teacher {tuple(teacher.shape[:2])}",
                "ask the teacher for the model's grid",
            )
        return self._loss(self.projectors[str(layer)](student).float(), teacher)


def check_layers(layers: Sequence[int], depth: int) -> None:
    """Check layers (0: the vision encoder) of a decoder of ``depth`` blocks.

    Raises:
        UnblindError: a layer does not exist or is given twice.
    """
    if max(layers) > depth or len(set(layers)) < len(layers):
        cause = f"cannot align layers {list(layers)} of a decoder of {depth} blocks"
        raise UnblindError(
            cause, f"valid layers, each once: {', '.join(map(str, range(depth + 1)))}"
        )
