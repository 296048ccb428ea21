"""What is forgotten, in words: made-up answers of a base and of two trainings of Default."""

from pathlib import Path

import numpy as np
import pytest
import synthetic

from unblind.config import load
from unblind.report.answers import load_answers
from unblind.report.forgetting import findings
from unblind.report.stats import clustered_difference, clustered_p

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
SEE, EXTRA, WHERE = ("see", "study"), ("see", "extra"), ("where", "study")
BASE = {SEE: 0.8, EXTRA: 0.6, WHERE: 0.5}
WORSE = ({**BASE, EXTRA: 0.3}, {**BASE, EXTRA: 0.0})


@pytest.fixture
def found(tmp_path):
    """Return a function that asks a base, and Default with two seeds."""

    def ask(*of_seeds):
        changes = {"seeds": [0, 1], "answers.pictures": 40, "table1.rows": ["default", "base"]}
        config = load(MINI, changes)
        synthetic.write_answers(config, "base", 0, tmp_path, BASE)
        for seed, right in enumerate(of_seeds):
            synthetic.write_answers(config, "default", seed, tmp_path, right)
        made = findings(config, load_answers(config, tmp_path))
        assert {(one.first, one.second) for one in made} == {("default", "base")}
        return {one.column: one for one in made}

    return ask


def test_lost_answers_are_found_and_the_kind_is_named(found):
    """Of two kinds one has lost 45 of 100 extra names, which are half of its questions."""
    one = found(*WORSE)["held out"]
    assert one.question == "Does fine-tuning forget?"
    assert one.change.value == pytest.approx(-0.45 / 2 / 2)
    assert one.change.low < one.change.value < one.change.high < 0
    assert one.verdict == "fewer right"
    assert one.by_seed == pytest.approx((-0.3 / 4, -0.6 / 4))
    assert one.kinds == {"see": pytest.approx(-0.45 / 2)}


@pytest.mark.parametrize(
    ("where", "verdict", "kinds"), [(0.5, "no difference seen", {}), (0.9, "more right", {"where"})]
)
def test_the_same_answers_are_no_difference_and_more_are_more(found, where, verdict, kinds):
    answers = {**BASE, WHERE: where}
    one = found(answers, answers)["new looks"]
    assert (one.change.value, one.verdict) == (pytest.approx((where - 0.5) / 2), verdict)
    assert one.kinds.keys() == set(kinds)


@pytest.mark.parametrize("gain", [0.0, 0.02, 0.05])
def test_p_is_below_five_percent_just_where_the_interval_leaves_out_zero(gain):
    """On noisy values of 60 pictures with five questions each."""
    rng, agree = np.random.default_rng(0), 0
    for _ in range(50):
        clusters = np.repeat(np.arange(60), 5)
        values = gain + rng.normal(0, 0.2, 60)[clusters] + rng.normal(0, 0.2, 300)
        kinds = np.tile(["see", "at", "at", "where", "see"], 60)
        _, low, high = clustered_difference(values, kinds, clusters)
        agree += (clustered_p(values, kinds, clusters) < 0.05) == (not low <= 0 <= high)
    assert agree == 50
