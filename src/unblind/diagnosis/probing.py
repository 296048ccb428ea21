"""What can be read from visual tokens by linear models: names, and where things are.

The probe is the paper's (section 7.5, appendix A.4, table 14): the mean over all visual tokens, and
one linear layer on it, trained by SGD. Where a still's object is, ridge regression tells from all
tokens with their places. Neither changes the model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from unblind.config import Probe
from unblind.diagnosis import layers, probe_pictures
from unblind.diagnosis.probe_pictures import PLACE
from unblind.progress import Progress
from unblind.teachers.teacher import Teacher
from unblind.vla import random
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.pixels import Squeezed
from unblind.vla.prismatic import PrismaticConfig
from unblind.vla.text import Words

_WORD, _NAME = (pa.dictionary(kind, pa.string()) for kind in (pa.int8(), pa.int16()))
GUESSED = tuple(f"guessed_{name}" for name in PLACE)
RECORD = pa.schema(
    [
        *((name, _WORD) for name in ("task", "look", "site")),
        ("picture", pa.int32()),
        ("name", _NAME),
        ("guess", _NAME),
        *((name, pa.float32()) for name in (*PLACE, *GUESSED)),
    ]
)
"""One row a test picture and site: number of the picture in its task, the name of what it shows,
the probe's guess, and for stills where the object is and where it is guessed to be."""
_GRID = 8
"""Most tokens a side that a place is read from: larger grids are averaged down to it."""
_PIXELS = (16, 12)
"""Width and height to which a picture is reduced where pixels are the features."""
_BATCH = 8
#: Strengths of the ridge, of which leave-one-out errors choose for each number that is regressed.
_RIDGE = np.logspace(-1, 6, 15)


@dataclass(frozen=True)
class Features:
    """What a site makes of pictures: the mean over tokens (n, w), and all in a row (n, f)."""

    mean: Tensor
    whole: Tensor


Reader = Callable[[Sequence[np.ndarray]], Iterator[dict[str, Features]]]
"""Yields, for one batch of pictures after another, the features by site."""

# ---- what is probed ---------------------------------------------------------------------------


def of_model(loaded: Checkpoint) -> Reader:
    """Return what reads the visual tokens of a model at every site."""

    def read(images: Sequence[np.ndarray]) -> Iterator[dict[str, Features]]:
        for sites in layers.visual_tokens(loaded, images):
            yield {site: _of_tokens(tokens) for site, tokens in sites.items()}

    return read


def of_random(student: PrismaticConfig, seed: int) -> Reader:
    """Return the same of a model of the student's shape with random weights, a floor."""
    model = random.model(student, seed, dtype=torch.float32)
    # Of a checkpoint, what becomes of pictures needs model and pixels alone.
    pixels, words = Squeezed(student.image_size), Words.build(())
    return of_model(Checkpoint(model, words, pixels, {}, Path("random")))


def of_teacher(teacher: Teacher, student: PrismaticConfig) -> Reader:
    """Return what reads the teacher's tokens, of pictures of the student's size."""
    pixels = Squeezed(student.image_size)

    def read(images: Sequence[np.ndarray]) -> Iterator[dict[str, Features]]:
        for start in range(0, len(images), _BATCH):
            shown = pixels.training(np.stack(images[start : start + _BATCH]))
            yield {"teacher": _of_tokens(teacher.features(shown, student.grid))}

    return read


def of_pixels(images: Sequence[np.ndarray]) -> Iterator[dict[str, Features]]:
    """Read 16 x 12 pixels of (H, W, 3) uint8 pictures, a floor for what models read.

    The mean over places and the whole grid are the same: all colours in a row, (N, 576), 0 to 1.
    """
    small = [cv2.resize(image, _PIXELS, interpolation=cv2.INTER_AREA) for image in images]
    rows = torch.from_numpy(np.stack(small)).flatten(1).float() / 255
    yield {"pixels": Features(rows, rows)}


def _of_tokens(tokens: Tensor) -> Features:
    count, n, width = tokens.shape
    side = round(n**0.5)
    grid = tokens.float().transpose(1, 2).reshape(count, width, side, side)
    if side > _GRID:
        grid = functional.adaptive_avg_pool2d(grid, _GRID)
    return Features(tokens.float().mean(1), grid.flatten(1))


# ---- probes -----------------------------------------------------------------------------------


def classify(
    train: Tensor, labels: np.ndarray, test: Tensor, settings: Probe, seed: int
) -> np.ndarray:
    """Return the class that a linear layer sees in each test picture.

    It starts from zero; the order of training pictures depends on the seed alone, so that all
    models and sites have the same.

    Args:
        train: (n, w) features.
        labels: (n,) classes, from 0 on.
        test: (m, w) features.
        settings: of the training (paper, table 14).
        seed: of the order.
    """
    if settings.standardised:
        mean, scale = train.mean(0), train.std(0, correction=0)
        scale = torch.where(scale > 0, scale, 1)
        train, test = (train - mean) / scale, (test - mean) / scale
    target = torch.from_numpy(labels).long()
    layer = torch.nn.Linear(train.shape[1], int(labels.max()) + 1)
    for weights in layer.parameters():
        torch.nn.init.zeros_(weights)
    optimizer = torch.optim.SGD(
        layer.parameters(),
        settings.rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        for part in torch.randperm(len(train), generator=generator).split(settings.batch):
            loss = functional.cross_entropy(layer(train[part]), target[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return layer(test).argmax(1).numpy()


def regress(train: Tensor, values: np.ndarray, test: Tensor) -> np.ndarray:
    """Return (m, k) numbers that ridge regression reads from test features.

    Args:
        train: (n, f) features, scaled to unit deviation.
        values: (n, k) numbers; each has a strength of the ridge of its own.
        test: (m, f) features.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ridge = make_pipeline(StandardScaler(), RidgeCV(_RIDGE, alpha_per_target=True))
    return ridge.fit(train.numpy(), values).predict(test.numpy())


# ---- record -----------------------------------------------------------------------------------


def record(reader: Reader, folder: Path, settings: Probe, seed: int, unit: float) -> pa.Table:
    """Return what the probes guess of all test pictures at every site, as `RECORD`.

    Args:
        reader: what is probed.
        folder: of the pictures (`probe_pictures`).
        settings: of the training.
        seed: of its order.
        unit: expected CPU-seconds a picture.

    Raises:
        UnblindError: pictures are missing or unreadable.
    """
    total = sum(sum(splits.values()) for splits in probe_pictures.counts(folder).values())
    progress = Progress("pictures probed", total, unit)
    parts = []
    for task in probe_pictures.tasks(folder):
        read = partial(_gather, reader, folder, task, progress=progress)
        parts += _guesses(task, read("train"), read("test"), settings, seed)
    return pa.Table.from_pandas(pd.concat(parts), RECORD, preserve_index=False)


@dataclass(frozen=True)
class _Read:
    """The pictures of a split: their columns, and the features by site."""

    frame: pd.DataFrame
    sites: dict[str, Features]


def _gather(reader: Reader, folder: Path, task: str, split: str, progress: Progress) -> _Read:
    frames, batches = [], []
    for images, frame in probe_pictures.read(folder, task, split):
        placed = frame[PLACE[0]].notna().all()
        for sites in reader(images):
            # All tokens are much: they are kept only where a place is read from them.
            batches.append(
                {
                    site: Features(found.mean, found.whole if placed else found.mean[:, :0])
                    for site, found in sites.items()
                }
            )
        frames.append(frame)
        progress.advance(len(images))
    joined = {
        site: Features(
            *(torch.cat([getattr(batch[site], key) for batch in batches]) for key in _KEYS)
        )
        for site in batches[0]
    }
    return _Read(pd.concat(frames, ignore_index=True), joined)


_KEYS = ("mean", "whole")


def _guesses(
    task: str, train: _Read, test: _Read, settings: Probe, seed: int
) -> Iterator[pd.DataFrame]:
    """Yield the rows of each site."""
    names = sorted(set(train.frame["name"]))
    labels = train.frame["name"].map(names.index).to_numpy()
    placed = train.frame[PLACE[0]].notna().all()
    for site, features in train.sites.items():
        found = classify(features.mean, labels, test.sites[site].mean, settings, seed)
        rows = test.frame.assign(
            task=task,
            site=site,
            picture=np.arange(len(test.frame)),
            guess=[names[k] for k in found],
            **dict.fromkeys(GUESSED, np.float32("nan")),
        )
        if placed:
            values = train.frame[[*PLACE]].to_numpy(np.float64)
            rows[[*GUESSED]] = regress(features.whole, values, test.sites[site].whole)
        yield rows[RECORD.names].astype(dict.fromkeys((*PLACE, *GUESSED), np.float32)).round(4)
