"""The loss of a batch at paper scale: action tokens, and for Align the teacher's tokens."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.align.objective import Objective
from unblind.vla.batch import Batch, Turn, collate
from unblind.vla.prismatic import Prismatic
from unblind.vla.tokens import ActionTokenizer

#: What the seven tokens of an action say.
DIMENSIONS = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
#: Tokens that follow a prompt: seven of the action and EOS.
ANSWER = 8


def texts(prompts: list[tuple[int, ...]], answers: np.ndarray, length: int) -> Batch:
    """Return what the decoder reads beside the pictures, and what it shall predict.

    Args:
        prompts: token ids without BOS.
        answers: (N, 8) token ids.
        length: tokens of the longest prompt of the run; every batch has the same shape.
    """
    turns = [
        [Turn(prompt, tuple(answer), (1.0,) * ANSWER, "action")]
        for prompt, answer in zip(prompts, answers.tolist(), strict=True)
    ]
    return collate(turns, length + ANSWER - 1)


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
        self, pixels: Tensor, batch: Batch, answers: Tensor, teacher: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total loss and, without gradient, the numbers of the log.

        Args:
            pixels: (B, 3 towers, S, S) pixel values.
            batch: from :func:`texts`.
            answers: (B, 8) token ids.
            teacher: (B, n, width) tokens of the same pictures; None unless the method is Align.
        """
        reduced = self._precision != torch.float32
        with torch.autocast(pixels.device.type, self._precision, enabled=reduced):
            aligned = self.objective is not None
            states = self.model.hidden(pixels, batch.text, layers=aligned)
            start = states[-1].shape[1] - batch.text.ids.shape[1]
            last = states[-1][batch.rows, start + batch.places].view(len(answers), ANSWER, -1)
            logits = self.model.logits(last).float()
            action = functional.cross_entropy(logits.flatten(0, 1), answers.flatten())
            numbers = {"loss": action.detach(), **self._accuracies(logits.detach(), answers)}
            if not aligned:
                return action, numbers
            visual = slice(1, 1 + self.model.config.grid**2)
            terms = self.objective(action, states, visual, teacher)
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
