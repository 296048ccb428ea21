"""Attention: equal to a softmax by hand and to transformers' own; maps and their measures."""

import copy

import looked_at
import models
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from unblind.config import Attention
from unblind.diagnosis import attention
from unblind.errors import UnblindError
from unblind.vla.batch import Turn, collate
from unblind.vla.prismatic import attention_mask

SETTINGS = Attention(question="is there the {object}?", generic="where is the gripper")


@pytest.fixture(scope="module", params=looked_at.CHECKPOINTS)
def loaded(request):
    return looked_at.CHECKPOINTS[request.param]()


@pytest.fixture
def batch():
    """Two pictures, each with two texts of different lengths."""
    return collate([[Turn((5, 9, 11), (7,), (1.0,)), Turn((8,), (7,), (1.0,))]] * 2)


@pytest.fixture
def low(loaded):
    return attention.low_features(loaded, looked_at.frames().images[:2])


@torch.no_grad()
def collected(loaded, low, batch):
    with attention.attended(loaded.model, batch) as layers:
        states = loaded.model.hidden(low, batch.text)
    return layers, states


def test_rows_add_up_to_one_and_nothing_else_changes(loaded, low, batch):
    with torch.no_grad():
        before = loaded.model.hidden(low, batch.text)
    layers, states = collected(loaded, low, batch)
    assert torch.equal(states[0], before[0])
    config = loaded.model.config
    assert len(layers) == config.layers
    seen = 1 + config.grid**2
    for weights in layers:
        assert weights.shape == (4, config.heads, seen + 4)
        torch.testing.assert_close(weights.sum(-1), torch.ones(4, config.heads))
        # The first text has three tokens; the second, one token behind them, sees none of these.
        assert (weights[0, :, seen:] > 0).sum(-1).unique().tolist() == [3]
        assert (weights[1, :, seen : seen + 3] == 0).all() and (weights[1, :, seen + 3] > 0).all()
    again = len(layers)
    with torch.no_grad():
        loaded.model.hidden(low, batch.text)
    assert len(layers) == again  # the hooks are gone


@torch.no_grad()
def test_weights_are_those_of_transformers_own_eager_attention(loaded, low, batch):
    layers, _ = collected(loaded, low, batch)
    model = copy.deepcopy(loaded.model)
    model.language_model.set_attn_implementation("eager")
    prefix = model.prefix(model.vision_backbone(low))
    start = prefix.shape[1]
    words = model.language_model.get_input_embeddings()(batch.text.ids)
    mask = attention_mask(start, batch.text)
    added = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
    positions = torch.arange(start).expand(2, -1)
    own = model.language_model.model(
        inputs_embeds=torch.cat([prefix, words], 1),
        attention_mask=added,
        position_ids=torch.cat([positions, start + batch.text.positions], 1),
        output_attentions=True,
    ).attentions
    for mine, theirs in zip(layers, own, strict=True):
        wanted = theirs[batch.rows, :, start + batch.places]
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_first_layer_is_a_softmax_by_hand(loaded, low):
    batch = collate([[Turn((5, 9, 11), (7,), (1.0,))]] * 2)
    (first, *_), _ = collected(loaded, low, batch)
    model = loaded.model
    block = model.language_model.model.layers[0]
    states = model.hidden(low, batch.text, layers=True)[0].double().numpy()
    gain = block.input_layernorm.weight.double().numpy()
    normed = states / np.sqrt((states**2).mean(-1, keepdims=True) + 1e-6) * gain
    heads, width = model.config.heads, model.config.hidden_size // model.config.heads
    angle = np.arange(states.shape[1])[:, None] / 10000 ** (np.arange(width // 2) * 2 / width)

    def rotated(projection):
        flat = normed @ projection.weight.double().numpy().T
        vectors = flat.reshape(*flat.shape[:2], heads, width).transpose(0, 2, 1, 3)
        a, b = np.split(vectors, 2, axis=-1)
        turned = (a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle))
        return np.concatenate(turned, axis=-1)

    query = rotated(block.self_attn.q_proj)[:, :, -1]  # without padding, the prompt's end is last
    key = rotated(block.self_attn.k_proj)
    scores = np.einsum("bhd,bhnd->bhn", query, key) / width**0.5
    wanted = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert first.numpy() == pytest.approx(wanted, abs=2e-5)


def test_prompts_are_asked_at_their_own_end(loaded):
    frames = looked_at.frames()
    weights = attention.prompt_attention(loaded, frames, SETTINGS)
    config = loaded.model.config
    assert weights.shape == (4, 3, config.layers, config.heads, 2 + config.grid**2)
    assert weights.sum(-1) == pytest.approx(np.ones(weights.shape[:-1]), abs=1e-5)
    words = loaded.vocabulary
    alone = collate([[Turn(words.question_prompt("is there the carrot?"), (0,), (0.0,))]])
    low = attention.low_features(loaded, frames.images[:1])
    layers, _ = collected(loaded, low, alone)
    seen = 1 + config.grid**2
    wanted = torch.stack(layers, 1)[0, ..., :seen].numpy()
    assert weights[0, 1, ..., :seen] == pytest.approx(wanted, abs=1e-5)


def test_a_decoder_without_weights_is_refused():
    model = models.small()
    model.language_model = nn.Linear(2, 2)
    with pytest.raises(UnblindError, match="the decoder Linear gives no attention weights"):
        attention.attentions(model)


def test_maps_are_divided_by_that_of_the_generic_prompt():
    weights = np.zeros((1, 3, 1, 2, 6))
    weights[0, 0, 0, :, 1:5] = [[0.1, 0.3, 0, 0], [0.3, 0.1, 0, 0]]  # mean 0.2 0.2 0 0
    weights[0, 1, 0, :, 1:5] = 0.1
    weights[0, 2, 0, :, 1:5] = [0.4, 0.1, 0.1, 0.2]
    maps = attention.variants(weights)
    assert maps["raw"][0, 0, 0] == pytest.approx([0.5, 0.5, 0, 0])
    # 0.2 / 0.4 against 0.2 / 0.1, and 1e-6 below each.
    assert maps["divided"][0, 0, 0] == pytest.approx([0.2, 0.8, 0, 0], abs=1e-5)
    assert maps["divided"][0, 1, 0] == pytest.approx(np.array([1, 4, 4, 2]) / 11, abs=1e-5)


def test_measures_of_a_map_by_hand():
    maps = np.array([[[0.5, 0.25, 0.25, 0.0]], [[0.25] * 4]])
    areas = {"target": np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]), "robot": np.full((2, 4), 0.5)}
    found = attention.measures(maps, areas)
    assert found["target"].tolist() == [[0.5], [0.0]]
    assert found["target_lift"][0, 0] == pytest.approx(2.0)  # half the attention, a quarter of it
    assert np.isnan(found["target_lift"][1, 0])  # nothing of it is to be seen
    assert found["robot_lift"] == pytest.approx(np.ones((2, 1)))
    assert found["entropy"][:, 0] == pytest.approx([1.5 * np.log(2) / np.log(4), 1.0])
    assert found["sink"][:, 0].tolist() == [0.5, 0.25]
    assert (found["sink_row"][0, 0], found["sink_column"][0, 0]) == (0, 0)


def test_a_record_has_a_row_a_frame_prompt_variant_and_layer(loaded):
    frames = looked_at.frames()
    table, maps = attention.record(loaded, frames, SETTINGS, 0.0)
    rows, layers = table.to_pandas(), loaded.model.config.layers
    assert len(rows) == 4 * 2 * 2 * layers
    assert not rows.duplicated(["frame", "prompt", "variant", "layer"]).any()
    weights = attention.prompt_attention(loaded, frames, SETTINGS)
    one = rows.query("frame == 2 and prompt == 'question' and variant == 'raw' and layer == 2")
    mean = weights[2, 1, 1].mean(0)
    assert one["bos"].item() == pytest.approx(mean[0], abs=1e-6)
    assert one["visual"].item() == pytest.approx(mean[1:-1].sum(), abs=1e-6)
    on_target = attention.area_masks(frames, loaded.model.config.grid)["target"][2]
    share = mean[1:-1] @ on_target / mean[1:-1].sum()
    assert one["target"].item() == pytest.approx(share, abs=1e-6)
    assert one["target_lift"].item() == pytest.approx(share / on_target.mean(), rel=1e-4)
    own = weights[2, 1, 1, :, 1:-1]
    assert one["target_by_head"].item() == pytest.approx(own @ on_target / own.sum(1), abs=1e-6)
    assert rows["distractor_lift"].isna().all()
    assert rows.loc[rows["variant"] == "divided", "bos"].isna().all()
    # Of each condition, the first frame's maps.
    kept = maps.to_pandas()
    assert set(kept["frame"]) == {0, 1} and len(kept) == 2 * 2 * 2 * layers
    assert np.stack(kept["map"]).sum(1) == pytest.approx(np.ones(len(kept)), abs=1e-5)


def test_batches_change_nothing(loaded, monkeypatch):
    frames = looked_at.frames()
    whole = attention.record(loaded, frames, SETTINGS, 0.0)[0].to_pandas()
    monkeypatch.setattr(attention, "_BATCH", 3)
    parts = attention.record(loaded, frames, SETTINGS, 0.0)[0].to_pandas()
    key = ["frame", "prompt", "variant", "layer"]
    both = [some.sort_values(key).reset_index(drop=True) for some in (whole, parts)]
    names = ["visual", "target", "entropy", "sink"]
    pd.testing.assert_frame_equal(both[0][names], both[1][names], rtol=1e-3, atol=1e-6)
