"""The model: what the picture, the branches and the padding do to its logits."""

import json

import models
import pytest
import torch
from unblind.training.stages import answer_logits
from unblind.vla.layout import TokenLoss, Turn, collate

from unblind.errors import UnblindError
from unblind.vla.prismatic import PrismaticConfig, sine_positions
from unblind.vla.text import PAD, action_prompt, question_prompt

WORDS = models.VOCABULARY
IMAGES = models.pictures(2)
ACTION = Turn.of(WORDS.encode(action_prompt("put carrot on plate")), list(WORDS.actions)[5:12])
PLACE = Turn.of(
    WORDS.encode(question_prompt("where is the cube")), WORDS.encode("<loc003><loc077>")
)
YES = Turn.of(WORDS.encode(question_prompt("is the robot holding carrot")), WORDS.encode("yes"))


@pytest.fixture(scope="module")
def model():
    return models.small()


@torch.no_grad()
def scores(model, images, examples, length=None):
    batch = collate(examples, length)
    (states,) = model.hidden(model.vision_backbone.low(images), batch.text)
    return answer_logits(model, states, batch)


def test_black_and_white_pictures_give_different_logits(model):
    black_and_white = torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)])
    black, white = scores(model, black_and_white, [[ACTION], [ACTION]]).chunk(2)
    assert (black - white).abs().max() > 0.1
    again = scores(model, black_and_white[:1], [[ACTION]])
    torch.testing.assert_close(again, black, atol=1e-4, rtol=0)


def test_turns_of_one_picture_equal_sequences_of_their_own(model):
    together = scores(model, IMAGES[:1], [[ACTION, PLACE, YES]])
    for turn, count in ((ACTION, 8), (PLACE, 3), (YES, 2)):
        alone = scores(model, IMAGES[:1], [[turn]])
        mine, together = together[:count], together[count:]
        torch.testing.assert_close(mine, alone, atol=2e-5, rtol=0)


def test_a_turn_sees_no_word_of_its_neighbours(model):
    other = Turn.of(WORDS.encode(question_prompt("where is the plate")), PLACE.answer[:-1])
    assert len(other.prompt) == len(PLACE.prompt)
    first = scores(model, IMAGES[:1], [[ACTION, PLACE, YES]])
    changed = scores(model, IMAGES[:1], [[ACTION, other, YES]])
    same = (first == changed).all(1)
    assert same.tolist() == [True] * 8 + [False] * 3 + [True] * 2


def test_what_stands_behind_a_sequence_changes_nothing(model):
    short = scores(model, IMAGES[:1], [[PLACE]])
    long = scores(model, IMAGES, [[PLACE], [ACTION]])
    padded = scores(model, IMAGES[:1], [[PLACE]], 40)
    torch.testing.assert_close(long[:3], short, atol=2e-5, rtol=0)
    torch.testing.assert_close(padded, short, atol=2e-5, rtol=0)


def test_only_the_answer_is_learned(model):
    """Targets of prompt and padding do not exist: the loss looks at 8 tokens of an action."""
    loss = TokenLoss(WORDS, 0, 0)
    batch = collate([[ACTION], [YES]])
    (states,) = model.hidden(model.vision_backbone.low(IMAGES), batch.text)
    states.retain_grad()
    loss(answer_logits(model, states, batch), batch).backward()
    start = states.shape[1] - batch.text.ids.shape[1]
    used = states.grad.abs().sum(-1) > 0
    wanted = torch.zeros_like(used)
    wanted[0, start + len(ACTION.prompt) - 1 :][:8] = True
    wanted[1, start + len(YES.prompt) - 1 :][:2] = True
    assert torch.equal(used, wanted)


def test_the_ids_of_padding_change_no_loss(model):
    batch = collate([[ACTION], [YES]])
    padding = batch.text.branches < 0
    assert (batch.text.ids[padding] == PAD).all() and padding.sum() == 5
    ids = torch.where(padding, torch.tensor(WORDS.encode("cube")[0]), batch.text.ids)
    other = batch._replace(text=batch.text._replace(ids=ids))
    losses = []
    with torch.no_grad():
        for each in (batch, other):
            (states,) = model.hidden(model.vision_backbone.low(IMAGES), each.text)
            losses.append(TokenLoss(WORDS, 0, 0)(answer_logits(model, states, each), each))
    assert losses[0] == losses[1]


def test_hidden_states_are_those_of_every_block(model):
    batch = collate([[YES]])
    low = model.vision_backbone.low(IMAGES[:1])
    with torch.no_grad():
        embeddings, first, last = model.hidden(low, batch.text, layers=True)
        (final,) = model.hidden(low, batch.text)
        prefix = model.prefix(low)
    assert torch.equal(last, final)
    assert torch.equal(embeddings[:, : prefix.shape[1]], prefix)
    assert prefix.shape[1] == 1 + 4 * 4
    assert not torch.equal(first, last)


def test_the_first_token_is_bos(model):
    with torch.no_grad():
        prefix = model.prefix(model.vision_backbone.low(IMAGES))
    bos = model.language_model.get_input_embeddings().weight[models.SMALL["bos"]]
    assert torch.equal(prefix[:, 0], bos.expand(2, -1))


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
        models.Prismatic(config)
