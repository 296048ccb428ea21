"""Decoding at both scales: a cache against whole sequences, company, sampling, stopping."""

import numpy as np
import pytest
import torch

from unblind.errors import UnblindError
from unblind.vla import decode as decoding
from unblind.vla.batch import Turn, collate
from unblind.vla.decode import Sampling, decode, draws

TEXTS = (
    "put carrot on plate",
    "put cube on carrot plate",
    "put cube",
    "put the carrot on the robot gripper plate",
)


@pytest.fixture(scope="module")
def inputs(either, pictures):
    """Model, pixel values, prompts and the ids to choose from."""
    prompts = [either.vocabulary.action_prompt(text) for text in TEXTS]
    pixels = either.pixels.evaluation(pictures, dtype=torch.float32)
    return either.model, pixels, prompts, either.vocabulary.actions


@torch.no_grad()
def whole_sequence(model, pixels, prompt, decoded, allowed):
    """Return the scores (7, 256) of the action tokens, each from a sequence of its own."""
    rows = []
    for count in range(len(decoded)):
        turn = Turn((*prompt, *decoded[:count]), (0,), (0.0,))
        low = model.vision_backbone.low(pixels[None])
        (states,) = model.hidden(low, collate([[turn]]).text)
        rows.append(model.scores(states[0, -1], allowed))
    return torch.stack(rows)


def test_cached_scores_and_tokens_are_those_of_whole_sequences(inputs, monkeypatch):
    model, pixels, prompts, allowed = inputs
    seen, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda s: seen.append(logits(s)) or seen[-1])
    found = decode(model, pixels, prompts, 7, allowed, 48)
    cached = torch.stack(seen, 1)[..., allowed.start : allowed.stop]
    monkeypatch.undo()
    assert found.shape == (4, 7)
    for row, tokens in enumerate(found.tolist()):
        scores = whole_sequence(model, pixels[row], prompts[row], tokens, allowed)
        torch.testing.assert_close(cached[row], scores, atol=5e-5, rtol=0)
        assert (scores.argmax(1) + allowed.start).tolist() == tokens
        first, second = scores.topk(2).values.T
        assert (first - second).min() > 1e-4, "a tie would prove nothing"


def test_prompts_of_different_lengths_decode_as_they_do_alone(inputs):
    model, pixels, prompts, allowed = inputs
    together = decode(model, pixels, prompts, 7, allowed)
    for row, prompt in enumerate(prompts):
        alone = decode(model, pixels[row : row + 1], [prompt], 7, allowed)
        assert torch.equal(alone[0], together[row])
    assert len({tuple(row) for row in together.tolist()}) > 1


def test_pictures_and_prompts_both_matter(inputs):
    model, pixels, prompts, allowed = inputs
    first = decode(model, pixels, prompts, 7, allowed)
    assert not torch.equal(decode(model, pixels.roll(1, 0), prompts, 7, allowed), first)
    assert not torch.equal(decode(model, pixels, [*prompts[1:], prompts[0]], 7, allowed), first)


def test_only_allowed_tokens_are_chosen(inputs):
    *given, allowed = inputs
    few = allowed[3:5]
    assert set(decode(*given, 7, few).unique().tolist()) <= set(few)


def test_a_prompt_beyond_the_model_s_positions_is_refused_at_once(inputs):
    model, pixels, prompts, allowed = inputs
    room = model.config.max_positions - 1 - model.config.grid**2 - 7
    for length in (room, room + 1):
        given = [*prompts[:3], (5,) * length]
        if length == room:
            assert decode(model, pixels, given, 7, allowed).shape == (4, 7)
            continue
        said = rf"prompt of {length} tokens .* room for {room} .shorten"
        with pytest.raises(UnblindError, match=said):
            decode(model, pixels, given, 7, allowed)


def test_scores_that_are_not_finite_are_no_answer(inputs):
    model, pixels, prompts, allowed = inputs
    weight = model.language_model.lm_head.weight
    before = weight[allowed.start + 3].clone()
    with torch.no_grad():
        weight[allowed.start + 3] = torch.inf
        with pytest.raises(UnblindError, match="numbers that are not finite"):
            decode(model, pixels, prompts, 7, allowed)
        weight[allowed.start + 3] = before


def test_decoding_ends_when_every_row_has_stopped(inputs):
    model, pixels, prompts, allowed = inputs
    tokens = decode(model, pixels[:1], prompts[:1], 7, allowed)[0].tolist()
    short = decode(model, pixels[:1], prompts[:1], 7, allowed, stop=tokens[2])
    assert short[0].tolist() == tokens[: 1 + tokens.index(tokens[2])]
    other = decode(model, pixels, prompts, 7, allowed, stop=allowed.stop)
    assert other.shape == (4, 7), "no row has stopped"


# ---- sampling ---------------------------------------------------------------------------------


def shares(scores, sampling, count=20_000):
    """Return how often each index is drawn over evenly spread numbers."""
    numbers = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    index = decoding._choose(torch.tensor(scores).expand(count, -1), sampling, numbers)
    return torch.bincount(index, minlength=len(scores)) / count


def test_shares_are_those_of_the_tempered_softmax():
    scores = [0.0, 1.0, -2.0, 0.5]
    for temperature in (0.6, 1.0):
        wanted = np.exp(np.array(scores) / temperature)
        found = shares(scores, Sampling(temperature, top=0))
        np.testing.assert_allclose(found, wanted / wanted.sum(), atol=1e-4)


def test_only_the_likeliest_are_drawn():
    found = shares([0.0, 1.0, -2.0, 0.5], Sampling(1.0, top=2)).numpy()
    wanted = np.exp([1.0, 0.5]) / np.exp([1.0, 0.5]).sum()
    np.testing.assert_allclose(found[[1, 3]], wanted, atol=1e-4)
    assert found[[0, 2]].tolist() == [0, 0]
    assert Sampling() == Sampling(temperature=0.6, top=50), "the release's"


def test_the_ends_of_the_interval_are_drawn_too():
    scores = torch.tensor([[0.0, 1.0, -torch.inf]])
    last = float(np.nextafter(1.0, 0.0))
    for number, wanted in ((0.0, 0), (last, 1)):
        numbers = torch.tensor([number], dtype=torch.float64)
        assert decoding._choose(scores, Sampling(1.0, 0), numbers).tolist() == [wanted]


def test_a_row_s_random_stream_is_its_own():
    both = draws([(0, 5, 1), (0, 6, 1)], 7)
    assert both.shape == (2, 7) and both.dtype == torch.float64
    assert torch.equal(draws([(0, 6, 1)], 7)[0], both[1])
    assert not torch.equal(both[0], both[1])


def test_sampled_tokens_depend_on_the_numbers_alone(inputs):
    *given, allowed = inputs
    one, two = (draws([(seed, row) for row in range(4)], 7) for seed in (0, 3))
    first, again, other = (
        decode(*given, 7, allowed, sampling=Sampling(), numbers=n) for n in (one, one, two)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert set(first.flatten().tolist()) <= set(allowed)


def test_cold_sampling_is_greedy(inputs):
    *given, allowed = inputs
    greedy, numbers = decode(*given, 7, allowed), draws([(9, row) for row in range(4)], 7)
    for sampling in (Sampling(1e-4), Sampling(5, 1)):
        found = decode(*given, 7, allowed, sampling=sampling, numbers=numbers)
        assert torch.equal(found, greedy)


def test_the_first_token_has_the_model_s_own_shares(inputs):
    """Over many numbers, tokens of one picture appear as often as its scores say."""
    model, pixels, prompts, allowed = inputs
    (scores,) = whole_sequence(model, pixels[0], prompts[0], [0], allowed)
    found = shares(scores.tolist(), Sampling(0.6, 50))
    kept = scores.topk(50).indices
    wanted = torch.zeros(256).index_put((kept,), (scores[kept] / 0.6).softmax(0))
    assert (found - wanted).abs().max() < 2e-4


def test_nonsense_is_refused(inputs):
    for wrong in ((0.0, 50), (-1.0, 50), (float("nan"), 0), (0.6, -1)):
        with pytest.raises(UnblindError, match="cannot sample"):
            Sampling(*wrong)
    *given, allowed = inputs
    with pytest.raises(UnblindError, match="sampling needs random numbers"):
        decode(*given, 7, allowed, sampling=Sampling())
