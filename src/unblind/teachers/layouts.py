"""How the published teachers name their weights, and where each one goes.

Four families, all vision transformers, each with names of its own on the Hugging Face hub:

=========  ======================================  ==========================================
family     checkpoints                             names
=========  ======================================  ==========================================
``radio``  nvidia/C-RADIOv3-*                      ``radio_model.model.blocks.0.attn.qkv``
``dino``   facebook/dinov2-*                       ``encoder.layer.0.attention.attention``
``siglip`` google/siglip-so400m-patch14-224        ``vision_model.encoder.layers.0.self_attn``
``theia``  theaiinstitute/theia-base-patch16-224-* ``backbone.model.encoder.layer.0``
=========  ======================================  ==========================================

C-RADIOv3-L has LayerScale, stored as ``ls1.grandma`` and ``ls2.grandma``; C-RADIOv3-H has none.
The names' map inside transformers 5.17 knows no LayerScale and would leave it out without a
word, so the weights are mapped here and every name is accounted for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from unblind.teachers.registry import Sizes
from unblind.weights import Shape

#: Class and register tokens of C-RADIOv3: one class token for each of its four teachers.
RADIO_CLASS_TOKENS, RADIO_REGISTERS = 4, 4
#: Mean and deviation of CLIP's normalisation, which C-RADIOv3 keeps among its weights.
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Entry:
    """Tensors of a checkpoint that become tensors of a network: joined, then cut evenly.

    Attributes:
        theirs: names in the checkpoint.
        shape: of each of them.
        ours: names in the network.
        values: numbers that the tensor must hold, where the network does not take them from it.
    """

    theirs: tuple[str, ...]
    shape: Shape
    ours: tuple[str, ...]
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The names of one family.

    Attributes:
        entries: all tensors that the features need, and those that must hold given numbers.
        unused: beginnings of the names of tensors that may lie beside them.
    """

    entries: Callable[[Sizes], Iterator[Entry]]
    unused: tuple[str, ...]

    def shapes(self, sizes: Sizes) -> dict[str, Shape]:
        """Return name -> shape of the tensors that a checkpoint must hold."""
        return {name: entry.shape for entry in self.entries(sizes) for name in entry.theirs}

    def is_unused(self, name: str) -> bool:
        """Tell whether a checkpoint may hold this tensor although no feature needs it."""
        return name.startswith(self.unused)


def _layer(
    theirs: str | tuple[str, ...], ours: str | tuple[str, ...], outputs: int, inputs: int = 0
) -> Iterator[Entry]:
    """Yield weight and bias of a linear layer, or of a norm where there are no inputs."""
    theirs = (theirs,) if isinstance(theirs, str) else theirs
    ours = (ours,) if isinstance(ours, str) else ours
    for part, shape in (("weight", (outputs, inputs) if inputs else (outputs,)), ("bias", None)):
        names = tuple(f"{name}.{part}" for name in theirs)
        yield Entry(names, shape or (outputs,), tuple(f"{name}.{part}" for name in ours))


def _radio(sizes: Sizes) -> Iterator[Entry]:
    width, top, patches = sizes.width, "radio_model.model.", "radio_model.model.patch_generator."
    prefix = RADIO_CLASS_TOKENS + RADIO_REGISTERS
    for name, values in zip(("norm_mean", "norm_std"), CLIP, strict=True):
        yield Entry((f"radio_model.input_conditioner.{name}",), (3, 1, 1), (), values)
    for theirs, shape, ours in (
        (
            patches + "embedder.weight",
            (width, 3 * sizes.patch**2),
            "embeddings.patch_projection.weight",
        ),
        (patches + "pos_embed", (1, sizes.positions**2, width), "embeddings.position_embedding"),
        (patches + "cls_token.token", (prefix, width), "embeddings.cls_register_token"),
    ):
        yield Entry((theirs,), shape, (ours,))
    for index in range(sizes.depth):
        theirs, ours = f"{top}blocks.{index}.", f"encoder.layer.{index}."
        yield from _layer(theirs + "norm1", ours + "norm1", width)
        split = tuple(f"{ours}attention.attention.{part}" for part in ("query", "key", "value"))
        yield from _layer(theirs + "attn.qkv", split, 3 * width, width)
        yield from _layer(theirs + "attn.proj", ours + "attention.output.dense", width, width)
        yield from _layer(theirs + "norm2", ours + "norm2", width)
        yield from _layer(theirs + "mlp.fc1", ours + "mlp.fc1", sizes.hidden, width)
        yield from _layer(theirs + "mlp.fc2", ours + "mlp.fc2", width, sizes.hidden)
        for part in (1, 2) if sizes.scaled else ():
            scale = (f"{ours}layer_scale{part}.lambda1",)
            yield Entry((f"{theirs}ls{part}.grandma",), (width,), scale)


@dataclass(frozen=True)
class _Dialect:
    """Names of one block's parts, and of what stands around the blocks."""

    block: str
    norms: tuple[str, str]
    attention: tuple[str, str, str, str]  # query, key, value, output
    linear: tuple[str, str]
    patches: str
    positions: str
    norm: str
    token: str = ""
    scales: tuple[str, str] = ("", "")
    gated: tuple[str, str] = ("", "")


def _vit(names: _Dialect, sizes: Sizes) -> Iterator[Entry]:
    """Yield what becomes timm's VisionTransformer."""
    width, count = sizes.width, sizes.positions**2
    convolution = (width, 3, sizes.patch, sizes.patch)
    yield Entry((names.patches + ".weight",), convolution, ("patch_embed.proj.weight",))
    yield Entry((names.patches + ".bias",), (width,), ("patch_embed.proj.bias",))
    # SigLIP has no class token and keeps its positions as a table of rows.
    positions = (1, count + 1, width) if names.token else (count, width)
    yield Entry((names.positions,), positions, ("pos_embed",))
    if names.token:
        yield Entry((names.token,), (1, 1, width), ("cls_token",))
    yield from _layer(names.norm, "norm", width)
    for index in range(sizes.depth):
        yield from _block(names, sizes, names.block.format(index), f"blocks.{index}.")


def _block(names: _Dialect, sizes: Sizes, theirs: str, ours: str) -> Iterator[Entry]:
    width, joined = sizes.width, 2 * sizes.hidden if sizes.gated else sizes.hidden
    first, second = names.gated if sizes.gated else names.linear
    three = tuple(theirs + part for part in names.attention[:3])
    yield from _layer(theirs + names.norms[0], ours + "norm1", width)
    yield from _layer(three, ours + "attn.qkv", width, width)
    yield from _layer(theirs + names.attention[3], ours + "attn.proj", width, width)
    yield from _layer(theirs + names.norms[1], ours + "norm2", width)
    yield from _layer(theirs + first, ours + "mlp.fc1", joined, width)
    yield from _layer(theirs + second, ours + "mlp.fc2", width, sizes.hidden)
    for part, scale in enumerate(names.scales if sizes.scaled else (), 1):
        yield Entry((theirs + scale,), (width,), (f"{ours}ls{part}.gamma",))


def _hugging_face(prefix: str, **others: tuple[str, str]) -> _Dialect:
    """Return the names that DINOv2 and DeiT share."""
    return _Dialect(
        block=prefix + "encoder.layer.{}.",
        attention=(
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
            "attention.output.dense",
        ),
        patches=prefix + "embeddings.patch_embeddings.projection",
        positions=prefix + "embeddings.position_embeddings",
        token=prefix + "embeddings.cls_token",
        norm=prefix + "layernorm",
        **others,
    )


_DINO = _hugging_face(
    "",
    norms=("norm1", "norm2"),
    linear=("mlp.fc1", "mlp.fc2"),
    gated=("mlp.weights_in", "mlp.weights_out"),
    scales=("layer_scale1.lambda1", "layer_scale2.lambda1"),
)
_THEIA = _hugging_face(
    "backbone.model.",
    norms=("layernorm_before", "layernorm_after"),
    linear=("intermediate.dense", "output.dense"),
)
_SIGLIP = _Dialect(
    block="vision_model.encoder.layers.{}.",
    norms=("layer_norm1", "layer_norm2"),
    attention=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
    linear=("mlp.fc1", "mlp.fc2"),
    patches="vision_model.embeddings.patch_embedding",
    positions="vision_model.embeddings.position_embedding.weight",
    norm="vision_model.post_layernorm",
)

LAYOUTS: dict[str, Layout] = {
    # Registers of the plain network, which the patch generator's tokens replace; the numbers of
    # the class tokens that form a summary of the whole picture.
    "radio": Layout(_radio, ("radio_model.model.reg_token", "radio_model.summary_idxs")),
    "dino": Layout(lambda sizes: _vit(_DINO, sizes), ("embeddings.mask_token",)),
    "siglip": Layout(
        lambda sizes: _vit(_SIGLIP, sizes),
        ("text_model.", "logit_", "vision_model.head.", "vision_model.embeddings.position_ids"),
    ),
    # The heads that translate Theia's features into those of its own teachers.
    "theia": Layout(lambda sizes: _vit(_THEIA, sizes), ("translator.",)),
}
