"""Contrastive pretraining of the tower: regions, texts, losses, and that it teaches names."""

import commands
import numpy as np
import pytest
import torch

from unblind.config import load
from unblind.pictures.scenes import Gripper, Scene, Thing
from unblind.training import pretrain, tower

RED = Thing("star", "shape", (0.25, 0.3), "red")
CARROT = Thing("carrot", "object", (0.8, 0.6))
HAND = Gripper((0.5, 0.9), (0.0, 0.0, 1.0), opened=True)
SCENE = Scene((RED, CARROT), table="picnic table", gripper=HAND)
OTHER = Scene((Thing("banana", "object", (0.4, 0.4)),))
NAMES = tower.Names.of([SCENE, OTHER])


@pytest.fixture(scope="module")
def words():
    return pretrain.make_vocabulary()


@pytest.fixture
def model(words):
    settings = {"base.model.image_size": 64, "base.model.hidden_size": 32}
    new = pretrain.make_model(load(commands.SMOKE, settings).base.model, words, 0)
    tower.place_words(new, words)
    return new


def rows(found, field):
    texts = getattr(NAMES, field)
    return [texts[k] if k >= 0 else None for k in found[field].tolist()]


def test_regions_tell_name_colour_kind_and_place_of_the_cell_in_which_a_thing_lies():
    found = tower.regions([SCENE, OTHER], NAMES, 8, None)
    assert rows(found, "name") == ["star", "carrot", tower.GRIPPER, "banana"]
    assert rows(found, "color") == ["red", None, None, None]
    assert rows(found, "kind") == ["shape", "object", None, "object"]
    assert found["picture"].tolist() == [0, 0, 0, 1]
    assert found["cell"].tolist() == [2 * 8 + 2, 6 * 8 + 4, 4 * 8 + 7, 3 * 8 + 3]
    assert found["place"][0].tolist() == [int(0.25 * 128), int(0.3 * 128)]
    assert rows(found, "table") == ["picnic table", None]


def test_drawn_regions_stay_near_their_thing_and_one_is_empty():
    cells, empty = set(), 0
    for seed in range(60):
        found = tower.regions([SCENE], NAMES, 8, np.random.default_rng(seed))
        cells.add(found["cell"][0].item())
        for name, cell in zip(rows(found, "name"), found["cell"].tolist(), strict=True):
            if name == tower.NOTHING:
                empty += 1
                row, column = (cell // 8 + 0.5) / 8, (cell % 8 + 0.5) / 8
                for thing in (RED, CARROT, HAND):
                    assert np.hypot(row - thing.place[0], column - thing.place[1]) > 0.1
    assert len(cells) > 1
    assert all(abs(cell // 8 - 1.5) <= 1 and abs(cell % 8 - 1.9) <= 1 for cell in cells)
    assert 10 < empty <= 60
    hiding = Scene(SCENE.things, frozenset({"banana"}))
    found = tower.regions([hiding] * 20, NAMES, 8, np.random.default_rng(0))
    assert tower.NOTHING not in rows(found, "name"), "what is hidden may stand anywhere"


def test_a_name_is_the_sum_of_its_words(model, words):
    names = tower.Names(("picnic table", "star"), (), (), ())
    contrast = tower.Contrast(model, words, names)
    embed = model.language_model.get_input_embeddings().weight
    told = embed[list(words.encode("picnic table"))].sum(0)
    texts = contrast.texts("name")
    torch.testing.assert_close(texts[0], told / told.norm())
    torch.testing.assert_close(texts.norm(dim=-1), torch.ones(2))


def test_places_are_words_in_the_visual_tokens_own_code(model, words):
    """A token that holds nothing but its position is most similar to its own cell's places."""
    contrast = tower.Contrast(model, words, NAMES)
    grid = model.config.grid
    cells = torch.arange(grid * grid)
    found = tower.Regions(picture=torch.zeros_like(cells), cell=cells)
    scores = contrast.places(torch.zeros(1, grid * grid, 32), found)
    for axis, best in enumerate(part.argmax(-1) for part in scores):
        index = cells // grid if axis == 0 else cells % grid
        middle = (index + 0.5) * 128 / grid
        assert ((best - middle).abs() <= 2).all()


@pytest.mark.parametrize("loss", tower.NAME_LOSSES)
def test_some_steps_teach_the_names_of_what_is_seen(model, words, loss):
    """Two pictures are told apart; what stays frozen stays as it is."""
    contrast = tower.Contrast(model, words, NAMES, loss)
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(2, 40, 8, 8, generator=generator)
    found = tower.regions([SCENE, OTHER], NAMES, model.config.grid, None)
    chosen = [p for n, p in pretrain.trained(model).items() if n.startswith(tower._TRAINED)]
    optimizer = torch.optim.Adam([*chosen, *contrast.parameters()], lr=3e-3)
    first, terms = contrast.loss(low, found)
    assert terms.keys() == {"name", "color", "kind", "table", "place"}
    for _ in range(40):
        value, terms = contrast.loss(low, found)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value < 0.7 * first
    right = tower.accuracies(
        contrast, lambda start, stop: low[start:stop], [SCENE, OTHER], NAMES, model.config.grid
    )
    assert right["all"] == right["table"] == 1


def test_the_output_head_ends_with_the_words_directions(model):
    tower.align_head(model)
    embed = model.language_model.get_input_embeddings().weight
    head = model.language_model.lm_head.weight
    torch.testing.assert_close(embed.norm(dim=-1), torch.ones(len(embed)))
    torch.testing.assert_close(torch.nn.functional.normalize(head, dim=-1), embed)
