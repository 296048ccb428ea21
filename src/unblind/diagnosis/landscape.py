"""Losses and answers on the plane through the base and two trained runs.

The paper draws such a landscape by hand (figure 2c); here every point is a model that is measured.
Values are kept frame by frame and answer by answer, so that intervals and differences between
points can be computed from the record alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from unblind.align.objective import Objective
from unblind.diagnosis.plane import Moved, Plane
from unblind.progress import Progress
from unblind.training import evaluate
from unblind.training.losses import TokenLoss, answer_logits
from unblind.vla.batch import Turn, collate
from unblind.vla.checkpoint import Checkpoint

#: Names of what is measured: cross-entropy of the action tokens, the alignment loss, and whether a
#: held-out question is answered right.
ACTION, ALIGNMENT, ANSWERS = "action loss", "alignment loss", "answers"
#: Name of the base among the corners; runs have their own.
BASE = "base"
_WORD = pa.dictionary(pa.int8(), pa.string())
POINTS = pa.schema(
    [("point", pa.int32()), ("part", _WORD), ("name", pa.string()), ("t", pa.float64())]
    + [("step", pa.int32())]
    + [(name, pa.float64()) for name in ("first", "second", "x", "y", "off")]
)
"""One row a point of the plane: on the ``grid``, on an ``edge`` (named 'base to default'; ``t``
from 0 to 1), or on the ``path`` of a run's training (projected; ``step``). ``first`` and ``second``
say how much of each run's change makes it, ``x``, ``y`` and ``off`` are lengths: see `Plane`."""
VALUES = pa.schema(
    [("point", pa.int32()), ("measure", _WORD), ("item", pa.int32()), ("kind", _WORD)]
    + [("value", pa.float32())]
)
"""One row a point and frame, or answer: ``item`` is the frame's or the picture's number, ``kind``
that of the question. Points of paths have none."""


class Point(NamedTuple):
    """A point of the plane (`POINTS` without its number)."""

    part: str
    name: str
    t: float | None
    step: int | None
    first: float
    second: float
    x: float
    y: float
    off: float = 0.0


@dataclass(frozen=True)
class Examples:
    """Frames of demonstrations at which losses are measured.

    Attributes:
        low: (F, ...) features of the tower's frozen part.
        turns: the instruction and the action of each.
        teacher: (F, n, width) features of the teacher.
    """

    low: Tensor
    turns: Sequence[Turn]
    teacher: Tensor

    def first(self, count: int) -> "Examples":
        """Return the first frames."""
        return Examples(self.low[:count], self.turns[:count], self.teacher[:count])


@torch.no_grad()
def losses(
    loaded: Checkpoint, examples: Examples, token_loss: TokenLoss, objective: Objective
) -> dict[str, list[float]]:
    """Return the action loss and the alignment loss of each frame.

    A frame's action loss is the weighted mean over its tokens, as in a training batch of one.
    """
    model, batch = loaded.model, collate([[turn] for turn in examples.turns])
    encoded = model.vision_backbone(examples.low)
    states = model.hidden(examples.low, batch.text, layers=True, encoded=encoded)
    logits = answer_logits(model, states[-1], batch)
    visual = model.by_layer(encoded, states)
    action, alignment = [], []
    for number in range(len(examples.turns)):
        own = batch.rows == number
        alone = batch._replace(targets=batch.targets[own], weights=batch.weights[own])
        loss = token_loss(logits[own], alone)
        one = slice(number, number + 1)
        terms = objective(loss, [tokens[one] for tokens in visual], examples.teacher[one])
        action.append(float(terms.action))
        alignment.append(float(terms.alignment))
    return {ACTION: action, ALIGNMENT: alignment}


@dataclass(frozen=True)
class Measures:
    """What is measured at a point.

    Attributes:
        examples: frames.
        token_loss: of their actions.
        objective: Align's, with its projectors.
        asked: batches of held-out pictures with questions (`evaluate.batches`).
        kinds: of each picture, those of its questions.
    """

    examples: Examples
    token_loss: TokenLoss
    objective: Objective
    asked: Sequence[evaluate.Asked]
    kinds: Sequence[Sequence[str]]

    @property
    def looks(self) -> int:
        """Frames and pictures that are looked at."""
        return len(self.examples.turns) + len(self.kinds)

    def of(self, loaded: Checkpoint) -> Iterator[tuple[str, int, str, float]]:
        """Yield the values of a model: measure, item, kind, value (see `VALUES`)."""
        measured = losses(loaded, self.examples, self.token_loss, self.objective)
        for measure, values in measured.items():
            yield from ((measure, item, "", value) for item, value in enumerate(values))
        right = [answers for asked in self.asked for answers in evaluate.judge(loaded, asked)]
        for item, (kinds, answers) in enumerate(zip(self.kinds, right, strict=True)):
            yield from (
                (ANSWERS, item, kind, value) for kind, value in zip(kinds, answers, strict=True)
            )


def edges(names: Sequence[str], plane: Plane, between: int) -> list[Point]:
    """Return the points of the three lines between the base and two runs, ends included.

    Args:
        names: of the two runs.
        plane: through them.
        between: points of a line apart from its ends.
    """
    corners = dict(zip((BASE, *names), ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)), strict=True))
    points = []
    for start, end in ((BASE, names[0]), (BASE, names[1]), (names[0], names[1])):
        for t in np.linspace(0, 1, between + 2).tolist():
            a, b = (
                (1 - t) * one + t * other
                for one, other in zip(corners[start], corners[end], strict=True)
            )
            points.append(Point("edge", f"{start} to {end}", t, None, a, b, *plane.place(a, b)))
    return points


def grid(plane: Plane, side: int, margin: float) -> list[Point]:
    """Return a regular grid around the three models, row by row.

    Args:
        plane: through them.
        side: points along each axis.
        margin: how far it reaches beyond them, in shares of their extent along each axis.
    """
    corners = np.array([plane.place(*corner) for corner in ((0, 0), (1, 0), (0, 1))])
    low, high = corners.min(axis=0), corners.max(axis=0)
    reach = margin * (high - low)
    xs, ys = np.linspace(low - reach, high + reach, side).T.tolist()
    return [Point("grid", "", None, None, *plane.mixture(x, y), x, y) for y in ys for x in xs]


def path(plane: Plane, run: str, changes: Mapping[int, Any]) -> list[Point]:
    """Return where a training passed, projected on the plane; it starts at the base.

    Args:
        plane: through the base and two runs.
        run: its name.
        changes: of weights, by steps done.
    """
    points = [Point("path", run, None, 0, 0.0, 0.0, 0.0, 0.0)]
    for step, changed in changes.items():
        x, y, off = plane.project(changed)
        points.append(Point("path", run, None, step, *plane.mixture(x, y), x, y, off))
    return points


def measure(
    loaded: Checkpoint,
    plane: Plane,
    points: Sequence[Point],
    measures: Mapping[str, Measures],
    unit: float,
) -> tuple[pa.Table, pa.Table]:
    """Return the points and what was measured at them, as `POINTS` and `VALUES`.

    Args:
        loaded: the base; its weights are changed in place.
        plane: through it.
        points: in any order.
        measures: by part of the points; parts without are not measured.
        unit: expected CPU-seconds of a frame or picture at a point.
    """
    moved = Moved(loaded.model, plane)
    looks = [measures[point.part].looks for point in points if point.part in measures]
    each = unit * sum(looks) / max(len(looks), 1)
    progress = Progress("points of the plane", len(looks), each)
    columns: dict[str, list] = {name: [] for name in VALUES.names}
    for number, point in enumerate(points):
        if point.part not in measures:
            continue
        moved.to(point.first, point.second)
        for values in measures[point.part].of(loaded):
            for name, value in zip(VALUES.names, (number, *values), strict=True):
                columns[name].append(value)
        progress.advance()
    rows = [{"point": number, **point._asdict()} for number, point in enumerate(points)]
    columns["value"] = [float(value) for value in columns["value"]]
    return pa.Table.from_pylist(rows, schema=POINTS), pa.table(columns, schema=VALUES)
