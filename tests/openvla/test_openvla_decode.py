"""Choosing tokens: greedy, at a temperature, among the likeliest, from given random numbers."""

import numpy as np
import pytest
import torch
from unblind.openvla import decode as decoding
from unblind.openvla.decode import Sampling, decode, draws
from unblind.openvla.sequence import pad_left
from unblind.openvla.text import EOS

from unblind.errors import UnblindError

INSTRUCTIONS = ("put carrot on plate", "put cup on plate")


@pytest.fixture(scope="module")
def inputs(loaded, pictures):
    prompts = [loaded.vocabulary.action_prompt(text) for text in INSTRUCTIONS]
    pixels = loaded.pixels.evaluation(pictures, dtype=torch.float32)
    return loaded.model, pixels, pad_left(prompts, loaded.config.pad)


def chosen(scores, sampling, count=20_000):
    """Return how often each index is drawn over evenly spread numbers."""
    numbers = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    index = decoding._choose(torch.tensor(scores).expand(count, -1), sampling, numbers)
    return torch.bincount(index, minlength=len(scores)) / count


def test_shares_are_those_of_the_tempered_softmax():
    scores = [0.0, 1.0, -2.0, 0.5]
    for temperature in (0.6, 1.0):
        weights = np.exp(np.array(scores) / temperature)
        found = chosen(scores, Sampling(temperature, top=0))
        np.testing.assert_allclose(found, weights / weights.sum(), atol=1e-4)


def test_only_the_likeliest_are_drawn():
    scores = [0.0, 1.0, -2.0, 0.5]
    found = chosen(scores, Sampling(1.0, top=2)).numpy()
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


def test_sampled_tokens_depend_on_the_numbers_alone(loaded, inputs):
    model, pixels, prompts = inputs
    allowed = loaded.vocabulary.actions
    one, two = draws([(0, 1), (0, 2)], 7), draws([(3, 1), (3, 2)], 7)
    first = decode(model, pixels, prompts, 7, allowed, Sampling(), one)
    again = decode(model, pixels, prompts, 7, allowed, Sampling(), one)
    other = decode(model, pixels, prompts, 7, allowed, Sampling(), two)
    assert torch.equal(first, again) and not torch.equal(first, other)
    for tokens in (first, other):
        assert ((tokens >= allowed.start) & (tokens < allowed.stop)).all()


def test_cold_sampling_is_greedy(loaded, inputs):
    model, pixels, prompts = inputs
    allowed = loaded.vocabulary.actions
    greedy = decode(model, pixels, prompts, 7, allowed)
    numbers = draws([(9, 1), (9, 2)], 7)
    assert torch.equal(decode(model, pixels, prompts, 7, allowed, Sampling(1e-4), numbers), greedy)
    assert torch.equal(decode(model, pixels, prompts, 7, allowed, Sampling(5, 1), numbers), greedy)


def test_the_first_token_has_the_model_s_own_shares(loaded, inputs):
    """Over many numbers, tokens of one picture appear as often as its scores say."""
    from unblind.openvla import sequence

    model, pixels, prompts = inputs
    allowed = loaded.vocabulary.actions
    with torch.no_grad():
        states = sequence.run(model, pixels, prompts).last_hidden_state[:1, -1]
        scores = model.logits(states)[0, allowed.start : allowed.stop]
    found = chosen(scores.tolist(), Sampling(0.6, 50))
    kept = scores.topk(50).indices
    wanted = torch.zeros(256).index_put((kept,), (scores[kept] / 0.6).softmax(0))
    assert (found - wanted).abs().max() < 2e-4


def test_decoding_ends_when_every_row_has_stopped(loaded, inputs):
    model, pixels, prompts = inputs
    everything = decode(model, pixels, prompts, 4, range(32000))
    stop = int(everything[0, 1])
    found = decode(model, pixels[:1], pad_left([prompts.ids[0].tolist()], 0), 4, range(32000))
    short = decode(
        model, pixels[:1], pad_left([prompts.ids[0].tolist()], 0), 4, range(32000), stop=stop
    )
    assert short.shape[1] == 1 + found[0].tolist().index(stop) < 4
    assert EOS == 2


def test_nonsense_is_refused(loaded, inputs):
    for wrong in ((0.0, 50), (-1.0, 50), (float("nan"), 0), (0.6, -1)):
        with pytest.raises(UnblindError, match="cannot sample"):
            Sampling(*wrong)
    with pytest.raises(UnblindError, match="sampling needs random numbers"):
        decode(*inputs, 7, loaded.vocabulary.actions, Sampling())
