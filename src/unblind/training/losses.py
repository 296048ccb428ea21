"""The loss of a part of a batch: tokens that answer, and for Align the teacher's tokens."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from unblind.align.objective import Objective
from unblind.vla.batch import Batch
from unblind.vla.prismatic import Prismatic
from unblind.vla.text import ACTIONS, Vocabulary

if TYPE_CHECKING:
    from unblind.training.feed import Feed

#: What the seven tokens of an action say.
DIMENSIONS = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


class TokenLoss:
    """Weighted cross-entropy; ordered tokens (places, action bins) may have soft targets.

    A target bin then shares its probability with its neighbours by a Gaussian, which tells the
    model that they are close. Width 0 is the plain cross-entropy.

    Args:
        vocabulary: for the ranges of ids.
        action_width: standard deviation in action bins.
        location_width: standard deviation in location bins.
    """

    def __init__(self, vocabulary: Vocabulary, action_width: float, location_width: float) -> None:
        ranges = ((vocabulary.actions, action_width), (vocabulary.locations, location_width))
        self._table = None
        if action_width or location_width:
            self._table = torch.eye(vocabulary.size)
            for ids, width in ranges:
                if width:
                    steps = torch.arange(len(ids), dtype=torch.float64)
                    near = torch.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)
                    share = (near / near.sum(1, keepdim=True)).float()
                    self._table[ids.start : ids.stop, ids.start : ids.stop] = share

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the weighted mean over the targets, a float32 scalar, of logits (M, vocab)."""
        logits = logits.float()
        if self._table is None:
            each = functional.cross_entropy(logits, batch.targets, reduction="none")
        else:
            share = self._table.to(logits)[batch.targets]
            each = -(share * functional.log_softmax(logits, -1)).sum(-1)
        return (each * batch.weights).sum() / batch.weights.sum()


class Learner:
    """A model's loss at a step and a part of its batch (see `loop.StepLoss`).

    Args:
        model: what is trained, with adapters in place if it has any.
        feed: where the inputs come from.
        token_loss: of the answers.
        vocabulary: of the model.
        objective: what Align adds; None for the other methods.
        precision: of the arithmetic; bfloat16 is autocast, as released.
    """

    def __init__(
        self,
        model: Prismatic,
        feed: "Feed",
        token_loss: TokenLoss,
        vocabulary: Vocabulary,
        objective: Objective | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self._model, self._feed, self._token_loss = model, feed, token_loss
        self._vocabulary, self._objective, self._precision = vocabulary, objective, precision

    def fed(self, feed: "Feed") -> "Learner":
        """Return the same with inputs from elsewhere."""
        other = copy.copy(self)
        other._feed = feed
        return other

    def __call__(self, step: int, part: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total loss and, without gradient, its terms and what was predicted right."""
        low, batch, teacher = self._feed(step, part)
        reduced, aligned = self._precision != torch.float32, self._objective is not None
        with torch.autocast(low.device.type, self._precision, enabled=reduced):
            encoded = self._model.vision_backbone(low)
            states = self._model.hidden(low, batch.text, layers=aligned, encoded=encoded)
            logits = answer_logits(self._model, states[-1], batch).float()
            loss = self._token_loss(logits, batch)
            numbers = {"loss": loss.detach()}
            if aligned:
                visual = self._model.by_layer(encoded, states)
                terms = self._objective(loss, visual, teacher)
                loss, numbers = terms.total, terms.numbers()
        return loss, numbers | accuracies(logits.detach(), batch, self._vocabulary)


def answer_logits(model: Prismatic, states: Tensor, batch: Batch) -> Tensor:
    """Return the scores (M, vocab) that predict a batch's targets."""
    start = states.shape[1] - batch.text.ids.shape[1]
    return model.logits(states[batch.rows, start + batch.places])


def accuracies(logits: Tensor, batch: Batch, vocabulary: Vocabulary) -> dict[str, Tensor]:
    """Return the share of right tokens, and how far predicted actions are off.

    Of each action dimension and of other answers; NaN where a batch has none. ``l1`` is the mean
    distance between the middles of bins in [-1, 1]; a token that is no action counts as the nearest
    one.
    """
    guessed = logits.argmax(-1)
    right = guessed == batch.targets
    groups = {
        f"accuracy_{name}": batch.is_action & (batch.orders == order)
        for order, name in enumerate(DIMENSIONS)
    }
    groups["accuracy_answers"] = ~batch.is_action
    numbers = {name: _mean(right, group) for name, group in groups.items()}
    bins = [(vocabulary.size - 1 - ids).clamp(0, ACTIONS - 2) for ids in (guessed, batch.targets)]
    distance = (bins[0] - bins[1]).abs() * (2 / (ACTIONS - 1))
    motion = batch.is_action & (batch.orders < len(DIMENSIONS))
    return {**numbers, "l1": _mean(distance, motion)}


def _mean(numbers: Tensor, group: Tensor) -> Tensor:
    """Return the mean over a group (M,) bool, NaN if it is empty; nothing waits for the device."""
    return (numbers * group).sum().float() / group.sum()
