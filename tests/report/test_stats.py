import numpy as np
import pytest
from scipy.stats import binom

from unblind.errors import UnblindError
from unblind.report.stats import paired_bootstrap, wilson


def test_wilson_worked_examples():
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3.
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_ends():
    low, high = wilson(32, 32)
    assert high == 1.0 and low == pytest.approx(32 / (32 + 1.959964**2))
    assert wilson(0, 32)[0] == 0.0
    assert wilson(7, 20)[0] == pytest.approx(1 - wilson(13, 20)[1])
    wide, narrow = wilson(7, 20, 0.99), wilson(7, 20, 0.8)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_wilson_covers():
    n = 32
    intervals = [wilson(k, n) for k in range(n + 1)]
    coverage = [
        sum(binom.pmf(k, n, p) for k, (low, high) in enumerate(intervals) if low <= p <= high)
        for p in np.linspace(0.05, 0.95, 91)
    ]
    assert 0.94 < np.mean(coverage) < 0.965 and min(coverage) > 0.88


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_bad_counts(successes, n):
    with pytest.raises(UnblindError, match=f"{successes} successes of {n}"):
        wilson(successes, n)


def test_bootstrap_of_one_condition_is_nearly_normal():
    outcomes = np.repeat([1, 0], [150, 50])
    mean, low, high = paired_bootstrap([outcomes], seed=0)
    half = 1.96 * np.sqrt(0.75 * 0.25 / 200)
    assert mean == 0.75
    assert (low, high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.006)


def test_bootstrap_weighs_conditions_equally():
    mean, low, high = paired_bootstrap([np.ones(10), np.zeros(1000)], seed=0)
    assert (mean, low, high) == (0.5, 0.5, 0.5), "nothing varies within a condition"


def test_bootstrap_interval_shrinks_with_more_conditions():
    outcomes = np.repeat([1, 0], 64)
    one, four = (paired_bootstrap([outcomes] * k, seed=0) for k in (1, 4))
    assert (four[2] - four[1]) == pytest.approx((one[2] - one[1]) / 2, rel=0.1)


def test_bootstrap_keeps_pairs_together():
    better = np.repeat([1, 0], [60, 40])
    worse = better.copy()
    worse[:5] = 0  # loses five episodes, wins none
    mean, low, high = paired_bootstrap([better - worse], seed=0)
    assert mean == pytest.approx(0.05) and 0 < low < high < 0.11


def test_bootstrap_covers():
    rng = np.random.default_rng(5)
    rates = np.array([0.3, 0.6, 0.8])
    inside = 0
    for trial in range(300):
        _, low, high = paired_bootstrap(
            [rng.random(64) < rate for rate in rates], seed=trial, resamples=500
        )
        inside += low <= rates.mean() <= high
    assert 0.90 < inside / 300 < 0.985


def test_bootstrap_is_seeded():
    outcomes = list(np.random.default_rng(0).random((2, 30)))
    first, again, other = (paired_bootstrap(outcomes, seed, resamples=99) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("outcomes", [[], [np.ones(3), np.array([])]])
def test_bootstrap_of_nothing(outcomes):
    with pytest.raises(UnblindError, match="without episodes"):
        paired_bootstrap(outcomes, seed=0)
