"""Table 3 from made-up probes: rates, errors, paired differences, page, LaTeX and figure."""

import re
from pathlib import Path

import pandas as pd
import pytest
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import probe_rates, probes
from unblind.report.probes import MEASURES
from unblind.report.published import load_claims
from unblind.report.table3 import table3
from unblind.study.jobs import Job

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
#: Shares of icons named right; fine-tuning loses, alignment keeps a part.
ICONS = {"vlm": 0.9, "base": 0.8, "default": 0.3, "align": 0.5}
MEASURE = {measure.key: measure for measure in MEASURES}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    rows = {"table1.rows": ["default", "align", "base", "oracle"], "seeds": [0, 1]}
    place = {"results": str(tmp_path_factory.mktemp("study"))}
    return load(FOLDER / "mini.yaml", rows | place)


@pytest.fixture(scope="module")
def results(config):
    for run, share in ICONS.items():
        trained = config.runs[run].method is not None
        for seed in config.seeds if trained else config.seeds[:1]:
            right = synthetic.READ | {"icons": share - 0.1 * seed}
            off = 3.0 if run == "default" else 1.0
            synthetic.write_probes(Job(config, "probe", run, seed), right=right, off_cm=off)
    for stage in ("probe_teacher", "probe_references"):
        synthetic.write_probes(Job(config, stage))
    return Path(config.results)


@pytest.fixture(scope="module")
def models(config, results):
    return probes.load_models(config, results / "probe")


@pytest.fixture(scope="module")
def page(config, results):
    table3(config, results)
    return (results / "table3.md").read_text()


def test_models_that_nobody_trained_come_first_and_seeds_are_averaged(models):
    assert list(models) == ["vlm", "base", "default", "align"]
    rates = probe_rates.rates(models["default"], MEASURE["concepts"])
    assert list(rates) == ["tower", "projector", *(f"block {n}" for n in range(1, 7))]
    # 4 names, 10 pictures each; 3 of 10 are right in one seed and 2 in the other.
    assert [rate.value for rate in rates.values()] == pytest.approx([0.25] * 8)
    assert {rate.n for rate in rates.values()} == {40}
    assert all(rate.low < rate.value < rate.high for rate in rates.values())
    assert probe_rates.spread(models["default"], MEASURE["concepts"], "tower") == pytest.approx(
        0.1 / 2**0.5
    )
    assert probe_rates.spread(models["base"], MEASURE["concepts"], "tower") is None


def test_errors_are_in_shares_of_the_width_and_in_centimetres(models):
    """Columns are guessed a tenth of the width off, distances 1 or 3 cm, heights half of it."""
    found = {
        run: {key: probe_rates.rates(models[run], MEASURE[key])["block 3"].value for key in MEASURE}
        for run in ("base", "default")
    }
    assert found["base"]["place"] == pytest.approx(0.1)
    assert (found["base"]["distance"], found["base"]["height"]) == pytest.approx((1.0, 0.5))
    assert (found["default"]["distance"], found["default"]["height"]) == pytest.approx((3.0, 1.5))


def test_without_a_picture_there_is_chance_and_the_mean_place(models):
    base = models["base"]
    assert probe_rates.chance(base, MEASURE["concepts"]) == 1 / 4
    assert probe_rates.chance(base, MEASURE["portraits"]) == 1 / 2
    # Columns 0, 0.1 ... 0.9 and distances 50 ... 59 lie 2.5 steps from their mean, on average.
    assert probe_rates.chance(base, MEASURE["place"]) == pytest.approx(0.25)
    assert probe_rates.chance(base, MEASURE["distance"]) == pytest.approx(2.5)
    assert probe_rates.chance(base, MEASURE["height"]) == 0


def test_differences_pair_the_same_pictures(models):
    found = {
        (*one.runs, one.measure.key): one for one in probe_rates.differences(models, "block 3")
    }
    aligned = found["align", "default", "concepts"]
    assert aligned.sites["block 3"].value == pytest.approx(0.45 - 0.25)
    assert aligned.by_seed == (pytest.approx(0.2), pytest.approx(0.2))
    assert aligned.verdict("block 3") == "better"
    assert found["default", "base", "concepts"].verdict("block 3") == "worse"
    # An error is better where it is smaller.
    assert found["default", "base", "distance"].sites["tower"].value == pytest.approx(2.0)
    assert found["default", "base", "distance"].verdict("tower") == "worse"
    assert found["align", "default", "distance"].verdict("tower") == "better"
    same = found["align", "base", "portraits"]
    assert (same.verdict("tower"), same.differing) == ("no difference seen", ())
    assert len(aligned.differing) == 8, "equal for every name: no noise at all"


def test_a_cell_is_what_pandas_makes_of_the_record(config, results, page):
    frame = pd.read_parquet(results / "probe" / "base" / "0.parquet")
    cell = frame[(frame["task"] == "icons") & (frame["site"] == config.probe.site)]
    wanted = f"{100 * (cell['guess'] == cell['name']).mean():.1f}"
    row = next(line for line in page.splitlines() if line.startswith("| **Base"))
    assert re.match(rf"\| \*\*Base \(before fine-tuning\)\*\* \| {wanted} \[", row)


def test_the_page_shows_the_papers_values_as_those_of_other_data(page):
    printed = load_claims().tables["3"].rows
    assert {row.cells["Accuracy"][0] for row in printed.values()} == {
        *(0.8731, 0.8213, 0.7988, 0.7748),
    }
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if "|" in line[:1]}
    for label, value in (
        ("**Base (before fine-tuning)**", "79.88 (OpenVLA Pretrained)"),
        ("**Default**", "77.48"),
        ("**Align**", "82.13"),
        ("Teacher (lite2)", "87.31 (C-RADIOv3)"),
    ):
        assert value in rows[label]
    assert "are of other data and other models" in page
    assert "Random weights" in rows and "Pixels (16 x 12)" in rows
    assert rows["without a picture"].split("|")[2].strip() == "25.0"
    assert "seeds' SD 7.1" in rows["**Default**"]


def test_one_sentence_says_what_is_seen_here(page):
    said = page.splitlines()[2]
    assert said.startswith("At block 3 less is read from Default than from Base")
    assert "; at block 3 more is read from Align than from Default (+20.0 points" in said
    assert page.count(said) == 2, "above and under the figure"


def test_no_line_of_a_table_is_torn(page):
    """Every table has its header, a rule below it, and rows of as many cells."""
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)]
    assert len(tables) == 2 + len(MEASURES) + 3, "and three of the named board"
    for header, rule, *rows in tables:
        assert set(rule) <= set("|:-") and rows
        assert {line.count("|") for line in (header, rule, *rows)} == {header.count("|")}


def test_latex_and_figure_are_the_same_twice(config, results, page):
    before = {kind: (results / f"table3.{kind}").read_bytes() for kind in ("md", "tex", "png")}
    table3(config, results)
    assert {k: (results / f"table3.{k}").read_bytes() for k in before} == before
    assert before["png"].startswith(b"\x89PNG")
    text = before["tex"].decode()
    assert "Align & 45.0 {\\scriptsize[" in text and "named right, \\%" in text


def test_what_does_not_fit_is_refused_in_one_line(config, results, tmp_path):
    with pytest.raises(UnblindError, match="has no probes of a model"):
        probes.load_models(config, tmp_path)
    with pytest.raises(UnblindError, match=r"teachers/lite2\.parquet is missing"):
        probes.load_references(config, tmp_path)
    job = Job(config, "probe", "base", 0)
    synthetic.write_probes(job, folder=tmp_path)
    other = Job(config.model_copy(update={"seed": 1}), "probe", "base", 0)
    assert list(probes.load_models(config, tmp_path)) == ["base"]
    with pytest.raises(UnblindError, match="another configuration"):
        probes.load_models(other.config, tmp_path)
    vlm = Job(config, "probe", "vlm", 0)
    few = vlm.config.base.model.model_copy(update={"layers": 2})
    base = vlm.config.base.model_copy(update={"model": few})
    synthetic.write_probes(
        Job(config.model_copy(update={"base": base}), "probe", "vlm", 0), folder=tmp_path
    )
    with pytest.raises(UnblindError, match="is of other items than that of"):
        probes.load_models(config, tmp_path)


def test_a_site_that_is_none_is_named_with_those_that_are():
    with pytest.raises(UnblindError, match=r"probe\.site 'block 9' is no place .* block 6"):
        load(FOLDER / "mini.yaml", {"probe.site": "block 9"})
