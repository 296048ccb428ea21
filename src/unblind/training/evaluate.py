"""How well a model answers what it has not seen: held-out questions.

Every token is predicted with the right beginning given. An answer in words therefore counts as
right if and only if greedy decoding would give it; of a place, the column is predicted behind the
right row even where the row was only near.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from unblind import png
from unblind.pictures import shards
from unblind.progress import Progress
from unblind.sim import conditions
from unblind.training import data
from unblind.training.losses import answer_logits
from unblind.vla.batch import Batch, Turn, collate
from unblind.vla.checkpoint import Checkpoint

SPLITS = ("heldout", "style")
"""What is asked: held-out pictures, and those in looks that training does not show."""
_WORD = pa.dictionary(pa.int8(), pa.string())
RECORD = pa.schema(
    [
        ("split", _WORD),
        ("picture", pa.int32()),
        ("kind", _WORD),
        ("names", _WORD),
        ("right", pa.bool_()),
        ("blind", pa.bool_()),
    ]
)
"""One row an answer: number of the picture in its split, kind of question, whose names question
and answer hold (`whose_names`), whether it is right, and whether that of a grey picture is: null
where none was shown."""
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
    for row, right in zip(rows, answers(loaded, rows, blind), strict=True):
        for turn, is_right in zip(row["turns"], right, strict=True):
            counts[turn["kind"]].append(is_right)
    return {
        kind: {"n": len(values), "accuracy": round(float(np.mean(values)), 4)}
        for kind, values in sorted(counts.items())
    }


def record(loaded: Checkpoint, folder: Path, pictures: int, blind: bool, unit: float) -> pa.Table:
    """Return a model's answers to all questions of the first pictures of each split, as `RECORD`.

    Args:
        loaded: the model.
        folder: of a question set with held-out pictures.
        pictures: of each split.
        blind: ask about a grey picture, too.
        unit: expected CPU-seconds a picture.

    Raises:
        UnblindError: pictures are missing or unreadable.
    """
    whose = whose_names(shards.names(folder))
    shown = [False, True] if blind else [False]
    progress = Progress("pictures asked about", len(SPLITS) * len(shown) * pictures, unit)
    columns: dict[str, list] = {name: [] for name in RECORD.names}
    for split in SPLITS:
        rows = shards.read(folder, split)[:pictures]
        right = {}
        for grey in shown:
            right[grey] = answers(loaded, rows, grey)
            progress.advance(len(rows))
        for number, row in enumerate(rows):
            turns = row["turns"]
            columns["split"] += [split] * len(turns)
            columns["picture"] += [number] * len(turns)
            columns["kind"] += [turn["kind"] for turn in turns]
            columns["names"] += [whose(f"{turn['question']} {turn['answer']}") for turn in turns]
            columns["right"] += right[False][number]
            columns["blind"] += right[True][number] if blind else [None] * len(turns)
    return pa.table(columns, schema=RECORD)


def whose_names(names: Mapping[str, Sequence[Sequence[str]]]) -> Callable[[str], str]:
    """Return what tells whose names of objects and plates a text holds.

    That is ``study`` for those of the study alone (25 objects, 17 plates), ``extra`` for those of
    further things of pretraining alone, and ``other`` for both or none.

    Args:
        names: what the pictures can show (`shards.names`).
    """
    study = {name.lower() for name in (*conditions.OBJECTS, *conditions.PLATES)}
    shown = {
        name.lower() for kind in ("object", "plate") for group in names[kind] for name in group
    }
    # The longest first: "plate" must not be found in a longer name.
    listed = sorted(study | shown, key=lambda name: (-len(name), name))
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, listed))})\b")

    def whose(text: str) -> str:
        owners = {"study" if name in study else "extra" for name in pattern.findall(text)}
        return owners.pop() if len(owners) == 1 else "other"

    return whose


def answers(
    loaded: Checkpoint, rows: Sequence[Mapping[str, Any]], blind: bool = False
) -> list[list[bool]]:
    """Return, for each row of `shards.SCHEMA`, whether each of its questions is answered right.

    The questions of a picture share its visual tokens.

    Args:
        loaded: the model.
        rows: pictures with turns.
        blind: show a grey picture instead of each.
    """
    judged: list[list[bool]] = []
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
        tokens = iter(np.split(right.numpy(), ends))
        judged += [[bool(next(tokens).all()) for _ in some] for some in turns]
    return judged


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
