"""Held-out answers in Table 1: rates by column and kind, differences to the base, seeds."""

import csv
import re
from pathlib import Path

import pytest
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import answers as answering
from unblind.report.answers import load_answers, summarise
from unblind.report.table1 import render_table1

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
SEE, EXTRA, WHERE = ("see", "study"), ("see", "extra"), ("where", "study")
#: Right shares; fine-tuning has lost half of the answers about extra names, in seed 1 all.
RIGHT = {
    ("vlm", 0): {SEE: 0.9, EXTRA: 0.9, WHERE: 0.7},
    ("base", 0): {SEE: 0.8, EXTRA: 0.6, WHERE: 0.5},
    ("default", 0): {SEE: 0.8, EXTRA: 0.3, WHERE: 0.5},
    ("default", 1): {SEE: 0.8, EXTRA: 0.0, WHERE: 0.5},
}


@pytest.fixture(scope="module")
def config():
    changes = {"seeds": [0, 1], "answers.pictures": 40}
    changes |= {"table1.rows": ["default", "freeze", "base", "oracle"]}
    return load(FOLDER / "mini.yaml", changes)


@pytest.fixture
def folder(config, tmp_path):
    for (run, seed), right in RIGHT.items():
        synthetic.write_answers(config, run, seed, tmp_path / "answers", right)
    return tmp_path / "answers"


def lines(config, folder):
    made = summarise(config, load_answers(config, folder))
    return {(line.run, line.part): line for line in made}


def test_models_that_nobody_trained_come_first_and_seeds_after_their_mean(config, folder):
    assert list(lines(config, folder)) == [
        *(("vlm", "all"), ("vlm", "blind"), ("base", "all"), ("base", "blind")),
        *(("default", "all"), ("default", "seed 0"), ("default", "seed 1")),
    ]


def test_each_kind_weighs_the_same_in_each_column(config, folder):
    base = lines(config, folder)["base", "all"]
    values = {column: rate.value for column, rate in base.rates.items()}
    assert values == pytest.approx(
        {
            "held out": (0.7 + 0.5) / 2,
            "study's names": (0.8 + 0.5) / 2,
            "extra names": 0.6,
            "new looks": (0.7 + 0.5) / 2,
            "new looks, study's names": (0.8 + 0.5) / 2,
            "new looks, extra names": 0.6,
        }
    )
    assert {k: (r.value, r.n) for k, r in base.kinds["held out"].items()} == {
        "see": (pytest.approx(0.7), 80),
        "where": (0.5, 40),
    }
    assert all(rate.low < rate.value < rate.high for rate in base.rates.values())
    grey = lines(config, folder)["base", "blind"]
    assert {rate.value for rate in grey.rates.values()} == {0.5}


def test_differences_to_the_base_pair_the_same_questions(config, folder):
    found = lines(config, folder)
    mean = found["default", "all"].changes
    assert mean["extra names"].value == pytest.approx(0.15 - 0.6)
    assert mean["study's names"].value == 0 == mean["study's names"].low
    assert found["default", "seed 1"].changes["extra names"].value == pytest.approx(-0.6)
    assert found["vlm", "all"].changes["held out"].value == pytest.approx(0.8 - 0.6)
    assert found["base", "all"].changes == {} == found["base", "blind"].changes
    # Pairs tell more than two rates: of the same questions only some have changed.
    wide = found["vlm", "all"].rates["held out"]
    paired = found["vlm", "all"].changes["held out"]
    assert paired.high - paired.low < wide.high - wide.low


def test_the_spread_over_seeds_is_told_beside_the_mean(config, folder):
    line = lines(config, folder)["default", "all"]
    assert line.seed_sd["extra names"] == pytest.approx(0.3 / 2**0.5)
    assert line.seed_sd["study's names"] == 0.0


def test_a_run_whose_answers_are_not_all_there_is_left_out(config, folder):
    (folder / "default" / "1.parquet").unlink()
    assert {run for run, _ in lines(config, folder)} == {"vlm", "base"}
    assert lines(config, folder.with_name("nothing")) == {}


def test_answers_to_other_questions_or_of_other_settings_are_refused(config, folder):
    (folder / "default" / "0.parquet").unlink()
    other = {SEE: 0.5, ("at", "study"): 0.1}
    synthetic.write_answers(config, "default", 0, folder, other)
    with pytest.raises(UnblindError, match="run 'default', seed 1, is of other items than that of"):
        load_answers(config, folder)
    more = load(FOLDER / "mini.yaml", {"answers.pictures": 41})
    with pytest.raises(UnblindError, match="another configuration"):
        load_answers(more, folder)
    (folder / "base" / "0.parquet").write_bytes(b"torn")
    with pytest.raises(UnblindError, match="is corrupt"):
        load_answers(config, folder)


def test_the_table_shows_all_of_it_as_text_as_csv_and_for_latex(config, folder):
    place = folder.parent
    config = config.model_copy(
        update={"table1": config.table1.model_copy(update={"rows": ["default", "base"]})}
    )
    for run in ("default", "base"):
        for seed in config.seeds:
            synthetic.write_records(config, run, seed, place / "rollouts" / run / str(seed), {})
    synthetic.write_demos(config, place / "demos")
    synthetic.write_replay(config, place / "replay.parquet")
    places = (place / "rollouts", place / "demos", place / "replay.parquet")
    made = render_table1(config, *places, folder)
    text = made.texts[".md"].partition("## Held-out answers")[2].partition("## Milestones")[0]
    row = next(line for line in text.splitlines() if line.startswith("| **Default** |"))
    assert re.search(r"\| 15\.0 \[\d+\.\d, \d+\.\d\], seeds' SD 21\.2 \|", row)
    assert "| ↳ blind | 50.0 [" in text
    assert "| ↳ minus the base, points | -11.2 [" in text
    assert "| ↳ seed 1, minus the base, points |" in text
    assert "| answers a model | 120 | 80 | 40 | 120 | 80 | 40 |" in text
    assert re.search(r"\| see \| 90 \[\d+, \d+\] \| 50 .*\| 80 \|", text)
    assert (
        "| Does fine-tuning forget? | Default - Base (before fine-tuning) | held out | -11.2 ["
        in text
    )
    assert "fewer right | see -22.5 |" in text
    assert "& held out & $-11.2$ {\\scriptsize[$" in made.texts[".tex"]
    assert "answers of vlm" in made.texts[".md"].partition("## How it was made")[2]
    assert set(made.inputs) >= {folder / run / f"{seed}.parquet" for run, seed in RIGHT}
    cells = list(csv.DictReader(made.texts[".csv"].splitlines()))
    (cell,) = [
        c
        for c in cells
        if (c["row"], c["suite"], c["column"]) == ("default, seed 1", "answers, held out", "see")
    ]
    assert (cell["rate"], cell["n"]) == ("0.4000", "80")
    assert "Right answers by kind, new looks & see & where" in made.texts[".tex"]
    without = render_table1(config, *places, folder.with_name("none"))
    assert "Held-out answers" not in without.texts[".md"]
    assert answering.of_base(config, []) is None
