import math
from fractions import Fraction
from functools import cache
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom, rankdata
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from unblind.errors import UnblindError
from unblind.report.stats import (
    Estimate,
    Spread,
    clustered_difference,
    clustered_rate,
    cohens_h,
    e_process,
    holm,
    least_p,
    mcnemar_exact,
    paired_bootstrap,
    seed_spread,
    wilcoxon_greater,
    wilson,
)


def test_an_estimate_in_another_unit_keeps_its_items():
    assert Estimate(0.25, 0.125, 0.5, 8).scaled(100) == Estimate(25, 12.5, 50, 8)


def test_units_that_all_agree_are_no_more_than_a_sign_test():
    for units in (1, 2, 5, 6, 10):
        agree = Fraction(1, 2) ** units * 2
        assert least_p(units) == min(1, agree)
    assert least_p(5) > 0.05 > least_p(6)


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


def test_wilson_is_the_inverted_score_test():
    z = NormalDist().inv_cdf(0.975)
    rng = np.random.default_rng(1)
    for n in rng.integers(1, 2000, 200):
        k = int(rng.integers(0, n + 1))
        for end in wilson(k, int(n)):
            # Each end is a rate whose distance from k / n is z of its own standard errors.
            distance = (k / n - end) ** 2 - z**2 * end * (1 - end) / n
            assert distance == pytest.approx(0, abs=1e-12)


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


@pytest.mark.parametrize("discordant", [0.1, 0.3])
def test_bootstrap_of_paired_differences_covers(discordant):
    rng = np.random.default_rng(6)
    conditions, pairs, trials = 13, 16, 300
    lost = rng.dirichlet(np.ones(conditions)) * discordant
    won = rng.dirichlet(np.ones(conditions)) * 2 * discordant
    inside = 0
    for trial in range(trials):
        drawn = rng.random((conditions, pairs))
        difference = (drawn < won[:, None]).astype(int) - (drawn > 1 - lost[:, None])
        _, low, high = paired_bootstrap(list(difference), seed=trial, resamples=400)
        inside += low <= (won - lost).mean() <= high
    assert 0.90 < inside / trials < 0.98


def test_bootstrap_is_seeded():
    outcomes = list(np.random.default_rng(0).random((2, 30)))
    first, again, other = (paired_bootstrap(outcomes, seed, resamples=99) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("outcomes", [[], [np.ones(3), np.array([])]])
def test_bootstrap_of_nothing(outcomes):
    with pytest.raises(UnblindError, match="without episodes"):
        paired_bootstrap(outcomes, seed=0)


def test_seed_spread():
    # Deviations -1, 0, 1: the variance with n - 1 is 1.
    spread = seed_spread([2.0, 3.0, 4.0])
    assert (spread.mean, spread.sd, spread.n) == (3.0, 1.0, 3)
    # With two degrees of freedom F(t) = 1/2 + t / (2 sqrt(t^2 + 2)): 0.975 at t = 0.95 sqrt(2 / a).
    quantile = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    assert spread.half == pytest.approx(quantile / math.sqrt(3))
    assert seed_spread([0.4]) == Spread(mean=0.4, sd=None, half=None, n=1)
    assert (seed_spread([0.7] * 8).sd, seed_spread([0.7] * 8).half) == (0, 0)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_seed_spread_of_no_numbers(values):
    with pytest.raises(UnblindError, match="no spread over seeds"):
        seed_spread(values)


def test_mcnemar_worked_examples():
    # By hand: ten fair coins show heads at most once in 1 + 10 of 1024 ways; two tails.
    assert mcnemar_exact(1, 9) == mcnemar_exact(9, 1) == 22 / 1024
    assert mcnemar_exact(0, 6) == 2 / 64
    # Agresti, Categorical Data Analysis, chapter 10: approval of the prime minister in two
    # surveys of the same 1,600 persons, 794 and 570 of one mind, 150 and 86 not.
    tail = Fraction(2 * sum(math.comb(236, k) for k in range(87)), 2**236)
    assert mcnemar_exact(86, 150) == pytest.approx(float(tail), rel=1e-9)


def test_mcnemar_equals_statsmodels():
    for won, lost in np.random.default_rng(2).integers(0, 120, (200, 2)).tolist():
        theirs = mcnemar([[7, won], [lost, 5]], exact=True).pvalue if won + lost else 1.0
        assert mcnemar_exact(won, lost) == pytest.approx(theirs, rel=1e-9)


def test_mcnemar_finds_nothing_where_nothing_differs():
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(4, 4) == 1


@pytest.mark.parametrize("counts", [(-1, 3), (3, -1)])
def test_negative_counts(counts):
    with pytest.raises(UnblindError, match="no comparison"):
        mcnemar_exact(*counts)


def pairs_of(rng, trials, pairs, won, lost):
    """Draw differences of success, (trials, pairs): 1 with chance `won`, -1 with chance `lost`."""
    drawn = rng.random((trials, pairs))
    return (drawn < won).astype(int) - (drawn > 1 - lost)


def test_the_betting_test_is_krichevskys_and_trofimovs():
    # Each outcome of a fair coin, times 2, is bet on with (count of it + 1/2) / (all + 1).
    delta = pairs_of(np.random.default_rng(9), 1, 300, 0.25, 0.1)[0]
    assert 80 < np.abs(delta).sum() <= 127
    counts, wealth = {1: 0, -1: 0}, [1.0]
    for d in delta.tolist():
        factor = 2 * (counts[d] + 0.5) / (sum(counts.values()) + 1) if d else 1.0
        counts[d] = counts.get(d, 0) + 1 if d else 0
        wealth.append(wealth[-1] * factor)
    assert e_process(delta) == pytest.approx(wealth[1:], rel=1e-9)
    assert e_process(-delta) == pytest.approx(wealth[1:], rel=1e-9), "two-sided"


def test_no_bet_gains_on_average_where_nothing_differs():
    """Over every course of pairs, also of partial credit and after any number of them."""
    for values in ([-1, 0, 1], [-0.5, 0.5], [-1, 0.25, 0.75]):
        assert sum(values) == 0
        for n in (1, 4):
            means = [e_process(course)[-1] for course in product(values, repeat=n)]
            assert np.mean(means) == pytest.approx(1)


def test_a_round_of_conditions_gains_nothing_where_their_mean_difference_is_none():
    """One condition favours the first run, two the second: the bets of a round still lose."""
    gains = {-1: 0.0, 0: 0.0, 1: 0.0}
    mean = 0.0
    for course in product(gains, repeat=3):
        chance = 1.0
        for d, won, lost in zip(course, (0.6, 0.1, 0.0), (0.0, 0.3, 0.4), strict=True):
            chance *= {1: won, -1: lost, 0: 1 - won - lost}[d]
        mean += chance * e_process(course)[-1]
    assert 0.8 < mean < 1


PAIRS = 224  # 14 conditions of 16


@cache
def evidence():
    """E-values by pairs won and lost: their order does not matter, as the test above shows."""
    rows = [e_process([1] * won + [-1] * PAIRS) for won in range(PAIRS + 1)]
    return np.array([[row[won - 1] if won else 1.0, *row[won:]] for won, row in enumerate(rows)])


def watched(seed, trials, won, lost):
    """Return e-value and p of McNemar's test after every pair of simulated studies."""
    delta = pairs_of(np.random.default_rng(seed), trials, PAIRS, won, lost)
    wins, losses = (delta > 0).cumsum(axis=1), (delta < 0).cumsum(axis=1)
    return evidence()[wins, losses], 2 * binom.cdf(np.minimum(wins, losses), wins + losses, 0.5)


@pytest.mark.parametrize("discordant", [0.05, 0.3, 1.0])
def test_looking_after_every_pair_keeps_the_level(discordant):
    e, p = watched(10, 4000, discordant / 2, discordant / 2)
    found = np.mean((e >= 20).any(axis=1))
    assert found <= 0.05
    if discordant == 0.3:
        assert found > 0.01, "a test that finds nothing would keep the level, too"
        assert np.mean((p < 0.05).any(axis=1)) > 0.1, "a test for one look does not"


@pytest.mark.parametrize(
    ("won", "lost", "power", "pairs"),
    [(0.175, 0.025, 1.0, 60), (0.3, 0.1, 0.97, 72), (0.2, 0.1, 0.42, 118), (0.5, 0.0, 1.0, 14)],
)
def test_the_betting_tests_power(won, lost, power, pairs):
    """The figures of docs/statistics.md: how often it decides, and after how many pairs then."""
    e, _ = watched(11, 2000, won, lost)
    decided = (e >= 20).any(axis=1)
    assert decided.mean() == pytest.approx(power, abs=0.03)
    assert np.median((e[decided] >= 20).argmax(axis=1) + 1) == pytest.approx(pairs, rel=0.06)


@pytest.mark.parametrize("differences", [[], [0, 1.5], [0, math.nan]])
def test_the_betting_test_refuses(differences):
    with pytest.raises(UnblindError, match="no betting test"):
        e_process(differences)


def test_wilcoxon_worked_examples():
    # All 8 seeds better: one of 2**8 equally likely patterns of signs.
    assert wilcoxon_greater(np.arange(1, 9) / 10, np.zeros(8)) == 1 / 256
    assert wilcoxon_greater(np.zeros(8), np.arange(1, 9) / 10) == 1
    # Darwin's maize (Fisher, The Design of Experiments): 15 differences, ranks 10 and 14 of the
    # negative ones sum to 24; two-sided exact p 0.0413.
    heights = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
    assert 2 * wilcoxon_greater(heights, np.zeros(15)) == pytest.approx(0.0413, abs=5e-5)


def every_sign(delta):
    """One-sided p by trying all signs of the ranks of the differences that are not 0."""
    delta = delta[delta != 0]
    ranks = rankdata(abs(delta))
    sums = np.array(list(product((0, 1), repeat=len(delta)))) @ ranks
    return np.mean(sums >= ranks[delta > 0].sum() - 1e-9)


def test_wilcoxon_equals_trying_all_signs():
    rng = np.random.default_rng(3)
    for _ in range(200):
        # Rates of 10 episodes: many ties and seeds without a difference.
        first, second = rng.integers(0, 11, (2, rng.integers(1, 9)))
        p = wilcoxon_greater(first / 10, second / 10)
        assert p == pytest.approx(every_sign(first - second), abs=1e-12)


def test_wilcoxon_of_many_seeds_is_nearly_exact():
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.2, 0.4):
        delta = rng.normal(shift, 1, 60).round(1)
        ranks = rankdata(abs(delta[delta != 0]))
        signs = rng.random((40_000, len(ranks))) < 0.5
        drawn = np.mean(signs @ ranks >= ranks[delta[delta != 0] > 0].sum())
        assert wilcoxon_greater(delta, np.zeros(60)) == pytest.approx(drawn, abs=0.01)


def test_wilcoxon_of_few_or_equal_seeds():
    assert wilcoxon_greater([0.6], [0.5]) == 0.5, "one seed can show nothing"
    assert wilcoxon_greater([0.5], [0.6]) == 1
    assert wilcoxon_greater([0.4] * 8, [0.4] * 8) == 1
    assert wilcoxon_greater([0.4] * 80, [0.4] * 80) == 1


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [([], [], r"\[\]"), ([0.1, 0.2], [0.1], "2 against 1 seeds"), ([math.nan], [0.1], "nan")],
)
def test_wilcoxon_refuses(first, second, problem):
    with pytest.raises(UnblindError, match=f"no Wilcoxon test of .*{problem}"):
        wilcoxon_greater(first, second)


def test_holm_by_hand():
    # In ascending order times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; the last may not fall below.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm({"b": 0.5, "a": 0.7}) == {"b": 1.0, "a": 1.0}
    assert holm([0.04]) == [0.04]
    assert holm([]) == [] and holm({}) == {}


def test_holm_rejects_what_the_step_down_rule_rejects():
    rng = np.random.default_rng(5)
    for _ in range(200):
        p = rng.random(rng.integers(1, 20)) ** 3
        order = np.argsort(p)
        kept = [i for i, k in enumerate(order) if p[k] > 0.05 / (len(p) - i)]
        rejected = order[: kept[0] if kept else len(p)]
        assert sorted(np.flatnonzero(np.array(holm(p)) <= 0.05)) == sorted(rejected)


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(6).integers(0, 40, 30) / 100  # some are alike
    assert holm(p.tolist()) == multipletests(p, method="holm")[1].tolist()


@pytest.mark.parametrize("p", [[0.1, 1.2], [-0.1], [math.nan], {"a": math.nan}])
def test_holm_refuses(p):
    with pytest.raises(UnblindError, match="not within 0 and 1"):
        holm(p)


def test_cohens_h():
    # The sines of 30, 45 and 60 degrees are the roots of 1/4, 1/2 and 3/4.
    assert cohens_h(0.75, 0.25) == pytest.approx(math.pi / 3)
    assert cohens_h(0.25, 0.5) == pytest.approx(-math.pi / 6)
    assert cohens_h(1, 0) == pytest.approx(math.pi)
    for first, second in np.random.default_rng(6).random((200, 2)):
        direct = 2 * (math.asin(math.sqrt(first)) - math.asin(math.sqrt(second)))
        assert cohens_h(first, second) == pytest.approx(direct)
    for pair in ((1.1, 0.5), (0.5, math.nan)):
        with pytest.raises(UnblindError, match="no effect size"):
            cohens_h(*pair)


# ---- clusters ---------------------------------------------------------------------------------


def one_kind(values, clusters):
    return np.array(values, float), np.zeros(len(values)), np.array(clusters)


def test_without_clusters_an_interval_is_wilson_s():
    values = np.repeat([1.0, 0.0], [81, 182])
    rate, low, high = clustered_rate(*one_kind(values, np.arange(263)))
    assert rate == pytest.approx(81 / 263)
    # The standard error divides by n - 1 where Wilson's has n.
    assert (low, high) == pytest.approx(wilson(81, 263), abs=2e-4)


def test_answers_that_only_repeat_others_narrow_nothing():
    values = np.repeat([1.0, 0.0], [30, 20])
    alone = clustered_rate(*one_kind(values, np.arange(50)))
    repeated = clustered_rate(*one_kind(np.tile(values, 8), np.tile(np.arange(50), 8)))
    assert repeated == pytest.approx(alone)
    apart = clustered_rate(*one_kind(np.tile(values, 8), np.arange(400)))
    assert apart[2] - apart[1] < 0.45 * (alone[2] - alone[1])


def test_kinds_weigh_the_same_whatever_their_number():
    values = np.array([1.0] * 90 + [0.0] * 10)
    kinds = np.array(["see"] * 90 + ["at"] * 10)
    rate, low, high = clustered_rate(values, kinds, np.arange(100))
    assert rate == 0.5
    # Within each kind all agree: as many independent answers as pictures.
    assert (low, high) == pytest.approx(wilson(50, 100))


def test_intervals_hold_what_they_say_with_clusters_and_kinds_of_random_size():
    rng = np.random.default_rng(1)
    truth, caught, pairs = 0.5 * (0.8 + 0.4), 0, 0
    for _ in range(400):
        clusters, kinds, values, deltas = [], [], [], []
        for picture in range(120):
            ease = rng.normal(0, 0.15)
            for kind, chance in ((0, 0.8), (1, 0.4)):
                for _ in range(rng.integers(0, 5)):
                    clusters.append(picture)
                    kinds.append(kind)
                    values.append(float(rng.random() < np.clip(chance + ease, 0, 1)))
                    deltas.append(float(rng.integers(-1, 2)))
        parts = np.array(kinds), np.array(clusters)
        _, low, high = clustered_rate(np.array(values), *parts)
        caught += low <= truth <= high
        _, low, high = clustered_difference(np.array(deltas), *parts)
        pairs += low <= 0 <= high
    # Clipping lowers the first chance by less than a point.
    assert 0.91 < caught / 400 < 0.98
    assert 0.92 < pairs / 400 < 0.98


def test_no_values_have_no_mean():
    for function in (clustered_rate, clustered_difference):
        with pytest.raises(UnblindError, match="no mean"):
            function(*one_kind([], []))
