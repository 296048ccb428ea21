"""Do a decoder's tokens keep objects of different classes apart? t-SNE, and numbers beside it.

The paper's figure shows a t-SNE of classes of COCO at three layers. Its released script looks the
class word up in the prompt's ids and reads the decoder's states at that index, although the visual
tokens stand before the text there: what it shows is one fixed patch. That is kept as the tokens
``released``. All else here is free of the class word: visual tokens stand before the prompt in a
causal decoder and do not depend on it, and the prompt is the same for all classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples
from sklearn.metrics.pairwise import cosine_distances

from unblind.config import Collapse
from unblind.diagnosis.attention import low_features
from unblind.diagnosis.frames import PARTS, Frames
from unblind.errors import UnblindError
from unblind.progress import Progress
from unblind.vla.batch import Turn, collate
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.text import BOS, Vocabulary

#: The vectors that are looked at: mean of the visual tokens that show the object, weighted by how
#: much of their area does; mean of all; the prompt's last token; and what the release reads.
TOKENS = ("object", "picture", "prompt", "released")
#: The release's prompt (``vizualize_tsne.py``).
RELEASED_PROMPT = "Do you see {name} on picture?"
#: Of the t-SNE (paper, section A.3; the release caps the perplexity and measures by cosine).
PERPLEXITY, SEED = 30, 42
_BATCH = 32
_WORD = pa.dictionary(pa.int8(), pa.string())
RECORD = pa.schema(
    [
        ("frame", pa.int32()),
        ("episode_id", pa.int64()),
        ("class", _WORD),
        ("tokens", _WORD),
        ("layer", pa.int16()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("silhouette", pa.float32()),
        ("right", pa.bool_()),
        ("overlap", pa.float32()),
    ]
)
"""One row a picture, kind of tokens and layer: its place in the t-SNE of the object's tokens (null
for others), its silhouette (cosine distance; 1: far from other classes, 0 and less: among them),
whether most of its nearest pictures of other episodes have its class, and the share of these that
have another."""


def record(loaded: Checkpoint, frames: Frames, settings: Collapse, unit_cpu_s: float) -> pa.Table:
    """Return where a model puts pictures of each class, as `RECORD`.

    Args:
        loaded: the model.
        frames: pictures; those of other objects, and in which the object is hidden, are left out.
        settings: classes, layers, prompt and neighbours.
        unit_cpu_s: expected CPU-seconds a layer.

    Raises:
        UnblindError: a class has no picture, pictures are too few, or a layer does not exist.
    """
    frames = pictures(frames, settings)
    check_layers(settings.layers, loaded.model.config.layers)
    return table(frames, features(loaded, frames, settings), settings, unit_cpu_s)


def table(
    frames: Frames,
    vectors: Mapping[tuple[str, int], np.ndarray],
    settings: Collapse,
    unit_cpu_s: float,
) -> pa.Table:
    """Return where a model puts pictures of each class, as `RECORD`.

    Args:
        frames: of `pictures`.
        vectors: by `TOKENS` and layer, (N, hidden).
        settings: see `record`.
        unit_cpu_s: expected CPU-seconds a layer.
    """
    classes, episodes = frames.rows["object"].to_numpy(), frames.rows["episode_id"].to_numpy()
    told = frames.rows[["frame", "episode_id"]].assign(**{"class": classes})
    progress, parts = (
        Progress("kinds of tokens by layer", len(vectors), unit_cpu_s / len(TOKENS)),
        [],
    )
    for (tokens, layer), values in vectors.items():
        columns = {"tokens": tokens, "layer": layer, "x": np.nan, "y": np.nan}
        if tokens == TOKENS[0]:
            columns |= dict(zip("xy", embed(values).T, strict=True))
        columns |= separation(values, classes, episodes, settings.neighbours)
        rows = told.assign(**columns)
        parts.append(pa.Table.from_pandas(rows, schema=RECORD, preserve_index=False))
        progress.advance()
    return pa.concat_tables(parts)


def pictures(frames: Frames, settings: Collapse) -> Frames:
    """Return the frames that show an object of one of the classes.

    Raises:
        UnblindError: a class has none, or they are too few.
    """
    shown = (frames.segments == PARTS.index("object")).any((1, 2))
    frames = frames.where(shown & frames.rows["object"].isin(settings.classes).to_numpy())
    counts = frames.rows["object"].value_counts()
    if empty := [name for name in settings.classes if name not in counts]:
        cause = f"no picture shows an object of the class {', '.join(empty)}"
        raise UnblindError(cause, "draw them: unblind frames, with them in collapse.classes")
    if counts.min() < 2 or len(frames) <= settings.neighbours:
        cause = f"{len(frames)} pictures of {len(counts)} classes are too few to compare"
        raise UnblindError(cause, "raise frames.class_episodes")
    return frames


def check_layers(layers: Sequence[int], depth: int) -> None:
    """Refuse layers that a decoder does not have, or that are named twice.

    Raises:
        UnblindError: there are such.
    """
    if max(layers) > depth or len(set(layers)) < len(layers):
        cause = f"cannot look at layers {list(layers)} of a decoder of {depth}"
        raise UnblindError(cause, f"give collapse.layers from 1 to {depth}, each once")


# ---- vectors ------------------------------------------------------------------------------------


@torch.no_grad()
def features(
    loaded: Checkpoint, frames: Frames, settings: Collapse
) -> dict[tuple[str, int], np.ndarray]:
    """Return by `TOKENS` and layer a vector of each frame, (N, hidden) float64."""
    model, words = loaded.model.eval(), loaded.vocabulary
    prompt = words.question_prompt(settings.prompt)
    model.check_length([prompt], 0)
    shares = frames.shares(model.config.grid)["object"]
    places = [released_place(words, name) for name in frames.rows["object"]]
    found: dict[tuple[str, int], list[np.ndarray]] = {}
    for start in range(0, len(frames), _BATCH):
        rows = slice(start, start + _BATCH)
        images = frames.images[rows]
        text = collate([[Turn(prompt, (0,), (0.0,))]] * len(images)).text
        states = model.hidden(low_features(loaded, images), text, layers=True)
        for layer in settings.layers:
            at_layer = states[layer].double().cpu().numpy()
            for tokens, vectors in _vectors(at_layer, shares[rows], places[rows]).items():
                found.setdefault((tokens, layer), []).append(vectors)
    return {key: np.concatenate(parts) for key, parts in found.items()}


def _vectors(states: np.ndarray, shares: np.ndarray, places: list[int]) -> Mapping[str, np.ndarray]:
    """Return by `TOKENS` a vector of each picture of a batch, of states (B, 1 + n + T, hidden)."""
    visual = states[:, 1 : 1 + shares.shape[1]]
    weights = shares / shares.sum(1, keepdims=True)
    return {
        "object": np.einsum("bt,bth->bh", weights, visual),
        "picture": visual.mean(1),
        "prompt": states[:, -1],
        "released": states[np.arange(len(states)), places],
    }


def released_place(words: Vocabulary, name: str) -> int:
    """Return the index at which the release reads the state of a class word.

    It looks for a piece of the prompt that holds the whole word, and falls back to the last one.
    """
    ids = (BOS, *words.question_prompt(RELEASED_PROMPT.format(name=name)))
    pieces = [words.tokenizer.id_to_token(number).lower() for number in ids]
    found = (place for place, piece in enumerate(pieces) if name.lower() in piece)
    return next(found, len(pieces) - 1)


# ---- numbers ------------------------------------------------------------------------------------


def embed(vectors: np.ndarray) -> np.ndarray:
    """Return the t-SNE of vectors (N, width), (N, 2), as the paper sets it."""
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    tsne = TSNE(
        perplexity=perplexity,
        init="pca",
        metric="cosine",
        random_state=SEED,
        max_iter=1000,
        n_jobs=1,
    )
    return tsne.fit_transform(vectors.astype(np.float32))


def separation(
    vectors: np.ndarray, classes: np.ndarray, episodes: np.ndarray, neighbours: int
) -> dict[str, np.ndarray]:
    """Return of each picture the columns of `RECORD` that tell how apart its class is.

    Args:
        vectors: (N, width).
        classes: (N,) names.
        episodes: (N,); pictures of the same episode are no neighbours.
        neighbours: nearest pictures that vote; of classes with as many votes, the nearest wins.
    """
    distances = cosine_distances(vectors)
    apart = np.where(episodes[:, None] == episodes, np.inf, distances)
    nearest = classes[np.argsort(apart, axis=1, kind="stable")[:, :neighbours]]
    votes = (nearest[:, :, None] == nearest[:, None]).sum(2)
    winners = nearest[np.arange(len(nearest)), votes.argmax(1)]
    np.fill_diagonal(distances, 0.0)
    return {
        "silhouette": silhouette_samples(distances, classes, metric="precomputed"),
        "right": winners == classes,
        "overlap": (nearest != classes[:, None]).mean(1),
    }
