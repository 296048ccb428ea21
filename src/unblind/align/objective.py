"""The training objective of Align: L = L_action + lambda * sum over layers of L_align."""

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
        self, align: "Alignment", seed: int, depth: int, width: int, teacher_width: int
    ) -> None:
        """Build the projectors.

        Args:
            align: what is aligned and how; layer 1 is the output of the first block.
            seed: of the first projector's weights; each further one has the next seed.
            depth: number of decoder blocks.
            width: of the decoder's tokens.
            teacher_width: of the teacher's tokens.

        Raises:
            UnblindError: a layer does not exist or stands twice, or a name is unknown.
        """
        super().__init__()
        check_layers(align.layers, depth)
        self.align, self._loss = align, get_loss(align.loss)
        self.projectors = nn.ModuleDict(
            {
                str(layer): make_projector(
                    align.projector,
                    width,
                    align.projector_width,
                    teacher_width,
                    seed + offset,
                    align.frozen,
                )
                for offset, layer in enumerate(align.layers)
            }
        )

    def forward(
        self, action_loss: Tensor, hidden_states: Sequence[Tensor], visual: slice, teacher: Tensor
    ) -> Terms:
        """Return the terms of one step.

        With a lambda of 0 the total is ``action_loss`` itself, so that training is bit for
        bit the one without alignment; the alignment is then only measured.

        Args:
            action_loss: scalar.
            hidden_states: the decoder's states (B, T, width): item 0 the embeddings, item k the
                output of block k.
            visual: where the n visual tokens stand among the T.
            teacher: (B, n, teacher width), token i over the same image region as visual token i.

        Raises:
            UnblindError: the teacher's tokens are not as many as the student's.
        """
        teacher = teacher.detach().to(hidden_states[0].device, torch.float32)
        students = {layer: hidden_states[layer][:, visual] for layer in self.align.layers}
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
    """Check layers (from 1) of a decoder of ``depth`` blocks.

    Raises:
        UnblindError: a layer does not exist or is given twice.
    """
    if max(layers) > depth or len(set(layers)) < len(layers):
        cause = f"cannot align layers {list(layers)} of a decoder of {depth} blocks"
        raise UnblindError(
            cause, f"valid layers, each once: {', '.join(map(str, range(1, depth + 1)))}"
        )
