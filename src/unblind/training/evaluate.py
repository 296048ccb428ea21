"""How well a model answers what it has not seen: held-out questions.

Every token is predicted with the right beginning given. An answer in words therefore counts as
right if and only if greedy decoding would give it; of a place, the column is predicted behind the
right row even where the row was only near.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from unblind import png
from unblind.pictures import shards
from unblind.progress import Progress
from unblind.sim import conditions
from unblind.training import data
from unblind.training.losses import answer_logits
from unblind.vla.batch import Batch, collate
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
    return [right for asked in batches(loaded, rows, blind) for right in judge(loaded, asked)]


class Asked(NamedTuple):
    """Pictures with their questions as a model reads them.

    Attributes:
        low: features of the tower's frozen part, which all models of a study share.
        batch: the questions with their answers.
        ends: place in the batch's targets behind the last token of each question but the last.
        counts: number of questions of each picture.
    """

    low: torch.Tensor
    batch: Batch
    ends: np.ndarray
    counts: tuple[int, ...]


def batches(
    loaded: Checkpoint, rows: Sequence[Mapping[str, Any]], blind: bool = False
) -> Iterator[Asked]:
    """Yield pictures with questions in batches, ready for `judge`; arguments as for `answers`."""
    for start in range(0, len(rows), _BATCH):
        yield prepare(loaded, rows[start : start + _BATCH], blind)


def prepare(loaded: Checkpoint, rows: Sequence[Mapping[str, Any]], blind: bool = False) -> Asked:
    """Return pictures with questions as one batch; arguments as for `answers`."""
    turns = [
        [data.ask(loaded.vocabulary, t["question"], t["answer"]) for t in row["turns"]]
        for row in rows
    ]
    images = np.stack([png.decode(row["image"]) for row in rows])
    if blind:
        images = np.full_like(images, 128)
    with torch.no_grad():
        low = loaded.model.vision_backbone.low(loaded.pixels.training(images))
    ends = np.cumsum([len(turn.answer) for some in turns for turn in some])[:-1]
    return Asked(low, collate(turns), ends, tuple(map(len, turns)))


@torch.no_grad()
def judge(loaded: Checkpoint, asked: Asked) -> list[list[bool]]:
    """Return for each picture whether a model answers each of its questions right."""
    batch, places = asked.batch, loaded.vocabulary.locations
    (states,) = loaded.model.hidden(asked.low, batch.text)
    found = answer_logits(loaded.model, states, batch).argmax(-1)
    is_place = (batch.targets >= places.start) & (batch.targets < places.stop)
    near = (found - batch.targets).abs() <= TOLERANCE
    near &= (found >= places.start) & (found < places.stop)
    right = torch.where(is_place, near, found == batch.targets)
    tokens = iter(np.split(right.numpy(), asked.ends))
    return [[bool(next(tokens).all()) for _ in range(count)] for count in asked.counts]
