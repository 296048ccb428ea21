"""Vision-language models of others under the same light: their attention and their states.

They differ from our own in size, depth and grid, and have no prompt of an action. What they are
asked, what is recorded, and how a map is measured are the same.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from unblind import png
from unblind.answerers import model as hub_model
from unblind.answerers.families import FAMILIES, PRISMATIC
from unblind.answerers.loading import check_folder
from unblind.answerers.model import Look
from unblind.config import Answerer, Attention, Collapse
from unblind.diagnosis import attention
from unblind.diagnosis.attention import AREAS, MAPS, RECORD
from unblind.diagnosis.frames import PARTS, Frames, area_shares
from unblind.progress import Progress
from unblind.vla import checkpoint, policy
from unblind.vla.batch import Turn, collate
from unblind.vla.checkpoint import Checkpoint

#: The prompt whose maps are recorded; the generic one divides them.
_PROMPT = "question"
#: `MAPS` with the rows and columns of the grid over which a map runs, row by row.
GRID_MAPS = pa.unify_schemas([MAPS, pa.schema([("rows", pa.int16()), ("columns", pa.int16())])])
_BATCH = 8


class Asked(Protocol):
    """A model that answers and can be looked into (`unblind.answerers.model.Answerer`).

    Attributes:
        layers: of its decoder.
    """

    layers: int

    def say(self, images: np.ndarray, questions: Sequence[str], tokens: int) -> list[str]:
        """Return what it answers."""

    def look(self, image: np.ndarray, question: str) -> Look:
        """Return where it looks, and its states."""


class PrismaticAnswerer:
    """A Prismatic VLM, read and run by our own code.

    Args:
        loaded: from `checkpoint.load`.

    Attributes:
        layers: of its decoder.
    """

    def __init__(self, loaded: Checkpoint) -> None:
        self._loaded, self.layers = loaded, loaded.model.config.layers

    def say(self, images: np.ndarray, questions: Sequence[str], tokens: int) -> list[str]:
        """Return what it answers, greedily."""
        starts = range(0, len(images), _BATCH)
        parts = [slice(start, start + _BATCH) for start in starts]
        said = (policy.answer(self._loaded, images[p], questions[p], tokens) for p in parts)
        return [text.strip() for some in said for text in some]

    @torch.no_grad()
    def look(self, image: np.ndarray, question: str) -> Look:
        """Return where it looks, and its states, for one picture (H, W, 3) uint8."""
        model, side = self._loaded.model, self._loaded.model.config.grid
        low = attention.low_features(self._loaded, image[None])
        prompt = tuple(self._loaded.vocabulary.question_prompt(question))
        model.check_length([prompt], 0)
        batch = collate([[Turn(prompt, (0,), (0.0,))]], device=low.device)
        with attention.attended(model, batch) as rows:
            states = model.hidden(low, batch.text, layers=True)
        weights = torch.stack(rows)[:, 0].double().cpu()
        seen = 1 + side**2
        weights = torch.cat([weights[..., :seen], weights[..., seen:].sum(-1, keepdim=True)], -1)
        kept = torch.stack(list(states))[:, 0].float().cpu().numpy()
        return Look((side, side), weights.numpy(), kept[:, 1:seen], kept[:, -1])


def load(
    folder: Path, about: Answerer, device: torch.device, dtype: torch.dtype, eager: bool
) -> Asked:
    """Return a run's model.

    Args:
        folder: of its checkpoint (`unblind.answerers.loading.place`).
        about: its family.
        device: where it shall lie.
        dtype: of its weights.
        eager: it will be looked into.

    Raises:
        UnblindError: a file is missing or damaged, or it is a model of another family.
    """
    if about.family == PRISMATIC:
        check_folder(folder, FAMILIES[PRISMATIC])
        return PrismaticAnswerer(checkpoint.load(folder, device, dtype))
    return hub_model.load(folder, about.family, device, dtype, eager)


def shares(frames: Frames, grid: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return by part, (N, rows * columns), the share of each visual token's area that shows it.

    The picture is cut into cells of which both rows and columns hold a whole number.
    """
    rows, columns = grid
    fine = math.lcm(rows, columns)
    blocks = (-1, rows, fine // rows, columns, fine // columns)
    found: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    for segments in frames.segments[:, None]:
        for number, part in enumerate(PARTS):
            cells = area_shares(segments == number, fine)
            found[part].append(cells.reshape(blocks).mean((2, 4)).reshape(1, -1))
    return {part: np.concatenate(some) for part, some in found.items()}


# ---- attention ----------------------------------------------------------------------------------


def attend(
    asked: Asked, frames: Frames, settings: Attention, unit_cpu_s: float
) -> tuple[pa.Table, pa.Table]:
    """Return a model's attention to frames as `attention.RECORD`, and `GRID_MAPS`.

    There is one prompt, the question. Maps are of each condition's first frame.

    Raises:
        UnblindError: the model gives no attention weights, or its visual tokens form no grid.
    """
    shown = set(frames.rows.groupby("condition", observed=True)["frame"].min())
    progress = Progress("frames attended to", len(frames), unit_cpu_s)
    tables, maps, parts = [], [], None
    for number, row in enumerate(frames.rows.itertuples()):
        question = settings.question.format(object=row.object.lower())
        looks = [asked.look(frames.images[number], text) for text in (question, settings.generic)]
        grid = looks[0].grid
        parts = parts if parts is not None else shares(frames, grid)
        areas = {
            area: sum(parts[part][number : number + 1] for part in some)
            for area, some in AREAS.items()
        }
        weights = np.stack([look.weights for look in looks])[None]
        tables.append(_numbers(row, areas, weights, grid))
        if row.frame in shown:
            maps += _maps(row, frames, number, weights, grid)
        progress.advance()
    return pa.concat_tables(tables), pa.Table.from_pylist(maps, schema=GRID_MAPS)


def _numbers(
    row: Any, areas: Mapping[str, np.ndarray], weights: np.ndarray, grid: tuple[int, int]
) -> pa.Table:
    """Return the rows of `RECORD` of one frame, of weights (1, 2, layers, heads, 2 + n)."""
    own = weights[0, 0]
    told = {name: getattr(row, name) for name in ("frame", "condition", "episode_id", "moment")}
    of_all, layers = own.mean(1), len(own)
    by_head = own[..., 1:-1] @ areas["target"][0] / own[..., 1:-1].sum(-1)
    tables = []
    for variant, maps in attention.variants(weights).items():
        raw = variant == "raw"
        columns = {name: v.ravel() for name, v in attention.measures(maps, areas).items()}
        places = maps[0, 0].argmax(-1)
        columns |= {"sink_row": places // grid[1], "sink_column": places % grid[1]}
        columns |= {"prompt": _PROMPT, "variant": variant, "layer": np.arange(layers) + 1}
        columns |= {
            "bos": of_all[:, 0] if raw else None,
            "visual": of_all[:, 1:-1].sum(-1) if raw else None,
            "target_by_head": list(by_head) if raw else None,
        }
        frame = pd.DataFrame({name: [value] * layers for name, value in told.items()})
        frame = frame.assign(**columns)
        tables.append(pa.Table.from_pandas(frame, schema=RECORD, preserve_index=False))
    return pa.concat_tables(tables)


def _maps(
    row: Any, frames: Frames, number: int, weights: np.ndarray, grid: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `GRID_MAPS` of one frame."""
    mask = 255 * (frames.segments[number] == PARTS.index("object")).astype(np.uint8)
    told = {name: getattr(row, name) for name in ("frame", "condition", "instruction", "object")}
    told |= {
        "image": png.encode(frames.images[number]),
        "target": png.encode(np.repeat(mask[..., None], 3, axis=2)),
        "prompt": _PROMPT,
        "rows": grid[0],
        "columns": grid[1],
    }
    for variant, maps in attention.variants(weights).items():
        for layer, one in enumerate(maps[0, 0]):
            yield told | {"variant": variant, "layer": layer + 1, "map": one.tolist()}


# ---- classes ------------------------------------------------------------------------------------


def features(asked: Asked, frames: Frames, settings: Collapse) -> dict[tuple[str, int], np.ndarray]:
    """Return by kind of tokens and layer a vector of each frame, (N, hidden) float64.

    Kinds are those of `unblind.diagnosis.collapse`, but for the one that repeats the release.
    """
    found: dict[tuple[str, int], list[np.ndarray]] = {}
    objects: np.ndarray | None = None
    for number, image in enumerate(frames.images):
        look = asked.look(image, settings.prompt)
        if objects is None:
            objects = shares(frames, look.grid)["object"]
        weights = objects[number] / objects[number].sum()
        for layer in settings.layers:
            visual = look.visual[layer].astype(float)
            for tokens, vector in {
                "object": weights @ visual,
                "picture": visual.mean(0),
                "prompt": look.last[layer].astype(float),
            }.items():
                found.setdefault((tokens, layer), []).append(vector)
    return {key: np.stack(vectors) for key, vectors in found.items()}
