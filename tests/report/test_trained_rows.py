"""Table 1 with trained policies: differences on identical episodes, gates, set-ups in the footer.

All records are made up: Default succeeds in the first 16 of 32 episodes of every condition, Align
in episodes 4 to 27 (it wins 12 pairs and loses 4) except under Carrot, where it equals Default,
Freeze and the base in none.
"""

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
from unblind.files import atomic_path
from unblind.report.differences import differences, improvement, pair
from unblind.report.published import load_claims
from unblind.report.records import Records, load_run
from unblind.report.render import signed
from unblind.report.summary import summarise
from unblind.report.table1 import table1
from unblind.sim.conditions import CONDITIONS
from unblind.sim.success import MILESTONES
from unblind.study import jobs, provenance, record_names

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
METHODS = {"default": "default", "freeze": "freeze", "align": "align", "base": None}
LABELS = {"base": "Base (before fine-tuning)"}
SHARED = {"steps": 400, "samples": 9600, "lora_rank": 32, "base_sha256": "ab" * 32}
DETAILS = {
    "default": {**SHARED, "trainable_parameters": 250000, "training_seed": 0},
    "freeze": {**SHARED, "trainable_parameters": 200000, "training_seed": 0},
    "align": {
        **SHARED,
        "trainable_parameters": 250000,
        "training_seed": 0,
        "lambda": 0.2,
        "layer": 4,
        "teacher": "lite2",
        "teacher_cached": True,
    },
    "base": {"base_sha256": "ab" * 32},
}
INDEX = np.arange(32)
ARMS = {"rollout.arms.told_other": ["multi_carrot", "multi_plate"]}
NAMES = [*(condition.name for condition in CONDITIONS), *record_names.arms(load(MINI, ARMS))]


def settings(**overrides):
    values = {"table1.rows": [*METHODS], **sizes.episodes(32), **ARMS} | overrides
    for run, method in METHODS.items():
        entry = {"policy": "vla", "label": LABELS.get(run, run.title()), "method": method}
        values |= {f"runs.{run}.{key}": value for key, value in entry.items()}
    return load(MINI, values)


def succeeds(run, condition):
    first_half = INDEX < 16
    if run == "align" and condition != "carrot":
        return (INDEX >= 4) & (INDEX < 28)
    return first_half if run in ("default", "align") else np.zeros(32, dtype=bool)


def write(config, folder, run, name, final, seed=0, details=None):
    path = folder / "rollouts" / run / str(seed) / f"{name}.parquet"
    frame = synthetic.episodes(run, seed, record_names.condition_of(name), 32, 0)
    frame = frame.assign(success_final=final, success_any=final | (INDEX == 31))
    is_own = record_names.condition_of(name) == name
    settings = jobs.settings(config, "rollout" if is_own else "arms", run)
    made_from = {"config": settings, "code": ("unblind.errors",), "seed": seed}
    extra = {"run_details": DETAILS[run] if details is None else details}
    with provenance.record(path, **made_from, extra=extra), atomic_path(path) as place:
        frame.to_parquet(place)


def make(config, folder, name="table1", answers=None):
    places = (folder / "rollouts", folder / "demos", folder / "replay.parquet")
    return {path.suffix: path for path in table1(config, *places, folder / name, answers)}


def cells(path):
    return cells_of(path.read_text())


def cells_of(text):
    rows = csv.DictReader(text.splitlines())
    return {(row["row"], row["suite"], row["column"]): row for row in rows}


@pytest.fixture(scope="module")
def config():
    return settings()


@pytest.fixture(scope="module")
def study(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for run in METHODS:
        for condition in CONDITIONS:
            write(config, folder, run, condition.name, succeeds(run, condition.name))
        for name in record_names.arms(config):  # whoever succeeds does so in 4 of 32 episodes
            write(config, folder, run, name, succeeds(run, name) & (INDEX >= 12) & (INDEX < 16))
    synthetic.write_demos(config, folder / "demos")
    synthetic.write_replay(config, folder / "replay.parquet")
    return folder


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "study")


@pytest.fixture(scope="module")
def made(config, study):
    made = make(config, study).items()
    return {suffix: path.read_text() for suffix, path in made if suffix != ".png"}


def line(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def test_differences_match_hand_counts(config, study):
    found = cells(make(config, study, "hand")[".csv"])
    pairs = {
        group: found["align - default", group, "paired difference"]
        for group in ("in-distribution", "semantic", "vision", "execution", "all 13")
    }
    # 8 of 32 more in every condition but Carrot, one of the five semantic ones.
    expected = {"in-distribution": 1, "semantic": 4 / 5, "vision": 1, "execution": 1}
    for group, share in (expected | {"all 13": 12 / 13}).items():
        assert float(pairs[group]["rate"]) == pytest.approx(0.25 * share, abs=1e-4)
    semantic = pairs["semantic"]
    assert (semantic["n"], semantic["won"], semantic["lost"]) == ("160", "48", "16")
    # Four conditions with 12 wins and 4 losses of 32 each, one without any difference.
    half = 1.96 * (4 * (16 / 32 - 0.25**2) / 32) ** 0.5 / 5
    assert float(semantic["lo"]) == pytest.approx(0.2 - half, abs=0.012)
    assert float(semantic["hi"]) == pytest.approx(0.2 + half, abs=0.012)
    freeze = found["freeze - default", "vision", "paired difference"]
    assert (freeze["rate"], freeze["won"], freeze["lost"]) == ("-0.5000", "0", "80")


def test_the_papers_differences_stand_beside_ours(made):
    ours = line(made[".md"], "| **Align - Default**")
    assert ours.startswith("| **Align - Default** | +25.0 [")
    assert "not run" not in ours
    paper = made[".md"].splitlines()[made[".md"].splitlines().index(ours) + 5]
    # Table 1 of the paper: means of its printed cells.
    assert paper == "| ↳ paper | - | +7.2 | +6.4 | +5.3 | +6.5 |"
    assert "| ↳ won, lost of pairs | 12, 4 of 32 | 48, 16 of 160 | 60, 20 of 160 |" in made[".md"]
    assert r"Align $-$ Default & $+25.0$ {\scriptsize[$" in made[".tex"]


def test_whoever_follows_the_instruction_succeeds_less_when_told_of_the_other_thing(made):
    """Default succeeds in 16 of 32 episodes, and in 4 of these when told of the other thing."""
    found = cells_of(made[".csv"])
    for column in ("MultiCarrot", "MultiPlate"):
        other = found["default", "told of the other", column]
        assert (other["rate"], other["n"]) == ("0.1250", "32")
        gain = found["default", "told of its own, minus told of the other", column]
        assert (gain["rate"], gain["n"]) == ("0.3750", "32")
        assert 0.2 < float(gain["lo"]) < 0.375 < float(gain["hi"]) < 0.55
        assert found["freeze", "told of the other", column]["rate"] == "0.0000"
        # 12 pairs won and none lost. Of eight lines, Align's two with 20 won come first.
        assert float(gain["p"]) == pytest.approx(6 * 2 * 0.5**12, abs=1e-4)
    shown = line(made[".md"], "| **Default** | MultiCarrot |")
    begins = "| **Default** | MultiCarrot | of the other | 50 [34, 66] | 12 [5, 28] | +37.5 ["
    assert shown.startswith(begins)
    assert r"Default & MultiPlate & of the other & 50 {\scriptsize[34, 66]} & 12 " in made[".tex"]


def compared(first, second):
    """Return two runs of one episode a condition; each seed has (success, milestones reached)."""
    runs = []
    for run, outcomes in (("align", first), ("default", second)):
        frames = [
            synthetic.episodes(run, seed, condition.name, 1, 0).assign(
                success_final=success,
                success_any=success,
                **{name: index < reached for index, name in enumerate(MILESTONES)},
            )
            for seed, (success, reached) in enumerate(outcomes)
            for condition in CONDITIONS
        ]
        runs.append(Records(run, pd.concat(frames, ignore_index=True), (), ()))
    return runs


@pytest.mark.parametrize(
    ("first", "second", "further"),
    [
        ((True, 0), (False, 6), 1.0),  # pushed onto the plate: success is furthest all the same
        ((False, 3), (False, 2), 1.0),
        ((False, 2), (False, 2), 0.5),
        ((True, 0), (True, 6), 0.5),
        ((False, 0), (False, 1), 0.0),
    ],
)
def test_who_comes_further_in_an_episode(first, second, further):
    pairs = pair(*compared([first], [second]))
    assert set(pairs["further"]) == {further}
    share = improvement(pairs, ["Carrot", "Plate"], seed=0)
    assert (share.rate, share.low, share.high, share.n) == (further, further, further, 2)


def test_the_probability_of_improvement_of_success_alone_is_the_difference_again(config, study):
    """Where all milestones agree: won + (neither) / 2 is 1/2 + (won - lost) / 2."""
    found = cells(make(config, study, "further")[".csv"])
    for row in ("align - default", "freeze - default"):
        for group in ("semantic", "all 13"):
            line = found[row, group, "paired difference"]
            for mine, theirs in (("improvement", "rate"), ("improvement_lo", "lo")):
                half = 0.5 + float(line[theirs]) / 2
                assert float(line[mine]) == pytest.approx(half, abs=2e-4)


def test_each_seeds_difference_and_their_spread_stand_beside_the_interval(copy):
    """Align solves 8, 4 and 0 of 32 more with seeds 0, 1 and 2; with seed 0 not under Carrot."""
    config = settings(seeds=[0, 1, 2], **{"table1.rows": ["default", "align"]})
    for seed, more in ((1, 4), (2, 0)):
        for run in ("default", "align"):
            for name in NAMES:
                final = INDEX < (16 + more if run == "align" else 16)
                write(config, copy, run, name, final, seed)
    files = make(config, copy)
    found = cells(files[".csv"])
    own = [found["align - default", "vision", f"paired difference, seed {s}"] for s in range(3)]
    assert [line["rate"] for line in own] == ["0.2500", "0.1250", "0.0000"]
    line = found["align - default", "vision", "paired difference"]
    # The mean is 1/8 and so is the SD; t(0.975) with two degrees of freedom is 4.3027.
    assert (line["rate"], line["seed_sd"]) == ("0.1250", "0.1250")
    assert float(line["seed_half"]) == pytest.approx(4.3027 / 8 / 3**0.5, abs=1e-4)
    text = files[".md"].read_text()
    assert "| ↳ of each seed | +25.0, +12.5, +0.0 | +20.0, +12.5, +0.0 |" in text
    assert "| ↳ mean ± half-width, SD over seeds | +12.5 ± 31.1, 12.5 |" in text
    assert r"$+12.5 \pm 31.1$ (12.5)" in files[".tex"].read_text()
    # Align has rates of 24, 20 and 16 of 32, under Carrot of 16, 20 and 16; Default always 16. So
    # of 9 pairs of seeds 6 are ahead and 3 equal, under Carrot 3 and 6.
    chance = found["align - default", "all 13", "probability of improvement over seeds"]
    assert float(chance["rate"]) == pytest.approx((12 * 7.5 / 9 + 6 / 9) / 13, abs=1e-4)
    assert float(chance["lo"]) < float(chance["rate"]) < float(chance["hi"])
    above = {run: found[run, "all 13", "rate above 0.5"]["rate"] for run in ("default", "align")}
    assert above == {"default": "0.0000", "align": f"{25 / 39:.4f}"}
    assert "of the 13 conditions and 3 seeds in which" in text and "of 3 seeds.]" in text


def test_with_one_seed_conditions_are_counted_without_an_interval(made):
    section = made[".md"].partition("## Conditions and seeds")[2].partition("\n## ")[0]
    # Ahead under 12 conditions, and equal under Carrot.
    assert "improvement, Align over Default: 96.2 %\n" in section
    assert "| **Align** | 100 | 100 | 100 | 100 | 100 | 92 | 92 | 92 | 0 | 0 |" in section
    assert "With one seed there is no interval" in section


def test_every_row_is_there_in_order(made):
    table = made[".md"].partition("## ")[0].splitlines()
    labels = [one.split("**")[1] for one in table if one.startswith("| **")]
    assert labels == ["Default", "Freeze", "Align", "Base (before fine-tuning)"]
    assert "| 16/32 |" in made[".md"] and "| 24/32 |" in made[".md"]


def test_both_definitions_of_success(made, config, study):
    found = cells(make(config, study, "both")[".csv"])
    # One more success at any step than at the end, in every condition and run.
    assert found["default", "semantic", "mean"]["any"] == f"{17 / 32:.4f}"
    assert found["align - default", "vision", "paired difference"]["any"] == "0.2500"
    assert "| ↳ at any step | 53.1 | 53.1 | 53.1 | 53.1 |" in made[".md"]


def test_a_missing_run_leaves_no_number(config, study):
    rows = settings(**{"table1.rows": ["default", "align"]})
    records = {"default": load_run(config, "default", study / "rollouts")}
    published = load_claims().table1
    (one,) = differences(summarise(rows, records, published), records, seed=0)
    assert (one.name, one.groups) == ("align - default", {})
    assert one.published["vision"] == pytest.approx(0.064)


def test_one_changed_episode_moves_its_own_numbers_and_no_other(config, copy):
    before = cells(make(config, copy)[".csv"])
    final = succeeds("align", "plate")
    final[30] = True
    write(config, copy, "align", "plate", final)
    after = cells(make(config, copy)[".csv"])
    assert {key for key in before if before[key] != after[key]} == {
        ("align", "semantic", "Plate"),
        ("align", "semantic", "mean"),
        ("align", "all 13", "mean"),
        ("align - default", "semantic", "paired difference"),
        ("align - default", "all 13", "paired difference"),
    }
    assert after["align", "semantic", "Plate"]["k"] == "25"


def test_a_record_edited_by_hand_is_refused(config, copy):
    path = copy / "rollouts/align/0/plate.parquet"
    frame = pd.read_parquet(path)
    frame.assign(success_final=True).to_parquet(path)
    with pytest.raises(UnblindError, match=r"plate\.parquet is corrupt: its content differs"):
        make(config, copy, "edited")
    assert not list(copy.glob("edited*"))


def test_a_missing_seed_is_named(copy):
    config = settings(seeds=[0, 1])
    for condition in CONDITIONS:
        write(config, copy, "default", condition.name, succeeds("default", condition.name), 1)
    with pytest.raises(UnblindError, match=r"freeze/1/in_distribution\.parquet is missing"):
        make(config, copy, "seeds")


def test_partial_pairs_are_refused(config, study):
    records = {run: load_run(config, run, study / "rollouts") for run in ("default", "align")}
    rows = summarise(config, records, load_claims().table1)
    frame = records["align"].episodes
    gone = (frame["condition"] == "plate") & (frame["episode_id"] < 3)
    records["align"] = Records("align", frame[~gone], (), ())
    with pytest.raises(
        UnblindError, match=r"'align' and 'default' share only 445 of 448 .*0/plate"
    ):
        differences(rows, records, seed=0)


def test_gate_in_words(made, copy, capsys):
    # Wilson for 16 of 32: centre 1/2, half width .164.
    assert "success of Default: gate met: 50 % [34, 66], goal 70 % not reached" in made[".md"]
    config = settings(**{"gates.in_distribution_floor": 0.6})
    text = make(config, copy)[".md"].read_text()
    missed = "In-distribution success of Default: gate not met: 50 % [34, 66], wanted 60 %"
    assert f"**{missed}**" in text.partition("| | ID")[0], "said before the table"
    assert f"- {missed}" in text.partition("## How it was made")[2]
    assert capsys.readouterr().err == f"warning: {missed}\n"
    low = {"gates.in_distribution_floor": 0.4, "gates.in_distribution_goal": 0.5}
    assert "goal 50 % reached" in make(settings(**low), copy)[".md"].read_text()


def test_a_gate_that_stops_writes_nothing(copy):
    config = settings(**{"gates.action": "stop", "gates.in_distribution_floor": 0.6})
    with pytest.raises(UnblindError, match=r"gate not met: 50 % \[34, 66\], wanted 60 %"):
        make(config, copy, "stopped")
    assert not list(copy.glob("stopped*"))
    assert make(settings(**{"gates.action": "stop"}), copy)[".md"].is_file(), "met: no stop"


def test_held_out_questions_to_the_base_are_a_gate(copy):
    config = settings(**{"answers.pictures": 100})
    right = {("where", "study"): 0.93, ("which", "study"): 0.4}
    synthetic.write_answers(config, "base", 0, copy / "answers", right)
    files = make(config, copy, answers=copy / "answers")
    text = files[".md"].read_text()
    assert "to the base: gate not met: which 40 %" in text, "the other kind is met"
    assert "(wanted 50 % of each of 2 kinds)" in text
    assert " answers |\n|:--|" in text.partition("By kind")[2], "one table, without gaps"
    read = json.loads(Path(f"{files['.md']}.meta.json").read_text())["inputs"]
    assert str(copy / "answers" / "base" / "0.parquet") in read
    low = make(
        settings(**{"answers.pictures": 100, "gates.questions_floor": 0.3}),
        copy,
        answers=copy / "answers",
    )
    assert "Held-out questions to the base: gate met: where" in low[".md"].read_text()


def test_footer_names_the_set_up(made):
    footer = made[".md"].partition("## How it was made")[2]
    assert line(footer, "- Set-up of Default, Freeze, Align:") == (
        "- Set-up of Default, Freeze, Align: base sha256 abababababab; lora rank 32; "
        "samples 9,600; steps 400; training seed 0"
    )
    assert line(footer, "- Set-up of Align:") == (
        "- Set-up of Align: lambda 0.2; layer 4; teacher lite2; teacher cached yes; "
        "trainable parameters 250,000"
    )
    assert "- Set-up of Base (before fine-tuning): base sha256 abababababab\n" in footer
    assert "- Training seeds: 1: training noise not covered" in footer
    assert "with one seed, training noise is not covered" in made[".md"]


def test_two_training_seeds_show_both_set_ups(copy):
    config = settings(seeds=[0, 1], **{"table1.rows": ["default"]})
    details = DETAILS["default"] | {"training_seed": 1, "adapter_sha256": "cd" * 32}
    for name in NAMES:
        write(config, copy, "default", name, succeeds("default", name), 1, details)
    text = make(config, copy)[".md"].read_text()
    assert "training seed 0, 1" in text
    assert "Training seeds: 2: their spread is the seeds' SD" in text
    assert "## Paired differences" not in text


def test_signed_differences():
    assert [signed(x) for x in (0.0721, -0.5, 0.0, -0.0001)] == ["+7.2", "-50.0", "+0.0", "+0.0"]
