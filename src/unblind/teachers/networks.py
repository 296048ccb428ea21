"""The published teachers as networks: transformers' RadioModel, timm's VisionTransformer.

Pictures come in normalised; neither network normalises again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.machine import torchvision
from unblind.teachers.layouts import CLIP, RADIO_CLASS_TOKENS, RADIO_REGISTERS
from unblind.teachers.registry import Sizes

torchvision.guard()

Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]
_IMAGENET: Normalisation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF: Normalisation = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
#: DINO adds a tenth of a token before it stretches position embeddings, against rounding.
_OFFSET = 0.1


@dataclass(frozen=True)
class Network:
    """How one family computes tokens.

    Attributes:
        build: makes the network of some sizes, without published weights.
        tokens: network, normalised pictures (B, 3, S, S), grid -> (B, grid * grid, width).
        mean, deviation: of the normalisation, for R, G, B in [0, 1].
    """

    build: Callable[[Sizes], nn.Module]
    tokens: Callable[[nn.Module, Tensor, int], Tensor]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


def _build_radio(sizes: Sizes) -> nn.Module:
    from transformers import RadioConfig, RadioModel

    # Written out: the class's defaults are those of another model, C-RADIOv4-H.
    config = RadioConfig(
        hidden_size=sizes.width,
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.heads,
        mlp_ratio=sizes.hidden / sizes.width,
        patch_size=sizes.patch,
        max_img_size=sizes.patch * sizes.positions,
        num_cls_tokens=RADIO_CLASS_TOKENS,
        num_registers=RADIO_REGISTERS,
        layer_norm_eps=1e-6,
    )
    net = RadioModel(config)
    net.make_preprocessor_external()  # pictures are normalised before, once
    net.summary_idxs = None  # no summary of the whole picture is made
    if not sizes.scaled:
        for layer in net.encoder.layer:
            layer.layer_scale1 = layer.layer_scale2 = nn.Identity()
    return net


def _radio_tokens(net: nn.Module, images: Tensor, grid: int) -> Tensor:
    hidden = net.encoder(net.embeddings(images)).last_hidden_state
    return hidden[:, net.config.num_summary_tokens :]


def _build_vit(sizes: Sizes, epsilon: float, activation: str, token: bool) -> nn.Module:
    from timm.layers import SwiGLUPacked
    from timm.layers.mlp import Mlp
    from timm.models.vision_transformer import VisionTransformer

    units = 2 * sizes.hidden if sizes.gated else sizes.hidden
    return VisionTransformer(
        img_size=sizes.patch * sizes.positions,
        patch_size=sizes.patch,
        num_classes=0,
        global_pool="",
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
        mlp_ratio=(units + 0.5) / sizes.width,  # is rounded down again
        init_values=1.0 if sizes.scaled else None,
        class_token=token,
        dynamic_img_size=True,
        weight_init="skip",
        norm_layer=partial(nn.LayerNorm, eps=epsilon),
        act_layer="silu" if sizes.gated else activation,
        mlp_layer=SwiGLUPacked if sizes.gated else Mlp,
    )


def _vit_tokens(net: nn.Module, images: Tensor, grid: int) -> Tensor:
    x = net.patch_embed(images).flatten(1, 2)
    if net.cls_token is not None:
        x = torch.cat([net.cls_token.expand(len(x), -1, -1), x], dim=1)
    x = x + stretch(net.pos_embed, net.num_prefix_tokens, grid).to(x)
    for block in net.blocks:
        x = block(x)
    return net.norm(x)[:, net.num_prefix_tokens :]


def stretch(positions: Tensor, prefix: int, grid: int) -> Tensor:
    """Return position embeddings for another grid, as DINO, DINOv2 and DeiT do it.

    Args:
        positions: (1, prefix + n * n, width), stored for a grid of n.
        prefix: tokens before the patches; theirs stay.
        grid: tokens a side.

    Returns:
        (1, prefix + grid * grid, width); bicubic, without smoothing, in float32.
    """
    first, patches = positions[:, :prefix], positions[:, prefix:]
    side = round(patches.shape[1] ** 0.5)
    if side == grid:
        return positions
    plane = patches.float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    factor = (grid + _OFFSET) / side
    plane = functional.interpolate(plane, scale_factor=(factor, factor), mode="bicubic")
    return torch.cat([first.float(), plane.flatten(2).transpose(1, 2)], dim=1)


def _vit(
    normalisation: Normalisation, epsilon: float, activation: str = "gelu", token: bool = True
) -> Network:
    build = partial(_build_vit, epsilon=epsilon, activation=activation, token=token)
    return Network(build, _vit_tokens, *normalisation)


NETWORKS: dict[str, Network] = {
    "radio": Network(_build_radio, _radio_tokens, *CLIP),
    "dino": _vit(_IMAGENET, 1e-6),
    "siglip": _vit(_HALF, 1e-6, "gelu_tanh", token=False),
    "theia": _vit(_IMAGENET, 1e-12),
}
"""Family -> network; keys as in `layouts.LAYOUTS`.

Normalisation, epsilon of the norms and activation are those of the checkpoints' own
``config.json`` and ``preprocessor_config.json``.
"""
