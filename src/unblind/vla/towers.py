"""Vision towers: what turns a picture into a grid of tokens.

A tower is an ordinary network (its parameters keep their own names, as OpenVLA's checkpoints
expect) and a row of `TOWERS` that says how pictures enter it and tokens leave it. Pictures are
(B, 3, S, S) RGB in [0, 1]; every normalisation happens here or in the network, once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.errors import UnblindError
from unblind.vla.lite import LiteNet

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIGLIP = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
#: EfficientNet-Lite0 up to stride 16: 11 blocks, 112 channels, 0.69 M parameters.
_LITE_BLOCKS = 11


@dataclass(frozen=True)
class Tower:
    """How one kind of network serves as a tower.

    Attributes:
        build: makes the network without weights for a picture side in pixels.
        low: the frozen first part, (B, 3, S, S) -> stored features; identity where all is trained.
        tokens: the rest, low features -> (B, n, width).
        width: channels of a token.
        stride: pixels between tokens.
    """

    build: Callable[[int], nn.Module]
    low: Callable[[nn.Module, Tensor, int], Tensor]
    tokens: Callable[[nn.Module, Tensor, int], Tensor]
    width: int
    stride: int


def _lite_low(net: nn.Module, images: Tensor, frozen: int) -> Tensor:
    return net.run(images, 0, frozen) if frozen else images


def _lite_tokens(net: nn.Module, low: Tensor, frozen: int) -> Tensor:
    grid = net.run(low, frozen, _LITE_BLOCKS)
    # Channels of a convolutional map differ a hundredfold in size; a ViT ends with a norm as well.
    return functional.layer_norm(grid.flatten(2).transpose(1, 2), grid.shape[1:2])


def _timm(name: str, normalization: tuple, width: int) -> Tower:
    """Return a ViT of timm as OpenVLA uses it: second-to-last block, no norm, patches alone."""
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in normalization)

    def build(side: int) -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, num_classes=0, img_size=side)

    def tokens(net: nn.Module, images: Tensor, frozen: int) -> Tensor:
        x = (images - mean.to(images)) / deviation.to(images)
        return net.get_intermediate_layers(x, n=[len(net.blocks) - 2])[0]

    return Tower(build, lambda net, images, frozen: images, tokens, width, 14)


TOWERS: dict[str, Tower] = {
    "lite0": Tower(lambda side: LiteNet("lite0", _LITE_BLOCKS), _lite_low, _lite_tokens, 112, 16),
    "dinov2": _timm("vit_large_patch14_reg4_dinov2.lvd142m", _IMAGENET, 1024),
    "siglip": _timm("vit_so400m_patch14_siglip_224", _SIGLIP, 1152),
}


def tower(name: str) -> Tower:
    """Return the row of `TOWERS` called ``name``.

    Raises:
        UnblindError: there is none.
    """
    if name not in TOWERS:
        raise UnblindError(f"unknown vision tower '{name}'", f"choose one of {', '.join(TOWERS)}")
    return TOWERS[name]


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
        self.featurizer = self._rows[0].build(side)
        if len(names) > 1:
            self.fused_featurizer = self._rows[1].build(side)

    @property
    def _nets(self) -> list[nn.Module]:
        return [self.featurizer, *([self.fused_featurizer] if len(self._rows) > 1 else [])]

    def low(self, images: Tensor) -> Tensor:
        """Return what the frozen first blocks make of pictures; it may be stored."""
        if len(self._rows) > 1:
            return images
        with torch.no_grad():
            return self._rows[0].low(self.featurizer, images, self._frozen)

    def forward(self, low: Tensor) -> Tensor:
        """Return tokens (B, n, width) of `low` features."""
        parts = [
            row.tokens(net, low, self._frozen)
            for row, net in zip(self._rows, self._nets, strict=True)
        ]
        return torch.cat(parts, dim=-1)
