"""The model at both scales: what picture, branches and padding do to its logits."""

import json

import models
import numpy as np
import openvla_reference
import pytest
import torch
from safetensors.torch import load_file

from unblind.errors import UnblindError
from unblind.training.losses import TokenLoss, answer_logits
from unblind.vla.batch import PAD, Turn, collate
from unblind.vla.decode import Sampling, decode
from unblind.vla.prismatic import Prismatic, PrismaticConfig, sine_positions


@pytest.fixture(scope="module")
def model(either):
    return either.model


@pytest.fixture(scope="module")
def pixels(either, pictures):
    return either.pixels.evaluation(pictures[:2], dtype=torch.float32)


@pytest.fixture(scope="module")
def turns(either):
    """An action and two questions, of different lengths."""
    words = either.vocabulary
    action = Turn.of(words.action_prompt("put carrot on plate"), list(words.actions)[5:12])
    place = Turn.of(words.question_prompt("where is the cube"), words.actions[77:79])
    yes = Turn.of(words.question_prompt("is the robot holding carrot"), words.actions[9:10])
    return action, place, yes


def states(model, pixels, batch, **options):
    return model.hidden(model.vision_backbone.low(pixels), batch.text, **options)


@torch.no_grad()
def scores(model, pixels, examples, length=None):
    batch = collate(examples, length)
    return answer_logits(model, states(model, pixels, batch)[-1], batch)


def test_logits_equal_an_independent_implementation(twin_folder, loaded, pictures):
    """Float32 against float64, so that all rounding is the model's own."""
    shards = sorted(twin_folder.glob("*.safetensors"))
    assert len(shards) > 1
    tensors = {n: t.double() for shard in shards for n, t in load_file(shard).items()}
    pixels = loaded.pixels.evaluation(pictures[:2], dtype=torch.float32)
    prompts = [loaded.vocabulary.action_prompt("put carrot on plate"), (31750, 2, *range(300, 332))]
    ids = torch.tensor(prompts)
    wanted = openvla_reference.logits(tensors, pixels.double(), ids)
    assert wanted.shape == (2, 257 + 34, 32064) and wanted.std() > 0.5
    batch = collate([[Turn(prompt, (0,), (0.0,))] for prompt in prompts])
    with torch.no_grad():
        found = loaded.model.logits(states(loaded.model, pixels, batch)[-1])
    assert (found - wanted).abs().max() < 1e-5
    # Each part of the picture and of the text has a say, so that equality says something.
    for change in (pixels.flip(1), pixels.roll(14, 2)):
        assert (openvla_reference.logits(tensors, change.double(), ids) - wanted).abs().max() > 0.1


def test_black_and_white_pictures_give_different_logits(either, turns):
    images = np.stack([np.full((48, 64, 3), value, np.uint8) for value in (0, 255)])
    both = either.pixels.evaluation(images, dtype=torch.float32)
    black, white = scores(either.model, both, [[turns[0]]] * 2).chunk(2)
    assert (black - white).abs().max() > 0.1
    again = scores(either.model, both[:1], [[turns[0]]])
    torch.testing.assert_close(again, black, atol=1e-4, rtol=0)


def test_turns_of_one_picture_equal_sequences_of_their_own(model, pixels, turns):
    together = scores(model, pixels[:1], [turns])
    for turn in turns:
        alone = scores(model, pixels[:1], [[turn]])
        mine, together = together.split([len(alone), len(together) - len(alone)])
        torch.testing.assert_close(mine, alone, atol=2e-5, rtol=0)


def test_a_turn_sees_no_word_of_its_neighbours(model, pixels, turns):
    action, place, yes = turns
    other = Turn.of([*place.prompt[:-1], place.prompt[0]], place.answer[:-1])
    first = scores(model, pixels[:1], [turns])
    changed = scores(model, pixels[:1], [[action, other, yes]])
    same = (first == changed).all(1)
    assert same.tolist() == [True] * 8 + [False] * 3 + [True] * 2


def test_what_stands_behind_a_sequence_changes_nothing(model, pixels, turns):
    action, place, _ = turns
    short = scores(model, pixels[:1], [[place]])
    long = scores(model, pixels, [[place], [action]])
    padded = scores(model, pixels[:1], [[place]], 60)
    torch.testing.assert_close(long[:3], short, atol=2e-5, rtol=0)
    torch.testing.assert_close(padded, short, atol=2e-5, rtol=0)


def test_the_ids_of_padding_change_no_loss(either, pixels, turns):
    batch = collate([[turns[0]], [turns[2]]])
    padding = batch.text.branches < 0
    assert (batch.text.ids[padding] == PAD).all() and padding.sum() > 4
    ids = torch.where(padding, torch.tensor(7), batch.text.ids)
    losses = []
    with torch.no_grad():
        for each in (batch, batch._replace(text=batch.text._replace(ids=ids))):
            logits = answer_logits(either.model, states(either.model, pixels, each)[-1], each)
            losses.append(TokenLoss(either.vocabulary, 0, 0)(logits, each))
    assert losses[0] == losses[1]


def test_only_the_answer_is_learned(pixels, turns, either):
    """Targets of prompt and padding do not exist: the loss looks at 8 tokens of an action."""
    model, (action, _, yes) = either.model, turns
    batch = collate([[action], [yes]])
    (last,) = states(model, pixels, batch)
    last = last.detach().requires_grad_()
    TokenLoss(either.vocabulary, 0, 0)(answer_logits(model, last, batch), batch).backward()
    start = last.shape[1] - batch.text.ids.shape[1]
    used = last.grad.abs().sum(-1) > 0
    wanted = torch.zeros_like(used)
    wanted[0, start + len(action.prompt) - 1 :][:8] = True
    wanted[1, start + len(yes.prompt) - 1 :][:2] = True
    assert torch.equal(used, wanted)


@torch.no_grad()
def test_hidden_states_are_those_of_every_block(model, pixels, turns):
    batch = collate([[turns[2]]] * 2)
    embeddings, *blocks = states(model, pixels, batch, layers=True)
    assert len(blocks) == model.config.layers
    assert torch.equal(blocks[-1], states(model, pixels, batch)[0])
    assert not torch.equal(blocks[0], blocks[-1])
    prefix = model.prefix(model.vision_backbone(model.vision_backbone.low(pixels)))
    assert prefix.shape[1] == 1 + model.config.grid**2
    assert torch.equal(embeddings[:, : prefix.shape[1]], prefix)
    bos = model.language_model.get_input_embeddings().weight[model.config.bos]
    assert torch.equal(prefix[:, 0], bos.expand(2, -1))


@torch.no_grad()
def test_inside_autocast_states_are_rounded_and_nothing_else(model, pixels, turns):
    batch = collate([[turn] for turn in turns[:2]])
    exact = states(model, pixels, batch)[-1]
    with torch.autocast("cpu", torch.bfloat16):
        rough = states(model, pixels, batch)[-1]
    start = exact.shape[1] - batch.text.ids.shape[1]
    apart = (rough.float() - exact)[batch.rows, start + batch.places].abs()
    assert 0 < apart.mean() < 0.05 * exact.abs().mean()


# ---- without memory ---------------------------------------------------------------------------


def test_a_batch_of_the_published_size_goes_through(full_size):
    """A tensor left on the CPU would stop it: torch does not mix it with the meta device."""
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2, device="meta") + torch.ones(2)
    pixels = torch.empty(2, 6, 224, 224, device="meta", dtype=torch.bfloat16)
    prompts = [(3,) * 20, (3,) * 34]
    batch = collate([[Turn(prompt, (0,), (0.0,))] for prompt in prompts], device="meta")
    out = states(full_size, pixels, batch, layers=True)
    assert len(out) == 33 and out[16].shape == out[-1].shape == (2, 257 + 34, 4096)
    assert out[-1].dtype == torch.bfloat16
    numbers = torch.zeros(2, 2, dtype=torch.float64)
    given = {"sampling": Sampling(), "numbers": numbers}
    tokens = decode(full_size, pixels, prompts, 2, range(31744, 32000), **given)
    assert tokens.shape == (2, 2) and tokens.is_meta


def test_its_weights_need_15_gigabytes(full_size):
    assert sum(weight.nbytes for weight in full_size.parameters()) == 2 * 7_541_237_184


# ---- sizes ------------------------------------------------------------------------------------


def test_sine_positions_tell_rows_and_columns_apart():
    table = sine_positions(4, 16)
    assert table.shape == (16, 16)
    assert len({row.numpy().tobytes() for row in table}) == 16
    # Row and column each own a half of the channels.
    assert torch.equal(table[0, :8], table[3, :8]) and not torch.equal(table[0], table[3])
    assert torch.equal(table[1, 8:], table[13, 8:])


def test_the_configuration_survives_json():
    config = PrismaticConfig(**models.SMALL)
    assert PrismaticConfig.from_json(json.dumps(config.to_json())) == config
    assert config.grid == 4


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{}",
        "null",
        {"layers": None},
        {"surprise": 1},
        {"hidden_size": "32"},
        {"heads": 5},
    ],
)
def test_a_foreign_configuration_is_one_error(damage):
    values = PrismaticConfig(**models.SMALL).to_json()
    if isinstance(damage, dict):
        values |= damage
        damage = json.dumps({k: v for k, v in values.items() if v is not None})
    with pytest.raises(UnblindError, match=r"config\.json"):
        PrismaticConfig.from_json(damage)


def test_an_unknown_tower_is_named():
    config = PrismaticConfig(**{**models.SMALL, "towers": ("resnet",)})
    with pytest.raises(UnblindError, match=r"unknown vision tower 'resnet'.*lite0"):
        Prismatic(config)
