"""How well a model answers what it has not seen: held-out questions.

Every token is predicted with the right beginning given. An answer in words therefore counts as
right if and only if greedy decoding would give it; of a place, the column is predicted behind the
right row even where the row was only near.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unblind import png
from unblind.pictures import shards
from unblind.training import data
from unblind.training.losses import answer_logits
from unblind.vla.batch import Batch, Turn, collate
from unblind.vla.checkpoint import Checkpoint

_BATCH = 32
#: A place is right if row and column are at most this many of 128 bins off (5 % of a side).
TOLERANCE = 6


def questions(
    loaded: Checkpoint,
    folder: Path,
    pictures: int | None = None,
    split: str = "heldout",
    blind: bool = False,
) -> dict[str, Any]:
    """Return the accuracy on each kind of held-out question: {kind: {n, accuracy}}.

    Args:
        loaded: the model.
        folder: of a question set (`unblind.pictures`).
        pictures: how many are looked at; all if None.
        split: of the set: ``heldout``, or ``style`` for looks that training does not show.
        blind: show a grey picture instead of each: what can be told without looking.
    """
    rows = shards.read(folder, split)[:pictures]
    counts: dict[str, list[bool]] = defaultdict(list)
    for part in _parts(rows):
        turns = [
            [data.ask(loaded.vocabulary, t["question"], t["answer"]) for t in row["turns"]]
            for row in part
        ]
        images = np.stack([png.decode(row["image"]) for row in part])
        if blind:
            images = np.full_like(images, 128)
        batch, found = _answers(loaded, images, turns)
        places = loaded.vocabulary.locations
        is_place = (batch.targets >= places.start) & (batch.targets < places.stop)
        near = (found - batch.targets).abs() <= TOLERANCE
        near &= (found >= places.start) & (found < places.stop)
        right = torch.where(is_place, near, found == batch.targets)
        ends = np.cumsum([len(t.answer) for some in turns for t in some])[:-1]
        asked = [t for row in part for t in row["turns"]]
        for turn, tokens in zip(asked, np.split(right.numpy(), ends), strict=True):
            counts[turn["kind"]].append(bool(tokens.all()))
    return {
        kind: {"n": len(values), "accuracy": round(float(np.mean(values)), 4)}
        for kind, values in sorted(counts.items())
    }


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


@torch.no_grad()
def _answers(
    loaded: Checkpoint, images: np.ndarray, turns: list[list[Turn]]
) -> tuple[Batch, torch.Tensor]:
    """Return the batch and the most likely token at each of its targets."""
    model = loaded.model
    batch = collate(turns)
    low = model.vision_backbone.low(loaded.pixels.training(images))
    (states,) = model.hidden(low, batch.text)
    logits = answer_logits(model, states, batch)
    return batch, logits.argmax(-1)
