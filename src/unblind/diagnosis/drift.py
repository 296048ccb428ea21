"""How far fine-tuning moves visual tokens away from those of the base.

Two measures compare the tokens of one picture set in two models, site by site (`layers.sites`):

- linear CKA (Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited"),
  every token of every picture being an example: 1 if one set is a rotation and a scaling of the
  other, 0 if neither tells anything linear of the other;
- the mean cosine between a token and the same token of the base, which a rotation does change.

Intervals are bootstrapped over pictures: tokens of one picture are not independent. They are 1.96
standard deviations of the resampled values wide on each side. Percentiles would lie too high: a
picture that is drawn twice is like itself, so that resampled sets are more alike than new ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from unblind.diagnosis import layers
from unblind.progress import Progress
from unblind.vla.checkpoint import Checkpoint

#: Which pictures are looked at: held-out ones with questions, and frames of demonstrations.
HELD_OUT, DEMONSTRATIONS = "held out", "demonstrations"
MEASURES = ("cka", "cosine")
_WORD = pa.dictionary(pa.int8(), pa.string())
RECORD = pa.schema(
    [("step", pa.int32()), ("pictures", _WORD), ("site", _WORD), ("n", pa.int32())]
    + [(f"{measure}{part}", pa.float64()) for measure in MEASURES for part in ("", "_low", "_high")]
)
"""One row a step of the training, set of pictures and site: number of pictures, and each measure
with its 95 % interval over pictures. Step 0 is the base itself."""
#: Resampled sums of moments that are held at a time.
_CHUNK = 16
#: Standard deviations on each side of a 95 % interval.
_SPREAD = 1.96


def record(
    models: Mapping[int, Callable[[], Checkpoint]],
    pictures: Mapping[str, Sequence[np.ndarray]],
    resamples: int,
    seed: int,
) -> pa.Table:
    """Return how alike the visual tokens of each model are to those of the first, as `RECORD`.

    Args:
        models: by step, what loads the model; the first is the base.
        pictures: by name of the set, (H, W, 3) uint8 each.
        resamples: of each set of pictures.
        seed: of the resampling, the same for all models and sites.

    Raises:
        UnblindError: a model cannot be loaded.
    """
    draws = {name: _draws(len(images), resamples, seed) for name, images in pictures.items()}
    progress = Progress("models compared with the base", len(models), 0.0)
    base: dict[str, dict[str, np.ndarray]] = {}
    rows = []
    for step, load in models.items():
        model = load()
        tokens = {name: _tokens(model, images) for name, images in pictures.items()}
        base = base or tokens
        for name, by_site in tokens.items():
            for site, own in by_site.items():
                told = {"step": step, "pictures": name, "site": site, "n": len(own)}
                rows.append(told | _compared(base[name][site], own, draws[name]))
        progress.advance()
    return pa.Table.from_pylist(rows, schema=RECORD)


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Return the linear CKA of two sets of tokens (P, n, width) of the same places."""
    everything = np.ones((1, len(first)))
    return float(_cka(first, second, everything)[0])


def _draws(count: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each picture counts, (1 + resamples, count): first all of them once."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    return np.vstack([np.ones(count), drawn])


def _tokens(loaded: Checkpoint, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return all tokens of pictures by site, (P, n, width) float64."""
    parts = list(layers.visual_tokens(loaded, images))
    return {site: torch.cat([part[site] for part in parts]).double().numpy() for site in parts[0]}


def _compared(base: np.ndarray, own: np.ndarray, draws: np.ndarray) -> dict[str, float]:
    cosines = (base * own).sum(-1)
    cosines /= np.linalg.norm(base, axis=-1) * np.linalg.norm(own, axis=-1)
    values = {
        "cka": _cka(base, own, draws),
        "cosine": draws @ cosines.mean(axis=1) / draws.sum(axis=1),
    }
    told = {}
    for measure, (value, *drawn) in values.items():
        half = _SPREAD * np.std(drawn)
        told |= {measure: value, f"{measure}_low": value - half}
        told |= {f"{measure}_high": min(value + half, 1.0)}
    return told


def _cka(first: np.ndarray, second: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the linear CKA for each row of ``draws``, how often each picture counts."""
    # Centred roughly beforehand, so that sums of squares lose no digits.
    first, second = (tokens - tokens.mean(axis=(0, 1)) for tokens in (first, second))
    cross, own, other = (
        _squares(*pair, draws) for pair in ((first, second), (first, first), (second, second))
    )
    return cross / np.sqrt(own * other)


def _squares(first: np.ndarray, second: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the squared Frobenius norm of the cross-covariance for each row of ``draws``."""
    moments = np.matmul(first.transpose(0, 2, 1), second).reshape(len(first), -1)
    sums = [tokens.sum(axis=1) for tokens in (first, second)]
    norms = []
    for weights in _chunks(draws):
        products = (weights @ moments).reshape(len(weights), first.shape[2], second.shape[2])
        left, right = (weights @ each for each in sums)
        count = weights.sum(axis=1)[:, None, None] * first.shape[1]
        centred = products - left[:, :, None] * right[:, None, :] / count
        norms.append((centred**2).sum(axis=(1, 2)))
    return np.concatenate(norms)


def _chunks(draws: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(draws), _CHUNK):
        yield draws[start : start + _CHUNK]
