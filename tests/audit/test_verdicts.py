import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from unblind.audit.measure import clustered_effect, effect, excess
from unblind.audit.verdicts import (
    VERDICTS,
    Judgement,
    Verdict,
    amount,
    difference,
    of_collapse,
    of_ordering,
    of_value,
    with_origin,
)
from unblind.report.power import minimum_detectable_difference
from unblind.report.stats import Estimate, wilson


def pairs(first, second, n=16, columns=("Carrot",), seeds=(0,)):
    """Nested successes: of n pairs a column, the first run wins `first`, the second `second`."""
    rows = [
        {"seed": s, "column": c, "first": int(i < first), "second": int(i < second)}
        for s in seeds
        for c in columns
        for i in range(n)
    ]
    frame = pd.DataFrame(rows)
    difference = frame["first"] - frame["second"]
    return frame.assign(final=difference, any=0, credit=difference)


def test_an_effect_by_hand():
    found = effect(pairs(14, 8), 0, 0.95)
    assert (found.n, found.won, found.lost, found.delta) == (16, 6, 0, 0.375)
    # Six of six heads or tails: 2 / 2^6.
    assert found.p == pytest.approx(0.03125)
    h = 2 * math.asin(math.sqrt(14 / 16)) - 2 * math.asin(math.sqrt(0.5))
    assert found.cohens_h == pytest.approx(h)
    # The share of wins is 6/16: SD sqrt(.375 * .625 / 16) = .121.
    assert (found.low, found.high) == pytest.approx((0.375 - 0.237, 0.375 + 0.237), abs=0.03)
    assert found.wilcoxon is None
    assert (found.first, found.second) == (0.875, 0.5)


def test_every_condition_weighs_the_same_and_seeds_are_paired():
    frame = pd.concat([pairs(8, 0, columns=("Carrot",)), pairs(4, 4, n=4, columns=("Plate",))])
    assert effect(frame, 0, 0.95).delta == pytest.approx(0.25)
    # Five seeds that all agree: 1 / 2^5.
    assert effect(pairs(9, 8, seeds=range(5)), 0, 0.95).wilcoxon == pytest.approx(1 / 32)


@pytest.mark.parametrize(
    ("first", "second", "p_holm", "margin", "verdict"),
    [
        (14, 8, 0.03, 0.0, "reproduced"),
        (14, 8, 0.06, 0.0, "inconclusive"),
        (14, 8, 0.03, 0.3, "inconclusive"),
        (8, 14, 0.03, 0.0, "contradicted"),
        (8, 14, 0.06, 0.0, "inconclusive"),
        (8, 8, 0.03, 0.0, "inconclusive"),
    ],
)
def test_orderings(first, second, p_holm, margin, verdict):
    found = effect(pairs(first, second), 0, 0.95)
    assert of_ordering(found, p_holm, margin, 0.95).verdict == verdict


def test_a_clustered_effect_by_hand():
    # Two strata of four rows in four clusters each; differences 1, 1, 0, 0 and 0.5 throughout.
    frame = pd.DataFrame({"first": [1.0, 1, 0, 0] + [0.5] * 4, "second": [0.0] * 8})
    groups = (np.repeat(["a", "b"], 4), np.arange(8))
    found = clustered_effect(frame, groups, 0.95)
    error = math.sqrt(4 * (0.5 / 8) ** 2 * 8 / 7)
    assert (found.delta, found.first, found.second) == (0.5, 0.5, 0)
    assert (found.n, found.clusters, found.won) == (8, 8, None)
    assert found.high - 0.5 == pytest.approx(norm.isf(0.025) * error)
    # The normal p is 2e-4; eight clusters that all agree would have a sign test's 2 / 2^8.
    assert 2 * norm.sf(0.5 / error) < 2**-7 == found.p
    assert found.detectable == pytest.approx((norm.isf(0.025) + norm.ppf(0.8)) * error)
    # Of ten tests the first has to reach 0.5 %, which eight clusters cannot.
    assert clustered_effect(frame, groups, 0.95, family=10).detectable is None
    # Rows of one cluster are one observation.
    assert clustered_effect(frame, (groups[0], np.zeros(8)), 0.95).p == 1


def test_the_unit_of_an_ordering_is_told():
    frame = pd.DataFrame({"first": np.tile([2.0, 2.2], 10), "second": 1.5})
    found = clustered_effect(frame, (np.zeros(20), np.arange(20)), 0.95)
    judged = of_ordering(found, 0.001, 0.0, 0.95, "in lift")
    assert judged.why == "the interval lies above 0 in lift; p after Holm 0.001"
    again = of_ordering(found, 0.2, 0.0, 0.95, "in lift").why
    assert f"so many pairs detect {found.detectable:.3f} in lift with a power of 80 %" in again
    assert [difference(-0.0001, "in lift"), difference(0.015, "points")] == ["+0.000", "+1.5"]
    assert [amount(0.5, "in lift"), amount(0.5, "points")] == ["0.500 in lift", "50.0 points"]


def test_holm_s_first_level_decides_what_is_detectable():
    alone, first = (effect(pairs(14, 8, n=40), 0, 0.95, family) for family in (1, 20))
    assert alone.detectable == minimum_detectable_difference(40, 6 / 40)
    assert first.detectable == minimum_detectable_difference(40, 6 / 40, level=1 - 0.05 / 20)
    assert first.detectable > alone.detectable and first.p == alone.p


def test_an_open_ordering_says_what_would_have_been_found():
    assert (
        "points with a power of 80 %" in of_ordering(effect(pairs(8, 8), 0, 0.95), 1, 0, 0.95).why
    )
    few = effect(pairs(2, 1, n=4), 0, 0.95)
    assert "these pairs can detect no difference" in of_ordering(few, 1, 0, 0.95).why


@pytest.mark.parametrize(
    ("better", "worse", "p_holm", "verdict"),
    [
        (8, 0, 0.01, "reproduced"),
        (8, 0, 0.2, "inconclusive"),
        (8, 2, 0.01, "inconclusive"),
        (8, 8, 1.0, "contradicted"),
        (0, 0, 1.0, "inconclusive"),
    ],
)
def test_a_collapse_is_measured_against_a_share_of_the_better_run(better, worse, p_holm, verdict):
    frame = pairs(better, worse)
    above = excess(frame, 0.25, 0, 0.95)
    assert above[0] == pytest.approx((worse - 0.25 * better) / 16)
    found = of_collapse(effect(frame, 0, 0.95), p_holm, 0.25, above, 0.95)
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("printed", "spread", "won", "n", "verdict"),
    [
        (0.61, 0.01, 625, 1024, "reproduced"),
        (0.61, None, 640, 1024, "reproduced"),
        (0.61, 0.01, 500, 1024, "contradicted"),
        # 1.96 standard errors of the difference: sqrt(.096^2 + .098^2) = .137; the interval and
        # 1.96 spreads together: .096 + .098 = .194.
        (0.63, 0.05, 50, 100, "reproduced"),
        (0.66, 0.05, 50, 100, "inconclusive"),
        (0.70, 0.05, 50, 100, "contradicted"),
    ],
)
def test_values_at_the_papers_scale(printed, spread, won, n, verdict):
    ours = Estimate(won / n, *wilson(won, n), n)
    assert of_value(printed, spread, ours, 1.96, 0.95, "paper").verdict == verdict


def test_values_are_not_comparable_at_another_scale():
    ours = Estimate(0.61, *wilson(61, 100), 100)
    judgement = of_value(0.61, 0.01, ours, 1.96, 0.95, "mini")
    assert judgement.verdict == "not comparable"
    assert "7 B" in judgement.why


def test_pulled_records_reproduce_nothing():
    assert with_origin(Judgement("reproduced", "x"), "recomputed").verdict == "reproduced"
    cached = with_origin(Judgement("reproduced", "x"), "cached")
    assert (cached.verdict, cached.why) == ("cached", "cached, from pulled records: x")
    for verdict in ("contradicted", "inconclusive", "not comparable"):
        assert with_origin(Judgement(verdict, "x"), "cached").verdict == verdict


def test_every_verdict_has_a_meaning():
    assert tuple(VERDICTS) == get_args(Verdict)
