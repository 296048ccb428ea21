"""Vision towers: what turns a picture into a grid of tokens.

A tower is an ordinary network (its parameters keep their own names, as OpenVLA's checkpoints
expect) and a row of `TOWERS` that says how pixel values enter it and tokens leave it. mini's tower
takes RGB in [0, 1] and normalises by itself; OpenVLA's take pixel values that are already
normalised (`unblind.vla.pixels`), three channels for each tower.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.errors import UnblindError
from unblind.vla.lite import LiteNet

#: Sizes of a ViT that twins of published checkpoints change.
SIZES = ("embed_dim", "depth", "num_heads")


@dataclass(frozen=True)
class Tower:
    """How one kind of network serves as a tower.

    Attributes:
        build: makes the network without weights for a picture side in pixels and other sizes.
        low: the frozen first part, (B, 3, S, S) -> stored features; identity where all is trained.
        tokens: the rest, low features -> (B, n, width).
        width: channels of a token.
        stride: pixels between tokens.
        timm: timm's name of the network, by which OpenVLA's config.json names it.
        sizes: what differs from timm's network (twins only).
    """

    build: Callable[..., nn.Module]
    low: Callable[[nn.Module, Tensor, int], Tensor]
    tokens: Callable[[nn.Module, Tensor, int], Tensor]
    width: int
    stride: int
    timm: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Lite:
    """An EfficientNet-Lite up to stride 16.

    Attributes:
        name: key of `unblind.vla.lite.VARIANTS`.
        blocks: up to stride 16.
        width: channels after them.
        fine_blocks: of these, the blocks up to stride 8.
        fine_width: channels after those.
    """

    name: str
    blocks: int
    width: int
    fine_blocks: int
    fine_width: int

    def coarse(self) -> Tower:
        """Return the tower whose tokens are the last map alone."""

        def tokens(net: nn.Module, low: Tensor, frozen: int) -> Tensor:
            return _normalised(net.run(low, frozen, self.blocks))

        return self._tower(tokens, self.width)

    def fine(self) -> Tower:
        """Return the tower whose tokens hold the four cells of stride 8 below them, too.

        A cell of 16 pixels tells a place to a few millimetres; its four cells of 8 tell more.
        """

        def tokens(net: nn.Module, low: Tensor, frozen: int) -> Tensor:
            fine = net.run(low, frozen, self.fine_blocks)
            grid = net.run(fine, self.fine_blocks, self.blocks)
            folded = functional.pixel_unshuffle(fine, 2)
            return torch.cat([_normalised(grid), _normalised(folded)], dim=-1)

        return self._tower(tokens, self.width + 4 * self.fine_width)

    def _tower(self, tokens: Callable[[nn.Module, Tensor, int], Tensor], width: int) -> Tower:
        return Tower(lambda side: LiteNet(self.name, self.blocks), _lite_low, tokens, width, 16)


def _lite_low(net: nn.Module, images: Tensor, frozen: int) -> Tensor:
    return net.run(images, 0, frozen) if frozen else images


def _normalised(grid: Tensor) -> Tensor:
    """Return a map (B, C, H, W) as tokens (B, H W, C) of one size.

    Channels of a convolutional map differ a hundredfold; a ViT ends with a norm as well.
    """
    return functional.layer_norm(grid.flatten(2).transpose(1, 2), grid.shape[1:2])


def _vit(name: str, width: int) -> Tower:
    """Return a ViT of timm as OpenVLA uses it: second-to-last block, no norm, patches alone."""

    def build(side: int, **sizes: int) -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, num_classes=0, img_size=side, **sizes)

    def tokens(net: nn.Module, pixels: Tensor, frozen: int) -> Tensor:
        # What stands behind the second-to-last block is not computed; prefix tokens are dropped.
        (states,) = net.forward_intermediates(
            pixels,
            indices=[len(net.blocks) - 2],
            output_fmt="NLC",
            intermediates_only=True,
            stop_early=True,
        )
        return states

    return Tower(build, lambda net, pixels, frozen: pixels, tokens, width, 14, name)


#: 0.69 M and 1.15 M parameters.
_LITE0, _LITE2 = _Lite("lite0", 11, 112, 5, 40), _Lite("lite2", 15, 120, 7, 48)
TOWERS: Mapping[str, Tower] = {
    "lite0": _LITE0.coarse(),
    "lite0_fine": _LITE0.fine(),
    "lite2_fine": _LITE2.fine(),
    "dinov2": _vit("vit_large_patch14_reg4_dinov2.lvd142m", 1024),
    "siglip": _vit("vit_so400m_patch14_siglip_224", 1152),
}


def tower(name: str) -> Tower:
    """Return the row of `TOWERS` called ``name``.

    Args:
        name: such as ``dinov2``, or from :func:`sized`: ``dinov2 depth=24 embed_dim=32``.

    Raises:
        UnblindError: there is none, or it has no such sizes.
    """
    kind, *changes = name.split(" ")
    row = TOWERS.get(kind)
    parts = [change.partition("=") for change in changes]
    known = all(key in SIZES and value.isdecimal() for key, _, value in parts)
    if row is None or (changes and not (row.timm and known)):
        raise UnblindError(f"unknown vision tower '{name}'", f"choose one of {', '.join(TOWERS)}")
    sizes = {key: int(value) for key, _, value in parts}
    return replace(row, sizes=sizes, width=sizes.get("embed_dim", row.width))


def sized(kind: str, sizes: Mapping[str, int]) -> str:
    """Return the name of a ViT tower with other sizes than timm's (keys of `SIZES`)."""
    return " ".join([kind, *(f"{key}={value}" for key, value in sorted(sizes.items()))])


class VisionBackbone(nn.Module):
    """One tower, or two whose tokens are joined channel by channel.

    Attributes:
        featurizer: the first network (OpenVLA: DINOv2).
        fused_featurizer: the second (OpenVLA: SigLIP), absent with one tower.
    """

    def __init__(self, names: tuple[str, ...], side: int, frozen_blocks: int) -> None:
        super().__init__()
        self._rows = [tower(name) for name in names]
        self._frozen = frozen_blocks
        self.featurizer, *others = (row.build(side, **row.sizes) for row in self._rows)
        if others:
            (self.fused_featurizer,) = others

    def low(self, pixels: Tensor) -> Tensor:
        """Return what the frozen first blocks make of pixel values; it may be stored.

        Of a tower without frozen blocks, and of two towers, these are the pixel values themselves.

        Args:
            pixels: (B, 3 towers, S, S), as `unblind.vla.pixels` makes them.
        """
        if len(self._rows) > 1:
            return pixels
        with torch.no_grad():
            return self._rows[0].low(self.featurizer, pixels, self._frozen)

    def forward(self, low: Tensor) -> Tensor:
        """Return tokens (B, n, width) of `low` features; two towers share their channels."""
        tokens = [
            row.tokens(net, part, self._frozen)
            for row, net, part in zip(
                self._rows, self.children(), low.chunk(len(self._rows), dim=1), strict=True
            )
        ]
        return torch.cat(tokens, dim=-1)
