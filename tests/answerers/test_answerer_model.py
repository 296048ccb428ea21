"""Models of the hub's families on twins: shapes and sums by hand, and answers of a set model."""

import numpy as np
import pytest
import torch
from hub_twins import TWINS

from unblind.answerers import model
from unblind.answerers.families import FAMILIES
from unblind.errors import UnblindError

LAYERS, HEADS, WIDTH = 3, 4, 32
#: Rows and columns of the visual tokens of a picture of 96 x 128. Qwen2.5-VL rounds both sides to
#: multiples of 28 (84 x 140) and merges 2 x 2 patches of 14; the others squeeze it to 56 x 56 in
#: patches of 14, of which InternVL merges 2 x 2.
GRIDS = {"qwen2_5_vl": (3, 5), "paligemma": (4, 4), "internvl": (2, 2)}
QUESTIONS = ["Do you see it?", "Where?", "Is there a very long thing to the left of it?"]


def pictures(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, 96, 128, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", TWINS)
def test_attention_adds_up_and_states_are_of_all_layers(eager, family):
    look = eager[family].look(pictures()[0], "Do you see it?")
    tokens = GRIDS[family][0] * GRIDS[family][1]
    assert look.grid == GRIDS[family]
    assert eager[family].layers == LAYERS
    assert look.weights.shape == (LAYERS, HEADS, 2 + tokens)
    assert look.weights.sum(-1) == pytest.approx(np.ones((LAYERS, HEADS)), abs=1e-5)
    assert (look.weights >= -1e-6).all()
    assert look.visual.shape == (LAYERS + 1, tokens, WIDTH)
    assert look.last.shape == (LAYERS + 1, WIDTH)
    # Of PaliGemma's sequence the first token is a visual one.
    assert (look.weights[..., 0] == 0).all() == (family == "paligemma")


@pytest.mark.parametrize("family", TWINS)
def test_states_and_weights_are_those_that_transformers_gives(eager, family):
    """Our hook and our places, against the model's own outputs and a count of image tokens."""
    own, image = eager[family], pictures()[0]
    look = own.look(image, "Where?")
    inputs = own._inputs(image[None], ["Where?"], **FAMILIES[family].whole)
    with torch.no_grad():
        output = own._model(**inputs, output_attentions=True, output_hidden_states=True)
    is_visual = (inputs["input_ids"][0] == own._model.config.image_token_id).numpy()
    assert is_visual.sum() == GRIDS[family][0] * GRIDS[family][1]
    for layer in range(LAYERS):
        row = output.attentions[layer][0, :, -1].numpy()
        np.testing.assert_allclose(look.weights[layer, :, 1:-1], row[:, is_visual], atol=1e-6)
    for layer, states in enumerate(output.hidden_states):
        np.testing.assert_allclose(look.visual[layer], states[0].numpy()[is_visual], atol=1e-6)
        np.testing.assert_allclose(look.last[layer], states[0, -1].numpy(), atol=1e-6)


@pytest.mark.parametrize("family", TWINS)
def test_a_batch_says_what_each_says_alone_and_again(eager, family):
    own, images = eager[family], pictures()
    together = own.say(images, QUESTIONS, 6)
    alone = [own.say(images[k : k + 1], QUESTIONS[k : k + 1], 6)[0] for k in range(3)]
    assert together == alone == own.say(images, QUESTIONS, 6)


@pytest.mark.parametrize("family", TWINS)
def test_the_visual_tokens_depend_on_the_picture(eager, family):
    first, second = (eager[family].look(image, "Where?") for image in pictures(2))
    assert np.abs(first.visual[0] - second.visual[0]).max() > 1e-3
    assert np.abs(first.last[0] - second.last[0]).max() == 0, "the embedding of a word"
    assert np.abs(first.last[-1] - second.last[-1]).max() > 1e-6


@pytest.mark.parametrize("family", TWINS)
def test_a_model_that_is_set_to_say_yes_says_yes(folders, family):
    """No block adds anything, so the state is the last token's embedding: each names the next."""
    own = model.load(folders[family], family, torch.device("cpu"), torch.float32)
    network, words = own._model, own._processor.tokenizer
    said = words.convert_tokens_to_ids(["y", "e", "s"])
    end = network.generation_config.eos_token_id
    end = end[0] if isinstance(end, list) else end
    prompt = own._inputs(pictures(1), ["Do you see it?"])["input_ids"][0, -1]
    table = network.get_input_embeddings().weight
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "language_model" in name and name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.zero_()
            if "language_model" in name and "norm" in name:
                weight.zero_() if family == "paligemma" else weight.fill_(1)
        head = network.get_output_embeddings().weight
        head.zero_()
        for before, after in zip([prompt, *said], [*said, end], strict=True):
            head[after] += 10 * table[before] / table[before].norm()
    assert own.say(pictures(2), ["Do you see it?"] * 2, 9) == ["yes", "yes"]
    assert own.say(pictures(1), ["Do you see it?"], 2) == ["ye"]


def test_a_model_without_weights_of_attention_is_told(folders):
    own = model.load(folders["internvl"], "internvl", torch.device("cpu"), torch.float32)
    with pytest.raises(UnblindError, match=r"gives no attention weights \(load it with eager"):
        own.look(pictures()[0], "Where?")


def test_tiles_are_for_answers_and_one_tile_for_looks(eager):
    own = eager["internvl"]
    ids = own._inputs(pictures(1), ["Where?"])["input_ids"]
    cut = int((ids == own._model.config.image_token_id).sum())
    # As many as twelve tiles of four tokens and a thumbnail, in the picture's 3:4.
    assert cut == (3 * 4 + 1) * 4
