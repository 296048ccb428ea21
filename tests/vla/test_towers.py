"""Towers: what normalises, and that a token looks at its own part of the picture."""

import models
import pytest
import torch

from unblind.errors import UnblindError
from unblind.teachers.loading import load_teacher
from unblind.vla import towers
from unblind.vla.lite import load_lite
from unblind.vla.towers import VisionBackbone

SIDE, GRID = 128, 8


@pytest.fixture(scope="module")
def student():
    """The tower of mini with its pretrained weights."""
    backbone = VisionBackbone(("lite0",), SIDE, 5).eval()
    backbone.featurizer.load_state_dict(load_lite("lite0", 11).state_dict())
    return lambda images: backbone(backbone.low(images))


@pytest.fixture(scope="module")
def teacher():
    frozen = load_teacher("lite2-128")
    return lambda images: frozen.features(images, GRID)


def change(tokens):
    """Return which token differs most between two pictures, and by how much each does."""
    distance = (tokens[1] - tokens[0]).norm(dim=-1)
    return int(distance.argmax()), distance


@torch.no_grad()
def test_student_and_teacher_see_a_square_at_the_same_token(student, teacher):
    cell = SIDE // GRID
    for row, column in ((2, 5), (5, 2), (3, 3), (6, 4)):
        images = torch.full((2, 3, SIDE, SIDE), 0.4)
        images[1, :, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = 1.0
        for tower in (student, teacher):
            tokens = tower(images)
            assert tokens.shape[:2] == (2, GRID * GRID)
            assert change(tokens)[0] == row * GRID + column


@torch.no_grad()
def test_stored_low_features_give_the_same_tokens():
    backbone = VisionBackbone(("lite0",), SIDE, 5).eval()
    whole = VisionBackbone(("lite0",), SIDE, 0).eval()
    whole.load_state_dict(backbone.state_dict())
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert backbone.low(images).shape == (2, 40, 16, 16)
    assert torch.equal(whole.low(images), images)
    assert torch.equal(backbone(backbone.low(images)), whole(images))


@torch.no_grad()
def test_the_fine_tower_adds_the_four_cells_of_eight_pixels_that_a_token_covers():
    plain = VisionBackbone(("lite0",), SIDE, 5).eval()
    fine = VisionBackbone(("lite0_fine",), SIDE, 5).eval()
    fine.load_state_dict(plain.state_dict())
    low = torch.randn(2, 40, 16, 16, generator=torch.Generator().manual_seed(0))
    tokens = fine(low)
    assert tokens.shape == (2, GRID * GRID, towers.tower("lite0_fine").width)
    assert tokens.shape[-1] == 112 + 4 * 40
    assert torch.equal(tokens[..., :112], plain(low))
    row, column = 2, 5
    four = low[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1)
    wanted = torch.nn.functional.layer_norm(four, four.shape[1:])
    torch.testing.assert_close(tokens[:, row * GRID + column, 112:], wanted)


@torch.no_grad()
def test_two_towers_take_three_channels_each_and_join_their_tokens():
    backbone = VisionBackbone(models.TINY_OPENVLA["towers"], 28, 0).eval()
    pixels = torch.randn(2, 6, 28, 28, generator=torch.Generator().manual_seed(0))
    assert backbone.low(pixels) is pixels
    tokens = backbone(pixels)
    assert tokens.shape == (2, 4, 32 + 24)
    for part, net, x in (
        (tokens[..., :32], backbone.featurizer, pixels[:, :3]),
        (tokens[..., 32:], backbone.fused_featurizer, pixels[:, 3:]),
    ):
        # Second-to-last block, no norm, patches alone.
        wanted = net._pos_embed(net.patch_embed(x))
        wanted = net.blocks[0](net.norm_pre(wanted))[:, net.num_prefix_tokens :]
        torch.testing.assert_close(part, wanted, atol=1e-5, rtol=0)


def test_sizes_in_a_name_change_a_vit():
    name = towers.sized("siglip", {"embed_dim": 24, "depth": 2})
    assert name == "siglip depth=2 embed_dim=24"
    assert towers.tower(name).width == 24 and towers.tower("siglip").width == 1152
    assert towers.tower(name).sizes == {"depth": 2, "embed_dim": 24}
    assert towers.sized("siglip", {}) == "siglip"


@pytest.mark.parametrize(
    "name", ["clip", "lite0 depth=2", "siglip act_layer=2", "siglip depth=x", "siglip depth", ""]
)
def test_an_unknown_tower_is_one_error(name):
    with pytest.raises(UnblindError, match=rf"unknown vision tower '{name}'.*lite0"):
        towers.tower(name)
