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
def test_two_towers_normalise_each_in_its_own_way_and_join_channels(monkeypatch):
    settings = models.add_tiny_vits(monkeypatch)
    backbone = VisionBackbone(settings["towers"], 28, 0).eval()
    images = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    tokens = backbone(backbone.low(images))
    assert tokens.shape == (2, 4, 32 + 24)
    # The published statistics: ImageNet's for DINOv2, 0.5 for SigLIP; second-to-last block.
    mean, deviation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    dino = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)
    for part, net, x in (
        (tokens[..., :32], backbone.featurizer, dino),
        (tokens[..., 32:], backbone.fused_featurizer, images * 2 - 1),
    ):
        wanted = net._pos_embed(net.patch_embed(x))
        wanted = net.blocks[0](net.norm_pre(wanted))[:, net.num_prefix_tokens :]
        torch.testing.assert_close(part, wanted, atol=1e-5, rtol=0)


def test_an_unknown_tower_is_one_error():
    with pytest.raises(UnblindError, match=r"unknown vision tower 'clip'.*lite0"):
        towers.tower("clip")
