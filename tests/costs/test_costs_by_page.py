"""What the paper's tables and figures need at its scale, page by page."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.costs import formulas, table
from unblind.costs.by_page import by_page
from unblind.costs.measured import count, lines
from unblind.costs.need import total

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"


@pytest.fixture(scope="module")
def paper():
    return load(CONFIGS / "paper.yaml", {"results": "nowhere"})


@pytest.fixture(scope="module")
def pages(paper):
    return {one.page: one for one in by_page(paper)}


def test_every_table_and_figure_has_a_line(pages):
    tables = [f"Table {number}" for number in range(1, 15)]
    assert list(pages) == [*tables, "Figure 2c", "Figure 4", "Figure 5"]


def test_pages_together_need_what_the_study_needs(paper, pages):
    each, made_by = formulas.needs(paper), lines(paper)
    whole = total(each[name].times(count(jobs)) for name, jobs in made_by.items())
    new = total(one.new for one in pages.values())
    assert new.gpu_s == pytest.approx(whole.gpu_s)


def test_table_1_needs_its_runs_and_what_they_are_made_from(paper, pages):
    one, each, seeds = pages["Table 1"], formulas.needs(paper), len(paper.seeds)
    # The page; fetch, warm-up and its demonstrations; demonstrations, pictures, replay.
    assert one.jobs == 1 + 3 + 3 + (3 + 7 + 4) * seeds
    runs = ("training of default", "training of freeze", "training of align")
    runs += tuple(f"{stage} of {run}" for stage in ("rollout", "arms") for run in ("base", "align"))
    some = sum(each[name].gpu_s * seeds for name in runs)
    assert some < one.need.gpu_s == one.new.gpu_s
    assert pages["Table 2"].need.gpu_s > pages["Table 2"].new.gpu_s


def test_what_a_page_lacks_is_told(pages):
    assert pages["Figure 4"].lacks == "attention, knockout"
    assert pages["Table 3"].jobs is None and "base that is made here" in pages["Table 3"].lacks
    assert pages["Table 6"].jobs is None and "ablations-paper.yaml" in pages["Table 6"].lacks
    assert (pages["Table 9"].jobs, pages["Table 9"].need.gpu_s) == (1, None)


def test_the_ablations_have_their_own_configuration():
    config = load(CONFIGS / "ablations-paper.yaml", {"results": "nowhere", "seeds": [0]})
    found = {one.page: one for one in by_page(config)}
    assert all(found[f"Table {number}"].jobs for number in (4, 5, 6, 7, 8, 10, 11, 12, 13))
    # Table 5 adds one aligned run to those of Table 1, Table 8 two: trainings and rollouts.
    each = formulas.needs(config)
    added = each["training of enc2enc"].gpu_s + each["rollout of enc2enc"].gpu_s
    assert found["Table 5"].new.gpu_s == pytest.approx(added)
    assert found["Table 8"].new.gpu_s == pytest.approx(2 * added)


def test_the_command_prints_them(paper):
    text = table.report(paper)
    head = next(row for row in text.splitlines() if row.startswith("by page"))
    assert head.split()[2:] == ["jobs", "GPU-hours", "new", "CPU-hours", "lacks"]
    assert next(r for r in text.splitlines() if r.startswith("Table 1 ")).split()[2] == "119"
