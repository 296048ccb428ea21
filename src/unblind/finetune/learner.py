"""The loss of a batch at paper scale: action tokens, and for Align the teacher's tokens."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.align.objective import Objective
from unblind.openvla import sequence
from unblind.openvla.sequence import Prompts
from unblind.vla.prismatic import Prismatic
from unblind.vla.tokens import ActionTokenizer

#: What the seven tokens of an action say.
DIMENSIONS = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
#: Tokens that follow a prompt: seven of the action and EOS.
ANSWER = 8


def texts(prompts: list[tuple[int, ...]], answers: np.ndarray, pad: int, length: int) -> Prompts:
    """Return what the decoder reads beside the pictures: prompts with all but the last answer.

    They are padded on the left, so that what predicts the answers stands at the end of each row.

    Args:
        prompts: token ids without BOS.
        answers: (N, 8) token ids.
        pad: id of the padding.
        length: tokens of the longest prompt of the run; every batch has the same shape.
    """
    whole = [(*p, *a) for p, a in zip(prompts, answers[:, :-1].tolist(), strict=True)]
    return sequence.pad_left(whole, pad, length=length + ANSWER - 1)


class Learner(nn.Module):
    """Model, adapters and alignment as one module, whose output is a loss.

    Attributes:
        model: with adapters in place.
        objective: what Align adds; None for the other methods.
    """

    def __init__(
        self,
        model: Prismatic,
        tokenizer: ActionTokenizer,
        objective: Objective | None,
        precision: torch.dtype,
    ) -> None:
        """Put the parts together.

        Args:
            model: with adapters in place.
            tokenizer: of the actions, for the distance in the log.
            objective: what Align adds; None for the other methods.
            precision: of the arithmetic; bfloat16 is autocast, as released.
        """
        super().__init__()
        self.model, self.objective = model, objective
        self._precision, self._first = precision, tokenizer.ids.start
        places = torch.from_numpy(tokenizer.decode(np.asarray(tokenizer.ids)))
        self.register_buffer("centers", places.float(), persistent=False)

    def forward(
        self, pixels: Tensor, prompts: Prompts, answers: Tensor, teacher: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total loss and, without gradient, the numbers of the log.

        Args:
            pixels: (B, 3 towers, S, S) pixel values.
            prompts: from :func:`texts`.
            answers: (B, 8) token ids.
            teacher: (B, n, width) tokens of the same pictures; None unless the method is Align.
        """
        reduced = self._precision != torch.float32
        with torch.autocast(pixels.device.type, self._precision, enabled=reduced):
            aligned = self.objective is not None
            out = sequence.run(self.model, pixels, prompts, layers=aligned)
            logits = self.model.logits(out.last_hidden_state[:, -ANSWER:]).float()
            action = functional.cross_entropy(logits.flatten(0, 1), answers.flatten())
            numbers = {"loss": action.detach(), **self._accuracies(logits.detach(), answers)}
            if not aligned:
                return action, numbers
            visual = slice(1, 1 + self.model.config.grid**2)
            terms = self.objective(action, out.hidden_states, visual, teacher)
        parts = {"loss": terms.total, "action": terms.action, "alignment": terms.alignment}
        parts |= {f"alignment_{layer}": term for layer, term in terms.layers.items()}
        return terms.total, numbers | {name: part.detach() for name, part in parts.items()}

    def _accuracies(self, logits: Tensor, answers: Tensor) -> dict[str, Tensor]:
        """Return the share of right tokens of each dimension and the mean distance of actions.

        The distance is between the bins' middles in [-1, 1]; a token that is no action counts as
        the nearest one.
        """
        guessed = logits[:, :-1].argmax(-1)
        right = (guessed == answers[:, :-1]).float().mean(0)
        found = {f"accuracy_{name}": right[place] for place, name in enumerate(DIMENSIONS)}
        last = len(self.centers) - 1
        places = [(ids - self._first).clamp(0, last) for ids in (guessed, answers[:, :-1])]
        values, wanted = (self.centers[ids] for ids in places)
        return {**found, "l1": (values - wanted).abs().mean()}
