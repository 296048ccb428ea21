"""Attention of a prompt's last token, which predicts the first token of the answer, to the picture.

The decoder's fused attention keeps no weights. They are computed beside it, from the same queries
and keys, so that nothing the model computes changes (`attended`).

The release looks at the mean over heads and divides it by the map of a generic prompt
(``vizualize_attention.py``): where a model looks at whatever it is asked then stands out less.
"""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from unblind import png
from unblind.config import Attention
from unblind.diagnosis.frames import PARTS, Frames
from unblind.errors import UnblindError
from unblind.progress import Progress
from unblind.vla.batch import Batch, Turn, collate
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.prismatic import Prismatic

#: What a frame is asked: its instruction, and whether the target is there; the third is generic.
PROMPTS = ("action", "question", "generic")
#: Maps as they are, and divided by that of the generic prompt.
VARIANTS = ("raw", "divided")
#: Where attention is added up, and the `PARTS` that belong to it.
AREAS: Mapping[str, tuple[str, ...]] = {
    "target": ("object",),
    "plate": ("plate",),
    "distractor": ("distractor", "distractor_plate"),
    "robot": ("robot",),
}
#: Added to the generic map before dividing by it (released).
_EPSILON = 1e-6
_BATCH = 16
_WORD = pa.dictionary(pa.int8(), pa.string())
RECORD = pa.schema(
    [
        ("frame", pa.int32()),
        ("condition", _WORD),
        ("episode_id", pa.int64()),
        ("moment", _WORD),
        ("prompt", _WORD),
        ("variant", _WORD),
        ("layer", pa.int16()),
        ("bos", pa.float32()),
        ("visual", pa.float32()),
        *((area, pa.float32()) for area in AREAS),
        *((f"{area}_lift", pa.float32()) for area in AREAS),
        ("entropy", pa.float32()),
        ("sink", pa.float32()),
        ("sink_row", pa.int16()),
        ("sink_column", pa.int16()),
        ("target_by_head", pa.list_(pa.float32())),
    ]
)
"""One row a frame, prompt, variant and layer (from 1).

``bos`` and ``visual``: shares of all attention, of raw maps alone; the rest goes to the prompt.
Of a map over the visual tokens that adds up to 1: its share on each area, the same over the area's
share of the picture (``_lift``; 1: as much as chance; null where it is not to be seen), entropy
over its largest value (1: even), and share and place of the strongest token. Of raw maps also the
target's share by head."""
MAPS = pa.schema(
    [
        ("frame", pa.int32()),
        ("condition", _WORD),
        ("instruction", pa.string()),
        ("object", pa.string()),
        ("image", pa.binary()),
        ("target", pa.binary()),
        ("prompt", _WORD),
        ("variant", _WORD),
        ("layer", pa.int16()),
        ("map", pa.list_(pa.float32())),
    ]
)
"""Maps over the visual tokens, row by row, of few frames, with picture and target's mask (PNG)."""


def record(
    loaded: Checkpoint, frames: Frames, settings: Attention, unit_cpu_s: float
) -> tuple[pa.Table, pa.Table]:
    """Return a model's attention to frames as `RECORD`, and `MAPS` of each condition's first frame.

    Args:
        loaded: the model.
        frames: with the place of every thing.
        settings: the prompts.
        unit_cpu_s: expected CPU-seconds a frame.

    Raises:
        UnblindError: the model gives no attention weights, or a prompt is too long for it.
    """
    areas = area_masks(frames, loaded.model.config.grid)
    shown = set(frames.rows.groupby("condition", observed=True)["frame"].min())
    progress, tables, maps = Progress("frames attended to", len(frames), unit_cpu_s), [], []
    for start in range(0, len(frames), _BATCH):
        part = np.zeros(len(frames), bool)
        part[start : start + _BATCH] = True
        some, masks = frames.where(part), {name: mask[part] for name, mask in areas.items()}
        weights = prompt_attention(loaded, some, settings)
        tables.append(_table(some, masks, weights))
        maps += _maps(some, weights, shown)
        progress.advance(len(some))
    return pa.concat_tables(tables), pa.Table.from_pylist(maps, schema=MAPS)


def area_masks(frames: Frames, grid: int) -> dict[str, np.ndarray]:
    """Return by area, (N, grid * grid), the share of each visual token that shows it."""
    shares = frames.shares(grid)
    return {area: sum(shares[part] for part in parts) for area, parts in AREAS.items()}


@torch.no_grad()
def prompt_attention(loaded: Checkpoint, frames: Frames, settings: Attention) -> np.ndarray:
    """Return the weights of each prompt's last token, (N, prompts, layers, heads, 2 + n) float64.

    The last axis: the first token, the visual tokens, and the prompt itself as a whole.
    """
    model = loaded.model.eval()
    prompts = [
        _prompts(loaded, row.instruction, row.object, settings) for row in frames.rows.itertuples()
    ]
    model.check_length([ids for some in prompts for ids in some], 0)
    batch = collate([[Turn(ids, (0,), (0.0,)) for ids in some] for some in prompts])
    low = low_features(loaded, frames.images)
    with attended(model, batch) as layers:
        model.hidden(low, batch.text)
    weights = torch.stack(layers, 1).double()  # (N * prompts, layers, heads, tokens)
    seen = 1 + model.config.grid**2
    text = weights[..., seen:].sum(-1, keepdim=True)
    weights = torch.cat([weights[..., :seen], text], -1)
    return weights.reshape(len(frames), len(PROMPTS), *weights.shape[1:]).cpu().numpy()


def _prompts(
    loaded: Checkpoint, instruction: str, name: str, settings: Attention
) -> tuple[tuple[int, ...], ...]:
    """Return the ids of `PROMPTS` for one frame."""
    words = loaded.vocabulary
    question = settings.question.format(object=name.lower())
    questions = (words.question_prompt(text) for text in (question, settings.generic))
    return (words.action_prompt(instruction), *questions)


def low_features(loaded: Checkpoint, images: np.ndarray) -> Tensor:
    """Return what `Prismatic.hidden` takes of pictures (N, H, W, 3), as a policy sees them."""
    weight = loaded.model.language_model.lm_head.weight
    return loaded.model.vision_backbone.low(
        loaded.pixels.evaluation(images, weight.device, weight.dtype)
    )


# ---- weights ------------------------------------------------------------------------------------


@contextlib.contextmanager
def attended(model: Prismatic, batch: Batch) -> Iterator[list[Tensor]]:
    """Collect, while the model runs on a batch, what its targets' positions attend to.

    Yields a list that gets one tensor a layer, (M, heads, 1 + n + T): of each of the batch's
    targets, the weights of the position that predicts it. They add up to 1.

    Raises:
        UnblindError: the decoder is none whose weights can be computed.
    """
    layers: list[Tensor] = []

    def collect(attention: nn.Module, _: tuple, inputs: dict) -> None:
        layers.append(_weights(attention, inputs, batch))

    with contextlib.ExitStack() as stack:
        for attention in attentions(model):
            hook = attention.register_forward_pre_hook(collect, with_kwargs=True)
            stack.callback(hook.remove)
        yield layers


def attentions(model: Prismatic) -> list[nn.Module]:
    """Return the decoder's attention modules, first to last.

    Raises:
        UnblindError: they are not Llama's.
    """
    blocks = getattr(getattr(model.language_model, "model", None), "layers", ())
    found = [getattr(block, "self_attn", None) for block in blocks]
    parts = ("q_proj", "k_proj", "head_dim", "scaling", "num_key_value_groups")
    if not found or not all(hasattr(one, part) for one in found for part in parts):
        raise UnblindError(
            f"the decoder {type(model.language_model).__name__} gives no attention weights",
            "use a model whose decoder is a Llama",
        )
    return found


def _weights(attention: nn.Module, inputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """Return the softmax over scaled products of rotated queries and keys that may be seen."""
    # Loaded with the model, behind a guard (`unblind.vla.prismatic`).
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    states, mask = inputs["hidden_states"], inputs["attention_mask"]
    split = (*states.shape[:2], -1, attention.head_dim)
    queries = attention.q_proj(states).view(split).transpose(1, 2)
    keys = attention.k_proj(states).view(split).transpose(1, 2)
    queries, keys = apply_rotary_pos_emb(queries, keys, *inputs["position_embeddings"])
    keys = keys.repeat_interleave(attention.num_key_value_groups, 1)
    rows, places = batch.rows, states.shape[1] - batch.text.ids.shape[1] + batch.places
    scores = torch.einsum("mhd,mhnd->mhn", queries[rows, :, places].float(), keys[rows].float())
    scores = scores * attention.scaling
    return scores.masked_fill(~mask[rows, 0, places][:, None], -torch.inf).softmax(-1)


# ---- what is recorded ---------------------------------------------------------------------------


def variants(weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return by variant the maps of the first prompts, (N, prompts - 1, layers, n), that add to 1.

    Args:
        weights: of :func:`prompt_attention`.
    """
    maps = weights[..., 1:-1].mean(3)
    asked, generic = maps[:, :-1], maps[:, -1:]
    both = {"raw": asked, "divided": asked / (generic + _EPSILON)}
    return {name: some / some.sum(-1, keepdims=True) for name, some in both.items()}


def measures(maps: np.ndarray, areas: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of `RECORD` that a map decides, each of the maps' shape without tokens.

    Args:
        maps: (N, ..., n) over visual tokens, that add up to 1.
        areas: by area, (N, n), the share of each token that shows it.
    """
    tokens = maps.shape[-1]
    columns = {}
    for area, mask in areas.items():
        columns[area] = np.einsum("n...t,nt->n...", maps, mask)
        size = mask.mean(1).reshape(-1, *[1] * (maps.ndim - 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            columns[f"{area}_lift"] = np.where(size > 0, columns[area] / size, np.nan)
    logs = np.log(maps, out=np.zeros_like(maps), where=maps > 0)
    place = maps.argmax(-1)
    side = round(tokens**0.5)
    return columns | {
        "entropy": -(maps * logs).sum(-1) / np.log(tokens),
        "sink": maps.max(-1),
        "sink_row": place // side,
        "sink_column": place % side,
    }


def _table(frames: Frames, areas: Mapping[str, np.ndarray], weights: np.ndarray) -> pa.Table:
    """Return the rows of `RECORD` of some frames."""
    asked = weights[:, :-1]
    by_head = np.einsum("nplht,nt->nplh", asked[..., 1:-1], areas["target"])
    by_head /= asked[..., 1:-1].sum(-1)
    of_all = asked.mean(3)
    shape = of_all.shape[:-1]
    index = np.indices(shape).reshape(len(shape), -1)
    tables = []
    for variant, maps in variants(weights).items():
        raw = variant == "raw"
        columns = {name: values.ravel() for name, values in measures(maps, areas).items()}
        columns |= {
            "prompt": np.array(PROMPTS)[index[1]],
            "variant": np.full(index.shape[1], variant),
            "layer": index[2] + 1,
            "bos": of_all[..., 0].ravel() if raw else None,
            "visual": of_all[..., 1:-1].sum(-1).ravel() if raw else None,
            "target_by_head": list(by_head.reshape(-1, by_head.shape[-1])) if raw else None,
        }
        told = frames.rows[["frame", "condition", "episode_id", "moment"]].iloc[index[0]]
        rows = told.reset_index(drop=True).assign(**columns)
        tables.append(pa.Table.from_pandas(rows, schema=RECORD, preserve_index=False))
    return pa.concat_tables(tables)


def _maps(frames: Frames, weights: np.ndarray, shown: set[int]) -> list[dict]:
    """Return the rows of `MAPS` of those of some frames that are shown."""
    rows = []
    for number, row in enumerate(frames.rows.itertuples()):
        if row.frame not in shown:
            continue
        mask = 255 * (frames.segments[number] == PARTS.index("object")).astype(np.uint8)
        told = {
            "frame": row.frame,
            "condition": row.condition,
            "instruction": row.instruction,
            "object": row.object,
            "image": png.encode(frames.images[number]),
            "target": png.encode(np.repeat(mask[..., None], 3, axis=2)),
        }
        for variant, maps in variants(weights).items():
            rows += [
                told
                | {
                    "prompt": PROMPTS[p],
                    "variant": variant,
                    "layer": layer + 1,
                    "map": one.tolist(),
                }
                for p, by_layer in enumerate(maps[number])
                for layer, one in enumerate(by_layer)
            ]
    return rows
