import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sizes
import synthetic

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report import table1_figure
from unblind.report.differences import GROUPS, differences
from unblind.report.published import load_claims
from unblind.report.records import load_run
from unblind.report.render import markdown, render, tex
from unblind.report.summary import MEANS, summarise
from unblind.report.table1 import table1
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs, selection

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
ORACLE = {condition.name: 30 for condition in CONDITIONS} | {"carrot": 8, "position": 32}


CODE = ("unblind.errors",)


def write_study(config, folder):
    for run in selection.page_rows(config):
        for seed in config.seeds:
            finals = ORACLE if run == "oracle" else {}
            place = folder / "rollouts" / run / str(seed)
            synthetic.write_records(config, run, seed, place, finals)
    synthetic.write_demos(config, folder / "demos")
    synthetic.write_replay(config, folder / "replay.parquet")


def make(config, folder, name="table1"):
    places = (folder / "rollouts", folder / "demos", folder / "replay.parquet")
    return {path.suffix: path for path in table1(config, *places, folder / name)}


def scripted(**changes):
    """Return mini with its scripted runs alone and sizes that the hand counts below use."""
    runs = load(MINI).model_dump(mode="json")["runs"]
    values = {
        "runs": {name: run for name, run in runs.items() if run["policy"] != "vla"},
        "table1.rows": ["default", "freeze", "align", "oracle", "random", "noop"],
        "demos.successes": 512,
        "replay.episodes": 64,
        **sizes.episodes(32),
    }
    return load(MINI, values | changes)


@pytest.fixture(scope="module")
def config():
    return scripted()


@pytest.fixture(scope="module")
def study(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(config, folder)
    return folder


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "study")


def cells(path):
    rows = csv.DictReader(path.read_text().splitlines())
    return {(row["row"], row["suite"], row["column"]): row for row in rows}


def test_the_papers_means_follow_from_its_cells():
    rows = load_claims().table1.rows

    def mean(row, group):
        return round(sum(rows[row].cells[c][0] for c in MEANS[group]) / len(MEANS[group]), 3)

    printed = {
        row: [mean(row, group) for group in ("semantic", "vision", "execution")] for row in rows
    }
    assert printed == {
        "default": [0.534, 0.660, 0.333],
        "align": [0.606, 0.724, 0.387],
        "freeze": [0.028, 0.016, 0.033],
    }
    # The one column in which the paper's own method is not the best.
    align, default = rows["align"].cells, rows["default"].cells
    worse = [column for column in align if align[column][0] < default[column][0]]
    assert worse == ["PosChangeTo"]
    assert list(align) == [c.column for c in CONDITIONS[1:]]


def test_cells_match_hand_counts(config, study):
    found = cells(make(config, study)[".csv"])
    carrot = found["oracle", "semantic", "Carrot"]
    # Wilson for 8 of 32: centre (8 + z^2/2) / (32 + z^2) = .2768, half width .1437.
    assert (carrot["k"], carrot["n"], carrot["rate"]) == ("8", "32", "0.2500")
    assert float(carrot["lo"]) == pytest.approx(0.1325, abs=5e-4)
    assert float(carrot["hi"]) == pytest.approx(0.4211, abs=5e-4)
    assert carrot["any"] == "0.2812"  # 9 of 32
    assert found["oracle", "execution", "Position"]["hi"] == "1.0000"
    assert found["random", "in-distribution", "ID"]["k"] == "0"
    default = found["default", "semantic", "Carrot"]
    assert (default["status"], default["rate"], default["paper"]) == ("not run", "", "0.49")
    mean = found["oracle", "semantic", "mean"]
    assert float(mean["rate"]) == pytest.approx((4 * 30 + 8) / 160, abs=1e-4)
    assert float(mean["lo"]) < float(mean["rate"]) < float(mean["hi"])
    # Variance of the mean of 5 columns: (4 * p(1-p)/32 at 30/32 + 1 * .25*.75/32) / 25.
    sd = ((4 * 0.9375 * 0.0625 / 32 + 0.25 * 0.75 / 32) / 25) ** 0.5
    assert float(mean["hi"]) - float(mean["lo"]) == pytest.approx(2 * 1.96 * sd, rel=0.08)


def test_markdown_has_the_papers_columns_and_honest_rows(config, study):
    text = make(config, study)[".md"].read_text()
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("| | ID"))
    columns = [word.strip() for word in header.strip("|").split("|")][1:]
    assert columns == [c.column for c in CONDITIONS]
    assert len(columns) == 14
    table = [line for line in lines[lines.index(header) :] if line.startswith("|")]
    first = table[: next(i for i, line in enumerate(table) if "semantic | vision" in line)]
    stages = next(i for i, line in enumerate(first) if line.startswith("| | reached |"))
    assert {line.count("|") for line in first[:stages]} == {16}
    assert next(line for line in lines if line.startswith("| **Align**")).count("not run") == 14
    assert "| 30/32 | 8/32 | 30/32 |" in text
    assert "| - | 61 ± 1 | 83 ± 3 |" in text
    assert "not comparable" in text
    assert "One evaluation seed" in text


REACHED = {  # of 32 episodes
    "reached": 32, "grasped": 24, "consecutive_grasp": 20, "lifted": 16, "over_plate": 8,
    "released": 4,
}  # fmt: skip


def rewrite(copy, config, run, condition, **columns):
    path = copy / f"rollouts/{run}/0/{condition}.parquet"
    frame = pd.read_parquet(path).assign(**columns)
    synthetic._write(
        path, frame, jobs.settings(config, jobs.rollout_stage(config, run), run), CODE, 0
    )


def test_stages_are_shares_of_episodes_over_the_13_conditions(config, copy):
    for condition in CONDITIONS:
        # In Plate nothing is reached, in distribution everything: that is none of the 13.
        none, all_of = condition.name == "plate", condition.suite == "in-distribution"
        counts = {s: 0 if none else 32 if all_of else n for s, n in REACHED.items()}
        columns = {stage: np.arange(32) < count for stage, count in counts.items()}
        rewrite(copy, config, "random", condition.name, **columns)
    made = make(config, copy)
    found = cells(made[".csv"])
    for stage, count in REACHED.items():
        line = found["random", "all 13", stage]
        assert (line["status"], line["n"]) == ("run", str(13 * 32))
        assert float(line["rate"]) == pytest.approx(count / 32 * 12 / 13, abs=1e-4)
        # Variance of the mean of 13 columns, of which Plate has none.
        sd = (12 * (count / 32) * (1 - count / 32) / 32) ** 0.5 / 13
        assert float(line["hi"]) - float(line["lo"]) == pytest.approx(3.92 * sd, rel=0.08, abs=1e-3)
    table = made[".md"].read_text().partition("## Milestones reached")[2].partition("##")[0]
    row = next(line for line in table.splitlines() if line.startswith("| **Random**"))
    shown = [cell.split()[0] for cell in row.strip("|").split("|")[1:]]
    assert shown == ["92", "69", "58", "46", "23", "12"]
    align = next(line for line in table.splitlines() if line.startswith("| **Align**"))
    assert align.count("not run") == 6
    tex_row = next(one for one in made[".tex"].read_text().splitlines() if "Random & 92 {" in one)
    assert tex_row.count("&") == 6


def test_a_record_without_stages_or_with_impossible_ones_is_refused(config, copy):
    path = copy / "rollouts/random/0/carrot.parquet"
    old = pd.read_parquet(path)
    rewrite(copy, config, "random", "carrot", lifted=np.arange(32) < 1)
    with pytest.raises(UnblindError, match="with the stage 'lifted' and without 'grasped'"):
        make(config, copy)
    new = ["consecutive_grasp", "reached", "lifted", "over_plate", "released"]
    part = jobs.settings(config, "rollout", "random")
    synthetic._write(path, old.drop(columns=new), part, CODE, 0)
    words = (
        r"lacks the columns reached, consecutive_grasp, lifted, over_plate, released \(delete it"
    )
    with pytest.raises(UnblindError, match=words):
        make(config, copy)


def test_footer_quotes_sidecars(config, study):
    text = make(config, study)[".md"].read_text()
    assert "512 successes of 682 attempts (75.1 %), no-op filter 'merge'" in text
    assert "keeps 4000 of 9000 frames" in text
    assert "raw 100.0 %" in text
    assert "(63/64)" in text
    meta = json.loads((study / "replay.parquet.meta.json").read_text())
    assert meta["code_hash"][:12] in text
    assert f"sapien {meta['packages']['sapien']}" in text
    for word in (
        "Commit",
        "Renderer",
        "Hardware",
        "CPU-seconds",
        "Episodes, the same for all runs",
    ):
        assert f"- {word}: " in text


def test_the_figure_shows_cells_and_differences_of_models(tmp_path):
    config = load(
        MINI, {"table1.rows": ["default", "align", "base", "oracle"]} | sizes.episodes(32)
    )
    finals = {"default": {"carrot": 8}, "align": {"carrot": 24}, "base": {}}
    runs = {}
    for run, counts in finals.items():
        synthetic.write_records(config, run, 0, tmp_path / run / "0", counts)
        runs[run] = load_run(config, run, tmp_path)
    rows = summarise(config, runs, load_claims().table1)
    compared = differences(rows, runs, config.seed)
    success, changes = table1_figure.draw(rows, compared).axes
    labels = success.get_legend_handles_labels()[1]
    assert labels == ["Default", "Align", "Base (before fine-tuning)"], "the oracle was not run"
    points = {bars.get_label(): bars.lines[0].get_ydata() for bars in success.containers}
    place = [tick.get_text() for tick in success.get_xticklabels()].index("Carrot")
    assert (points["Default"][place], points["Align"][place]) == (25, 75)
    (bars,) = changes.containers
    drawn = dict(zip(GROUPS, bars.lines[0].get_ydata(), strict=True))
    assert drawn == pytest.approx({g: 100 * one.delta for g, one in compared[0].groups.items()})
    assert drawn["semantic"] == pytest.approx(50 / 5)
    (paper,) = changes.collections[-1:]
    assert paper.get_offsets()[-1][1] == pytest.approx(100 * compared[0].published["all 13"])


def test_rendering_twice_gives_the_same_bytes(config, study):
    first = {kind: path.read_bytes() for kind, path in make(config, study).items()}
    second = {kind: path.read_bytes() for kind, path in make(config, study).items()}
    assert first == second
    assert set(first) == {".md", ".csv", ".tex", ".png"}
    meta = json.loads((study / "table1.md.meta.json").read_text())
    assert len(meta["inputs"]) == 3 * 14 + 5


def test_latex_is_balanced_and_escaped(config, study):
    text = make(config, study)[".tex"].read_text()
    assert text.count(r"\begin{") == text.count(r"\end{")
    body = text.replace(r"\{", "").replace(r"\}", "")
    assert body.count("{") == body.count("}")
    rows = [line for line in text.splitlines() if line.strip().startswith("Planner oracle")]
    assert rows[0].count("&") == 14
    assert r"\cmidrule(lr){2-2}\cmidrule(lr){3-7}\cmidrule(lr){8-12}\cmidrule(lr){13-15}" in text
    assert tex("50 % of a_b & {c}\\") == r"50 \% of a\_b \& \{c\}\textbackslash{}"
    assert markdown("a|b\n*c*") == r"a\|b \*c\*"


def test_seeds_are_pooled_and_their_spread_is_shown(tmp_path):
    config = load(MINI, {"seeds": [0, 1], **sizes.episodes(4), "table1.rows": ["oracle"]})
    for seed, final in ((0, 1), (1, 3)):
        finals = {condition.name: final for condition in CONDITIONS}
        synthetic.write_records(config, "oracle", seed, tmp_path / "oracle" / str(seed), finals)
    records = {"oracle": load_run(config, "oracle", tmp_path)}
    row = summarise(config, records, load_claims().table1)[0]
    assert (row.cells["Plate"].final, row.cells["Plate"].n) == (4, 8)
    # Means of the seeds are 1/4 and 3/4: their SD is sqrt(2) / 4.
    assert row.means["vision"].rate == pytest.approx(0.5)
    assert row.means["vision"].seed_sd == pytest.approx(2**0.5 / 4)


def damage_missing(copy):
    (copy / "rollouts/oracle/0/plate.parquet").unlink()
    return "plate.parquet is missing"


def damage_bytes(copy):
    path = copy / "rollouts/random/0/carrot.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    return "carrot.parquet is corrupt"


def damage_sidecar(copy):
    (copy / "replay.parquet.meta.json").write_text("{")
    return "replay.parquet.meta.json is unreadable"


def damage_manifest(copy):
    (copy / "demos/manifest.json").write_text("[]")
    return "manifest.json is corrupt"


@pytest.mark.parametrize("damage", [damage_missing, damage_bytes, damage_sidecar, damage_manifest])
def test_a_damaged_input_is_one_clear_error(config, copy, damage):
    words = damage(copy)
    with pytest.raises(UnblindError, match=words):
        make(config, copy, "fresh")
    assert not list(copy.glob("fresh*"))


def test_records_of_another_configuration_are_refused(copy):
    with pytest.raises(UnblindError, match=r"in_distribution\.parquet was made with another"):
        make(scripted(**sizes.episodes(16)), copy)


def test_runs_must_share_their_episodes(config, copy):
    folder = copy / "rollouts/noop/0"
    shutil.rmtree(folder)
    original = synthetic.episodes

    def shifted(*arguments):
        frame = original(*arguments)
        return frame.assign(episode_id=frame["episode_id"] + (frame["condition"] == "plate"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "episodes", shifted)
        synthetic.write_records(config, "noop", 0, folder, {})
    with pytest.raises(UnblindError, match=r"'oracle' and 'noop' have different.*0/plate"):
        make(config, copy)


def test_a_record_with_too_few_episodes_is_refused(config, copy):
    path = copy / "rollouts/oracle/0/carrot.parquet"
    frame = pd.read_parquet(path).iloc[:-1]
    synthetic._write(path, frame, jobs.settings(config, "rollout_scripted", "oracle"), CODE, 0)
    with pytest.raises(UnblindError, match="holds 31 episodes instead of 32"):
        make(config, copy)


def test_an_undefined_name_in_a_template_is_an_error(tmp_path):
    (tmp_path / "x.j2").write_text("{{ nonsense }}")
    with pytest.raises(UnblindError, match="nonsense"):
        render("x.j2", {}, tmp_path)
    with pytest.raises(UnblindError, match="missing"):
        render("y.j2", {}, tmp_path)
