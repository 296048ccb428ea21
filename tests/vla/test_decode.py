"""Decoding with a cache against whole sequences, and against other company in the batch."""

import models
import pytest
import torch
from unblind.vla.layout import Turn, collate

from unblind.errors import UnblindError
from unblind.vla.decode import decode
from unblind.vla.text import action_prompt

WORDS = models.VOCABULARY
TEXTS = (
    "put carrot on plate",
    "put cube on carrot plate",
    "put cube",
    "put the carrot on the robot gripper plate",
)
PROMPTS = [WORDS.encode(action_prompt(text)) for text in TEXTS]
IMAGES = models.pictures(4)


@pytest.fixture(scope="module")
def model():
    return models.small()


@torch.no_grad()
def whole_sequence(model, image, prompt, decoded):
    """Return the scores (7, 256) of the action tokens, each from a sequence of its own."""
    rows = []
    for count in range(len(decoded)):
        turn = Turn((*prompt, *decoded[:count]), (0,), (0.0,))
        (states,) = model.hidden(model.vision_backbone.low(image[None]), collate([[turn]]).text)
        rows.append(model.logits(states[0, -1])[WORDS.actions.start :])
    return torch.stack(rows)


def test_the_cache_changes_no_token(model):
    found = decode(model, IMAGES, PROMPTS, 7, WORDS.actions)
    assert found.shape == (4, 7)
    for image, prompt, decoded in zip(IMAGES, PROMPTS, found.tolist(), strict=True):
        scores = whole_sequence(model, image, prompt, decoded)
        best = scores.argmax(1) + WORDS.actions.start
        assert best.tolist() == decoded
        first, second = scores.topk(2).values.T
        assert (first - second).min() > 1e-4, "a tie would prove nothing"


def test_the_cached_states_are_those_of_whole_sequences(model, monkeypatch):
    seen = []
    logits = model.logits
    monkeypatch.setattr(model, "logits", lambda s: seen.append(logits(s)) or seen[-1])
    found = decode(model, IMAGES, PROMPTS, 7, WORDS.actions, 16).tolist()
    cached = torch.stack(seen, 1)[..., WORDS.actions.start :]
    monkeypatch.undo()
    for row, (image, prompt) in enumerate(zip(IMAGES, PROMPTS, strict=True)):
        wanted = whole_sequence(model, image, prompt, found[row])
        torch.testing.assert_close(cached[row], wanted, atol=5e-5, rtol=0)


def test_prompts_of_different_lengths_decode_as_they_do_alone(model):
    together = decode(model, IMAGES, PROMPTS, 7, WORDS.actions)
    for row, prompt in enumerate(PROMPTS):
        alone = decode(model, IMAGES[row : row + 1], [prompt], 7, WORDS.actions)
        assert torch.equal(alone[0], together[row])
    assert len({tuple(row) for row in together.tolist()}) == 4


def test_pictures_and_prompts_both_matter(model):
    same_prompt = decode(model, IMAGES, [PROMPTS[0]] * 4, 7, WORDS.actions)
    same_picture = decode(model, IMAGES[:1].expand(4, -1, -1, -1), PROMPTS, 7, WORDS.actions)
    for found in (same_prompt, same_picture):
        assert len({tuple(row) for row in found.tolist()}) > 1


def test_only_allowed_tokens_are_chosen(model):
    few = range(WORDS.actions.start + 3, WORDS.actions.start + 5)
    assert set(decode(model, IMAGES, PROMPTS, 7, few).unique().tolist()) <= set(few)


def test_a_prompt_beyond_the_model_s_positions_is_refused_at_once(model):
    """128 positions less BOS, 16 visual tokens and 7 of the answer leave room for 104."""
    for length in (104, 105):
        prompts = [*PROMPTS[:3], (5,) * length]
        if length == 104:
            assert decode(model, IMAGES, prompts, 7, WORDS.actions).shape == (4, 7)
            continue
        with pytest.raises(UnblindError, match=r"prompt of 105 tokens .* room for 104 .shorten"):
            decode(model, IMAGES, prompts, 7, WORDS.actions)


def test_scores_that_are_not_finite_are_no_answer():
    model = models.small()
    with torch.no_grad():
        model.language_model.lm_head.weight[WORDS.actions.start + 3].fill_(3e38)
    with pytest.raises(UnblindError, match="numbers that are not finite"):
        decode(model, IMAGES * 1e3, PROMPTS, 7, WORDS.actions)
