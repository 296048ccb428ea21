"""Knockout of attention: what a model still knows if its text cannot see some visual tokens.

At one decoder layer, or from one on, the text's view of the target's tokens is cut (Geva et al.
2023 cut a language model's edges likewise). Visual tokens still see each
other, so that later ones may hold what earlier ones have said; the same number of other tokens is
cut for comparison, and the whole picture for scale.

All cuts of a frame are computed at once: each is a branch of its own, with a mask of its own at
each layer, beside the same visual tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from unblind.diagnosis.attention import area_masks, low_features
from unblind.diagnosis.frames import Frames
from unblind.diagnosis.hiding import hiding
from unblind.progress import Progress
from unblind.training.data import place_text
from unblind.training.losses import answer_logits
from unblind.vla.batch import Batch, Turn, collate
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.tokens import ActionCodec

#: What is hidden, and where: at one layer, or from one on.
HIDDEN = ("target", "elsewhere", "picture")
MODES = ("only", "from")
#: Of an action x, y and z are predicted; of the question where the target is, its row and column.
_FIRST_TOKENS = 3
#: A token is right within this share of its range of bins: of an action's, of a side.
NEAR = 0.05
_BATCH = 4
_WORD = pa.dictionary(pa.int8(), pa.string())
RECORD = pa.schema(
    [
        ("frame", pa.int32()),
        ("condition", _WORD),
        ("episode_id", pa.int64()),
        ("moment", _WORD),
        ("task", _WORD),
        ("hidden", _WORD),
        ("mode", _WORD),
        ("layer", pa.int16()),
        ("tokens", pa.int16()),
        ("loss", pa.float32()),
        ("right", pa.float32()),
    ]
)
"""One row a frame, task and cut; uncut: ``hidden`` is 'nothing', ``layer`` 0. ``tokens``: number
of hidden ones. ``loss``: mean cross-entropy of the task's tokens in nats, each with the right ones
before it; ``right``: share of them whose likeliest value is at most `NEAR` off."""


@dataclass(frozen=True)
class Cut:
    """What the text cannot see, and at which layers (from 1).

    Attributes:
        hidden: 'nothing' or one of `HIDDEN`.
        mode: one of `MODES`; '' if nothing is hidden.
        layer: the only or the first one; 0 if nothing is hidden.
    """

    hidden: str = "nothing"
    mode: str = ""
    layer: int = 0

    def holds(self, layer: int) -> bool:
        """Tell whether it holds at a layer."""
        return self.layer == layer or (self.mode == "from" and self.layer < layer)


def cuts(depth: int) -> list[Cut]:
    """Return no cut, then all cuts of a decoder of ``depth`` layers."""
    layers = range(1, depth + 1)
    return [
        Cut(),
        *(Cut(hidden, mode, layer) for hidden in HIDDEN for mode in MODES for layer in layers),
    ]


def record(
    loaded: Checkpoint, codec: ActionCodec, frames: Frames, seed: int, unit_cpu_s: float
) -> pa.Table:
    """Return what a model predicts of frames under all cuts, as `RECORD`.

    Frames in which the target is not to be seen are left out. A vocabulary without places has no
    task 'where'.

    Args:
        loaded: the model.
        codec: of its actions.
        frames: with the planner's action.
        seed: of the choice of other tokens.
        unit_cpu_s: expected CPU-seconds a frame.

    Raises:
        UnblindError: a prompt is too long for the model.
    """
    grid = loaded.model.config.grid
    frames = frames.where(area_masks(frames, grid)["target"].sum(1) > 0)
    progress, parts = Progress("frames with cuts", len(frames), unit_cpu_s), []
    for start in range(0, len(frames), _BATCH):
        chosen = np.zeros(len(frames), bool)
        chosen[start : start + _BATCH] = True
        some = frames.where(chosen)
        parts.append(_predictions(loaded, codec, some, hidden_tokens(some, grid, seed)))
        progress.advance(len(some))
    whole = pd.concat(parts, ignore_index=True)
    return pa.Table.from_pandas(whole, schema=RECORD, preserve_index=False)


def hidden_tokens(frames: Frames, grid: int, seed: int) -> dict[str, np.ndarray]:
    """Return by `HIDDEN` which visual tokens that means, (N, grid * grid) bool.

    The target's are all that show a pixel of it; as many others are drawn for each frame.
    """
    target = area_masks(frames, grid)["target"] > 0
    elsewhere = np.zeros_like(target)
    for number, frame in enumerate(frames.rows["frame"]):
        rng, others = np.random.default_rng([seed, frame]), np.flatnonzero(~target[number])
        count = min(int(target[number].sum()), len(others))
        elsewhere[number, rng.choice(others, count, replace=False)] = True
    return {"target": target, "elsewhere": elsewhere, "picture": np.ones_like(target)}


# ---- masks --------------------------------------------------------------------------------------


def unseen(
    branches: Tensor, of_branch: Sequence[Cut], tokens: dict[str, Tensor]
) -> Callable[[int], Tensor]:
    """Return what `hiding.hiding` takes where each branch of a text has a cut of its own.

    Args:
        branches: (B, T), -1 is padding.
        of_branch: the cut of each branch.
        tokens: by `HIDDEN`, (B, n) bool.
    """

    def hidden(layer: int) -> Tensor:
        total = torch.zeros(*branches.shape, next(iter(tokens.values())).shape[1], dtype=torch.bool)
        total = total.to(branches.device)
        for kind, hides in tokens.items():
            holds = [cut.hidden == kind and cut.holds(layer) for cut in of_branch]
            # The padding's branch is the last entry: nothing is hidden from it.
            rows = torch.tensor([*holds, False], device=branches.device)[branches]
            total |= rows[:, :, None] & hides[:, None]
        return total

    return hidden


# ---- predictions --------------------------------------------------------------------------------


@torch.no_grad()
def _predictions(
    loaded: Checkpoint, codec: ActionCodec, frames: Frames, tokens: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Return the rows of `RECORD` of some frames."""
    model, arms = loaded.model.eval(), cuts(loaded.model.config.layers)
    asked = _turns(loaded, codec, frames)
    tasks = list(asked)
    batch = collate(
        [
            [turn for task in tasks for turn in (asked[task][n],) * len(arms)]
            for n in range(len(frames))
        ]
    )
    model.check_length([turn.prompt for turns in asked.values() for turn in turns], _FIRST_TOKENS)
    masks = {kind: torch.from_numpy(mask) for kind, mask in tokens.items()}
    with hiding(model, unseen(batch.text.branches, arms * len(tasks), masks)):
        (states,) = model.hidden(low_features(loaded, frames.images), batch.text)
    judged = _judged(answer_logits(model, states, batch).float(), batch, loaded)
    of_frame = frames.rows[["frame", "condition", "episode_id", "moment"]]
    index = pd.MultiIndex.from_product([range(len(frames)), tasks, range(len(arms))]).to_frame()
    number, task, arm = (index[column].to_numpy() for column in index)
    counts = {"nothing": np.zeros(len(frames), int)}
    counts |= {kind: mask.sum(1) for kind, mask in tokens.items()}
    told = of_frame.iloc[number].reset_index(drop=True)
    return told.assign(
        task=task,
        **{name: [getattr(arms[a], name) for a in arm] for name in ("hidden", "mode", "layer")},
        tokens=[counts[arms[a].hidden][n] for n, a in zip(number, arm, strict=True)],
        **judged,
    )


def _turns(loaded: Checkpoint, codec: ActionCodec, frames: Frames) -> dict[str, list[Turn]]:
    """Return by task what is asked of each frame, with the right answer."""
    words = loaded.vocabulary
    actions = codec.encode(np.stack(frames.rows["action"]))[:, :_FIRST_TOKENS]
    weights = (1.0,) * _FIRST_TOKENS
    asked = {
        "action": [
            Turn(words.action_prompt(text), tuple(ids), weights, "action")
            for text, ids in zip(frames.rows["instruction"], actions.tolist(), strict=True)
        ]
    }
    if words.locations:
        places = [words.encode(place_text(xyz)) for xyz in frames.rows["object_xyz"]]
        asked["where"] = [
            Turn(words.question_prompt(f"where is the {name}"), place, (1.0,) * len(place))
            for name, place in zip(frames.rows["object"], places, strict=True)
        ]
    return asked


def _judged(logits: Tensor, batch: Batch, loaded: Checkpoint) -> dict[str, np.ndarray]:
    """Return loss and share of right tokens of each turn, in the batch's order."""
    losses = functional.cross_entropy(logits, batch.targets, reduction="none")
    right = torch.zeros_like(losses)
    for ids in (loaded.vocabulary.actions, loaded.vocabulary.locations):
        if ids:
            inside = (batch.targets >= ids.start) & (batch.targets < ids.stop)
            found = logits[:, ids.start : ids.stop].argmax(-1) + ids.start
            near = (found - batch.targets).abs() <= NEAR * len(ids)
            right = torch.where(inside, near.float(), right)
    turn = (batch.orders == 0).cumsum(0) - 1
    count = torch.bincount(turn)
    columns = {"loss": losses, "right": right}
    return {
        name: (torch.bincount(turn, weights=values.double()) / count).cpu().numpy()
        for name, values in columns.items()
    }
