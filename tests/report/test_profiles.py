"""Performance profiles and probability of improvement, by their definitions."""

import itertools

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from unblind.errors import UnblindError
from unblind.report.profiles import performance_profile, probability_of_improvement

#: Three seeds, two conditions.
SCORES = np.array([[0.1, 0.5], [0.3, 0.5], [0.9, 0.7]])


def test_a_profile_counts_what_lies_above():
    found = performance_profile(SCORES, (0.0, 0.1, 0.3, 0.5, 0.7, 0.9), seed=0)
    # A score that equals the threshold is not above it.
    assert [round(6 * one.value) for one in found] == [6, 5, 4, 2, 1, 0]
    assert (found[0].low, found[0].high) == (1, 1)
    assert all(one.low <= one.value <= one.high for one in found)


def test_its_interval_is_the_spread_of_seeds_drawn_within_each_condition():
    found = performance_profile(SCORES, (0.5,), seed=0, resamples=20_000)[0]
    # Drawn with replacement, each condition's share above 0.5 is binomial(3, 1/3) / 3.
    chances = {0: 8 / 27, 1: 12 / 27, 2: 6 / 27, 3: 1 / 27}
    both = {}
    for a, b in itertools.product(chances, repeat=2):
        both[a + b] = both.get(a + b, 0) + chances[a] * chances[b]
    below = np.cumsum([both[n] for n in sorted(both)])
    wanted = [int(np.searchsorted(below, tail)) / 6 for tail in (0.025, 0.975)]
    assert (found.low, found.high) == pytest.approx(wanted)


def test_the_probability_of_improvement_compares_all_pairs_of_seeds():
    other = np.array([[0.3, 0.6], [0.2, 0.4]])
    # Condition 1: 0.1 wins none; 0.3 ties one, wins one; 0.9 wins both. Condition 2: 1, 1, 2.
    chance = probability_of_improvement(SCORES, other, seed=0)
    assert chance.value == pytest.approx(((0 + 1.5 + 2) / 6 + (1 + 1 + 2) / 6) / 2)
    u = [mannwhitneyu(SCORES[:, m], other[:, m]).statistic / 6 for m in range(2)]
    assert chance.value == pytest.approx(np.mean(u))
    back = probability_of_improvement(other, SCORES, seed=0)
    assert back.value == pytest.approx(1 - chance.value)
    assert chance.low < chance.value < chance.high
    # Order of seeds does not matter: they are not paired.
    assert probability_of_improvement(SCORES[::-1], other, seed=0).value == chance.value
    assert probability_of_improvement(SCORES, SCORES, seed=0).value == 0.5


def test_who_always_wins_has_no_doubt():
    chance = probability_of_improvement(SCORES + 1, SCORES, seed=0)
    assert (chance.value, chance.low, chance.high) == (1, 1, 1)


def test_one_seed_has_no_interval():
    alone = probability_of_improvement(SCORES[:1], SCORES[1:2], seed=0)
    assert (alone.value, alone.low, alone.high) == (0.25, None, None)
    assert performance_profile(SCORES[:1], (0.2,), seed=0)[0].value == 0.5
    assert performance_profile(SCORES[:1], (0.2,), seed=0)[0].low is None


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UnblindError, match="2 tasks with 1"):
        probability_of_improvement(SCORES, SCORES[:, :1], seed=0)
    for scores in (np.zeros((0, 3)), np.array([[np.nan]]), np.zeros(3)):
        with pytest.raises(UnblindError, match="no profile of scores of shape"):
            performance_profile(scores, (0.5,), seed=0)
