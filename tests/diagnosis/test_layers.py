"""Visual tokens by site: names, shapes, batches, and that a prompt changes nothing."""

import models
import numpy as np
import pytest
import torch

from unblind.diagnosis import layers
from unblind.vla.prismatic import Text


@pytest.fixture(scope="module")
def loaded():
    return models.loaded()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(3)]


def test_every_site_has_its_tokens(loaded, images):
    (tokens,) = layers.visual_tokens(loaded, images)
    config = loaded.model.config
    assert tuple(tokens) == layers.sites(loaded.model)
    assert len(tokens) == 2 + config.layers
    assert tokens["tower"].shape[:2] == (3, config.grid**2)
    assert {tokens[site].shape[2] for site in list(tokens)[1:]} == {config.hidden_size}


def test_batches_change_nothing(loaded, images, monkeypatch):
    (whole,) = layers.visual_tokens(loaded, images)
    monkeypatch.setattr(layers, "_BATCH", 2)
    parts = list(layers.visual_tokens(loaded, images))
    assert len(parts) == 2
    for site, tokens in whole.items():
        torch.testing.assert_close(torch.cat([part[site] for part in parts]), tokens)


@torch.no_grad()
def test_a_prompt_behind_them_changes_nothing(loaded, images):
    (tokens,) = layers.visual_tokens(loaded, images)
    model = loaded.model
    ids = torch.full((3, 4), 7)
    text = Text(ids, torch.arange(4).expand(3, -1), torch.zeros_like(ids))
    low = model.vision_backbone.low(loaded.pixels.training(np.stack(images)))
    states = model.hidden(low, text, layers=True)
    grid = slice(1, 1 + model.config.grid**2)
    for site, state in zip(list(tokens)[1:], states, strict=True):
        torch.testing.assert_close(state[:, grid], tokens[site])
