"""The loaded model: an independent implementation agrees, pictures matter, padding does not."""

import numpy as np
import openvla_reference
import pytest
import torch
from safetensors.torch import load_file
from unblind.openvla import sequence
from unblind.openvla.decode import decode
from unblind.openvla.sequence import pad_left

SHORT, LONG = "put carrot on plate", "move the carrot to the left plate, please"


@pytest.fixture(scope="module")
def tensors(twin_folder):
    shards = sorted(twin_folder.glob("*.safetensors"))
    assert len(shards) > 1
    return {n: t.double() for shard in shards for n, t in load_file(shard).items()}


@pytest.fixture(scope="module")
def pixels(loaded, pictures):
    return loaded.pixels.evaluation(pictures, dtype=torch.float32)


@torch.no_grad()
def logits(loaded, pixels, prompts):
    return loaded.model.logits(sequence.run(loaded.model, pixels, prompts).last_hidden_state)


def test_logits_equal_an_independent_implementation(loaded, tensors, pixels):
    """Float32 against float64, so that all rounding is the model's own."""
    ids = torch.tensor([loaded.vocabulary.action_prompt(SHORT), (31750, 2, *range(300, 332))])
    wanted = openvla_reference.logits(tensors, pixels.double(), ids)
    assert wanted.shape == (2, 257 + 34, 32064) and wanted.std() > 0.5
    found = logits(loaded, pixels, sequence.Prompts(ids, None))
    assert (found - wanted).abs().max() < 1e-5
    # Each part of the picture and of the text has a say, so that equality says something.
    for change in (pixels.flip(1), pixels.roll(14, 2)):
        assert (openvla_reference.logits(tensors, change.double(), ids) - wanted).abs().max() > 0.1


def test_black_and_white_pictures_give_different_tokens(loaded):
    images = np.stack([np.full((480, 640, 3), value, np.uint8) for value in (0, 255)])
    pixels = loaded.pixels.evaluation(images, dtype=torch.float32)
    prompts = pad_left([loaded.vocabulary.action_prompt(SHORT)] * 2, loaded.config.pad)
    black, white = decode(loaded.model, pixels, prompts, 7, loaded.vocabulary.actions)
    assert (black != white).any()


def test_left_padded_rows_equal_unpadded_ones(loaded, pixels):
    prompts = [loaded.vocabulary.action_prompt(text) for text in (SHORT, LONG)]
    both = pad_left(prompts, loaded.config.pad, length=60)
    padding = 60 - np.array([len(prompt) for prompt in prompts])
    assert (~both.seen).sum(1).tolist() == padding.tolist() and len(set(padding)) == 2
    together = logits(loaded, pixels, both)
    for row, prompt in enumerate(prompts):
        alone = logits(loaded, pixels[row : row + 1], pad_left([prompt], loaded.config.pad))[0]
        start = 257 + padding[row]
        found = torch.cat([together[row, :257], together[row, start:]])
        assert (found - alone).abs().max() < 1e-5


def test_padding_ids_change_nothing(loaded, pixels):
    prompts = [loaded.vocabulary.action_prompt(text) for text in (SHORT, LONG)]
    one, other = (logits(loaded, pixels, pad_left(prompts, pad)) for pad in (32000, 5))
    assert torch.equal(one[:, -34:], other[:, -34:])


def test_bos_stays_at_position_0_and_positions_count_unpadded_tokens(loaded):
    prompts = pad_left([(7, 8), (7, 8, 9, 10)], loaded.config.pad, length=5)
    assert prompts.ids.tolist() == [[32000, 32000, 32000, 7, 8], [32000, 7, 8, 9, 10]]
    seen = sequence.everything_seen(prompts, 1 + 2)
    assert sequence.places(seen).tolist() == [[0, 1, 2, 2, 2, 2, 3, 4], [0, 1, 2, 2, 3, 4, 5, 6]]


def test_decoding_with_a_cache_equals_running_whole_sequences(loaded, pixels):
    allowed = loaded.vocabulary.actions
    prompts = [loaded.vocabulary.action_prompt(text) for text in (SHORT, LONG)]
    padded = pad_left(prompts, loaded.config.pad)
    found = decode(loaded.model, pixels, padded, 7, allowed)
    assert found.shape == (2, 7) and len(set(found.flatten().tolist())) > 2
    for row, prompt in enumerate(prompts):
        so_far = list(prompt)
        for token in found[row].tolist():
            scores = logits(loaded, pixels[row : row + 1], pad_left([so_far], 0))[0, -1]
            assert int(scores[allowed.start : allowed.stop].argmax()) + allowed.start == token
            so_far.append(token)


def test_layers_are_those_of_every_block(loaded, pixels):
    prompts = pad_left([loaded.vocabulary.action_prompt(SHORT)] * 2, loaded.config.pad)
    with torch.no_grad():
        out = sequence.run(loaded.model, pixels, prompts, layers=True)
        prefix = loaded.model.prefix(pixels)
    assert len(out.hidden_states) == 33
    assert torch.equal(out.hidden_states[0][:, :257], prefix)
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)
    # The class's own way of running whole sequences, which trains it, gives the same.
    from unblind.vla.layout import Turn, collate

    prompt = loaded.vocabulary.action_prompt(SHORT)
    text = collate([[Turn(prompt, (0,), (0.0,))]] * 2).text
    with torch.no_grad():
        own = loaded.model.hidden(pixels, text, layers=True)
    for mine, theirs in zip(own, out.hidden_states, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-5)


def test_nothing_is_left_without_memory_and_nothing_is_trained(loaded):
    everything = [*loaded.model.named_parameters(), *loaded.model.named_buffers()]
    assert not [name for name, tensor in everything if tensor.is_meta]
    assert not [name for name, tensor in everything if tensor.requires_grad]
    assert not loaded.model.training
