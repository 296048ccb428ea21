"""Whether two studies agree within noise: tables of pairs whose answers are known."""

import numpy as np
import pytest

from unblind.audit.agreement import comparisons, report
from unblind.audit.compare import Cell

CONDITIONS = [f"condition-{number}" for number in range(14)]


def cell(record, won, lost, n=16):
    ours = n // 2
    return Cell(record, "changed", "", n, n - won - lost, ours, ours + won - lost, lost, won)


def study(pairs, seeds=1):
    """Return records of one run with (won, lost) pairs in every condition and seed."""
    numbers = [(seed, name) for seed in range(seeds) for name in CONDITIONS]
    return [cell(f"align/{seed}/{name}", *pairs(seed, name)) for seed, name in numbers]


def verdict(cells):
    return report(comparisons(cells), 0).splitlines()[-1]


def test_identical_studies_say_so():
    wanted = "verdict: the same success in every episode (15 paired tests, Holm)"
    assert verdict(study(lambda *_: (0, 0))) == wanted


def test_as_many_won_as_lost_is_noise():
    compared = comparisons(study(lambda *_: (2, 2)))
    assert [one.p for one in compared] == [1.0] * 15
    assert "+0.0 points" in report(compared, 0) and "28 won, 28 lost of 224" in report(compared, 0)
    assert verdict(study(lambda *_: (2, 2))).startswith("verdict: agree within noise (15")


def test_one_condition_that_differs_is_named():
    # 12 of 16 episodes, all to one side: p = 2 / 2**12, times at most 15 comparisons.
    cells = study(lambda _, name: (0, 12) if name == "condition-3" else (1, 1))
    by_name = {one.name: one for one in comparisons(cells)}
    assert by_name["align/condition-3"].p == pytest.approx(15 * 2 / 2**12)
    said = report(comparisons(cells), 0)
    assert said.splitlines()[-1] == "verdict: differ in align/condition-3 (15 paired tests, Holm)"
    assert "align/condition-4" not in said and "-75.0 points" in said


def test_a_shift_too_small_for_a_condition_shows_in_the_run():
    cells = study(lambda *_: (3, 0))
    differing = [one.name for one in comparisons(cells) if one.differs]
    assert differing == ["align"]
    assert "+18.8 points" in report(comparisons(cells), 0)


def test_seeds_of_a_run_are_pooled():
    cells = study(lambda _, name: (6, 0) if name == "condition-0" else (0, 0), seeds=3)
    by_name = {one.name: one for one in comparisons(cells)}
    (pairs,) = by_name["align/condition-0"].differences
    assert (pairs.sum(), len(pairs), len(by_name)) == (18, 48, 15)


def test_conditions_weigh_alike():
    cells = [cell("align/0/a", 16, 0, n=32), cell("align/0/b", 0, 0, n=16)]
    assert "+25.0 points" in report(comparisons(cells), 0)


def test_too_few_pairs_detect_nothing():
    said = report(comparisons([cell("align/0/a", 1, 0, n=2)]), 0)
    assert "no difference would have shown" in said


def test_nothing_of_both_is_no_agreement():
    cells = [Cell("align/0/a", "missing"), Cell("align/0/b", "refused", "it is no file")]
    assert verdict(cells) == "verdict: nothing to compare: no episode of both"


def test_equal_policies_rarely_differ():
    """By noise alone at most 5 % of all pairs of studies differ: 10 of 200 are expected at most."""
    rng = np.random.default_rng(0)

    def differs():
        won = dict(zip(CONDITIONS, rng.binomial(8, 0.5, size=14).tolist(), strict=True))
        cells = study(lambda _, name: (won[name], 8 - won[name]))
        return any(one.differs for one in comparisons(cells))

    assert sum(differs() for _ in range(200)) <= 15
