"""Cuts of attention: where they hold, what they leave alone, and what is predicted under them."""

import looked_at
import numpy as np
import pytest
import torch
from torch.nn import functional

from unblind.diagnosis import attention, knockout
from unblind.diagnosis.knockout import Cut, cuts
from unblind.training.data import place_text
from unblind.vla.batch import Turn, collate

NAMES = ["frame", "task", "hidden", "mode", "layer"]


@pytest.fixture(scope="module", params=looked_at.CHECKPOINTS)
def loaded(request):
    return looked_at.CHECKPOINTS[request.param]()


@torch.no_grad()
def states(loaded, cut, tokens, count=2):
    """Return the states after each layer of one text a picture under a cut."""
    batch = collate([[Turn((5, 9, 11), (7,), (1.0,))]] * count)
    low = attention.low_features(loaded, looked_at.frames().images[:count])
    hidden = knockout.unseen(batch.text.branches, [cut], tokens)
    with knockout.hiding(loaded.model, hidden):
        return loaded.model.hidden(low, batch.text, layers=True)


def targets(loaded, count=2):
    found = knockout.hidden_tokens(looked_at.frames(count), loaded.model.config.grid, 0)
    return {kind: torch.from_numpy(mask) for kind, mask in found.items()}


def test_a_cut_holds_at_its_layer_or_from_it_on():
    assert [Cut("target", "only", 2).holds(n) for n in (1, 2, 3)] == [False, True, False]
    assert [Cut("target", "from", 2).holds(n) for n in (1, 2, 3)] == [False, True, True]
    assert not any(Cut().holds(n) for n in (1, 2))
    assert len(cuts(6)) == 1 + 3 * 2 * 6 == len(set(cuts(6)))


@pytest.mark.parametrize("mode", knockout.MODES)
def test_nothing_changes_before_the_layer_nor_in_what_the_picture_becomes(loaded, mode):
    tokens = targets(loaded)
    free, cut = (states(loaded, arm, tokens) for arm in (Cut(), Cut("target", mode, 2)))
    seen = 1 + loaded.model.config.grid**2
    for before in range(2):  # embeddings and the first layer
        assert torch.equal(free[before], cut[before])
    assert torch.equal(free[2][:, :seen], cut[2][:, :seen])
    assert not torch.allclose(free[2][:, -1], cut[2][:, -1])


def test_without_the_picture_from_the_first_layer_on_pictures_are_alike(loaded):
    tokens = targets(loaded)
    blind, seeing = (states(loaded, arm, tokens) for arm in (Cut("picture", "from", 1), Cut()))
    torch.testing.assert_close(blind[-1][0, -3:], blind[-1][1, -3:], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seeing[-1][0, -3:], seeing[-1][1, -3:])


def test_as_many_other_tokens_are_hidden_for_comparison(loaded):
    grid = loaded.model.config.grid
    found = knockout.hidden_tokens(looked_at.frames(), grid, 0)
    masks = attention.area_masks(looked_at.frames(), grid)["target"]
    assert np.array_equal(found["target"], masks > 0)
    assert not (found["target"] & found["elsewhere"]).any()
    assert np.array_equal(found["target"].sum(1), found["elsewhere"].sum(1))
    again, other = (knockout.hidden_tokens(looked_at.frames(), grid, s) for s in (0, 1))
    assert np.array_equal(found["elsewhere"], again["elsewhere"])
    assert not np.array_equal(found["elsewhere"], other["elsewhere"])


@pytest.fixture(scope="module")
def rows(loaded):
    codec = loaded.codec()
    return knockout.record(loaded, codec, looked_at.frames(), 0, 0.0).to_pandas()


def test_a_record_has_every_cut_of_every_task(loaded, rows):
    arms = len(cuts(loaded.model.config.layers))
    assert len(rows) == 4 * 2 * arms and not rows.duplicated(NAMES).any()
    hidden = rows.groupby("hidden", observed=True)["tokens"].unique()
    assert hidden["nothing"].tolist() == [0]
    assert hidden["picture"].tolist() == [loaded.model.config.grid**2]
    assert np.array_equal(hidden["target"], hidden["elsewhere"])
    only, onward = (
        rows[(rows["mode"] == mode) & (rows["layer"] == 2)].reset_index()["loss"]
        for mode in knockout.MODES
    )
    assert np.allclose(only, onward)  # of the last layer, both are the same cut
    assert rows["right"].between(0, 1).all()


@torch.no_grad()
def test_each_branch_predicts_what_its_text_alone_would(loaded, rows):
    words, frames = loaded.vocabulary, looked_at.frames()
    cut = Cut("target", "from", 1)
    place = words.encode(place_text(frames.rows["object_xyz"][0]))
    batch = collate([[Turn(words.question_prompt("where is the carrot"), place, (1.0, 1.0))]])
    low = attention.low_features(loaded, frames.images[:1])
    tokens = {kind: mask[:1] for kind, mask in targets(loaded).items()}
    with knockout.hiding(loaded.model, knockout.unseen(batch.text.branches, [cut], tokens)):
        (last,) = loaded.model.hidden(low, batch.text)
    logits = loaded.model.logits(last[0, -2:])
    wanted = functional.cross_entropy(logits, torch.tensor(place)).item()
    one = rows.query("frame == 0 and task == 'where' and hidden == 'target'")
    one = one.query("mode == 'from' and layer == 1")
    assert one["loss"].item() == pytest.approx(wanted, rel=1e-4)
    # Near: at most 6.4 of 128 bins off.
    ids = words.locations
    near = (logits[:, ids.start : ids.stop].argmax(-1) + ids.start - torch.tensor(place)).abs() <= 6
    assert one["right"].item() == near.float().mean().item()


def test_frames_without_the_target_are_left_out(loaded):
    frames = looked_at.frames()
    frames.segments[1] = 0
    rows = knockout.record(loaded, loaded.codec(), frames, 0, 0.0).to_pandas()
    assert sorted(rows["frame"].unique()) == [0, 2, 3]
