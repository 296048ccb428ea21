"""What tests can find: by every outcome, by simulation, and as docs/statistics.md prints it."""

import math
import re
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom

from unblind.errors import UnblindError
from unblind.report.power import detectable_mean, mcnemar_power, minimum_detectable_difference
from unblind.report.stats import mcnemar_exact


def test_a_mean_is_detected_with_the_wanted_chance():
    # Standard error 1: (1.960 + 0.842) times it, and the test then finds it in 80 %.
    z = NormalDist().inv_cdf(0.975)
    found = detectable_mean(-z, z)
    assert found == pytest.approx(2.8016, abs=1e-4)
    assert 1 - NormalDist(found).cdf(z) == pytest.approx(0.8)
    # The first of ten tests after Holm, from an interval of 90 %.
    z = NormalDist().inv_cdf(0.95)
    wanted = NormalDist().inv_cdf(1 - 0.05 / 20) + NormalDist().inv_cdf(0.8)
    assert detectable_mean(-z, z, level=1 - 0.05 / 10, of_interval=0.9) == pytest.approx(wanted)
    assert detectable_mean(0.3, 0.3) is detectable_mean(0.3, 0.3 + 1e-12) is None
    with pytest.raises(UnblindError, match="no error of the interval"):
        detectable_mean(1, 0)


def test_power_counts_every_outcome():
    rng = np.random.default_rng(7)
    found = cache(lambda won, lost: mcnemar_exact(won, lost) < 0.05)
    for _ in range(40):
        n, share = int(rng.integers(1, 25)), rng.random()
        difference = rng.uniform(-share, share)
        win, power = (share + difference) / (2 * share), 0.0
        for m in range(n + 1):
            chances = binom.pmf(np.arange(m + 1), m, win)
            inside = [chance for won, chance in enumerate(chances) if found(won, m - won)]
            power += binom.pmf(m, n, share) * sum(inside)
        assert mcnemar_power(n, share, difference) == pytest.approx(power, abs=1e-8)


def test_power_of_extremes():
    assert mcnemar_power(16, 0.0, 0.0) == 0
    assert mcnemar_power(16, 0.0, 1.0) == mcnemar_power(16, 0.5, -1.0) == 1
    # More discordant pairs than given, if the difference needs them: 6 of 6 are 1 in 64.
    assert mcnemar_power(6, 0.1, 0.5) == pytest.approx(1 / 64)


@pytest.mark.parametrize(("n", "share"), [(16, 0.2), (64, 0.2), (128, 0.1), (208, 0.3)])
def test_detectable_difference_by_simulation(n, share):
    rng = np.random.default_rng(8)
    difference = minimum_detectable_difference(n, share)
    share = max(share, difference)
    chances = [(share + difference) / 2, (share - difference) / 2, 1 - share]
    drawn = rng.multinomial(n, np.clip(chances, 0, 1), size=2000)[:, :2]
    found = sum(
        times
        for (won, lost), times in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True)
        if mcnemar_exact(won, lost) < 0.05
    )
    assert found / 2000 == pytest.approx(0.8, abs=0.03)


def test_detectable_difference_of_many_pairs():
    # Connor 1987 (Biometrics 43, 207-211), large samples: with d the difference,
    # d sqrt(n) = z(0.975) sqrt(share) + z(0.8) sqrt(share - d**2).
    upper, beta = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(0.8)
    for n, share in ((1024, 0.2), (13_312, 0.4)):
        d = minimum_detectable_difference(n, share)
        needed = upper * math.sqrt(share) + beta * math.sqrt(share - d**2)
        assert d * math.sqrt(n) == pytest.approx(needed, rel=0.03)


def test_detectable_difference_needs_six_pairs():
    assert minimum_detectable_difference(5, 0.5) is None
    # 6 pairs: all must be discordant and on one side, with difference d: ((1 + d) / 2) ** 6.
    assert minimum_detectable_difference(6, 1.0) == pytest.approx(2 * 0.8 ** (1 / 6) - 1, abs=1e-5)
    stricter = minimum_detectable_difference(64, 0.2, level=1 - 0.05 / 15)
    assert stricter > minimum_detectable_difference(64, 0.2)


@pytest.mark.parametrize("arguments", [(0, 0.2), (16, 1.2), (16, math.nan), (16, 0.2, 0.01)])
def test_detectable_difference_refuses(arguments):
    with pytest.raises(UnblindError, match=r"no power|has power"):
        minimum_detectable_difference(*arguments)


def test_documented_detectable_differences(request):
    page = (request.config.rootpath / "docs" / "statistics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d,]+) ((?:\| [\d.]+ ){5})\|$", page, flags=re.MULTILINE)
    assert {"16", "64", "128", "1,024"} <= {n for n, _ in rows}
    settings = [(0.1, 0.95), (0.2, 0.95), (0.3, 0.95), (0.5, 0.95), (0.2, 1 - 0.05 / 15)]
    for n, cells in rows:
        pairs = int(n.replace(",", ""))
        found = [minimum_detectable_difference(pairs, s, level=level) for s, level in settings]
        printed = [float(cell) for cell in cells.strip("| ").split("|")]
        assert printed == [round(100 * one, 1) for one in found], f"{n} pairs"


def test_an_exact_test_keeps_its_level():
    for n in (16, 64, 208):
        assert 0 < mcnemar_power(n, 0.3, 0.0) < 0.05
