"""Claims about what models know, judged by made-up records whose effects are known."""

import math
from pathlib import Path

import pytest
import sizes
import studies
import synthetic
from scipy.stats import norm

from unblind.audit import build, integrity
from unblind.audit.commands import Commands
from unblind.config import load
from unblind.report import attention, by_model, collapse, probe_rates, probes
from unblind.report.power import minimum_detectable_difference
from unblind.report.published import load_claims
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs

ABLATIONS = studies.MINI.with_name("ablations.yaml")
MODELS = ("vlm", "base", "default", "align")


def write(folder: Path):
    """Write records of four models: ids, pictures and frames that the better one gets right."""
    runs = load(studies.MINI).model_dump(mode="json")["runs"]
    config = load(
        studies.MINI,
        {
            "results": str(folder),
            "runs": {name: runs[name] for name in MODELS},
            "table1.rows": ["default", "align", "base"],
            "training.align.layers": [2],
        },
    )
    for run, right in (("base", 2), ("default", 1), ("align", 3)):
        synthetic.write_think(config, run, 0, folder / "think", right=(right, 0))
    for run in MODELS:
        yes = run != "default"
        synthetic.write_think_answers(config, run, 0, folder / "think-answers", yes=yes)
        read = {"vlm": 0.5, "base": 0.5, "default": 0.4, "align": 0.6}[run]
        told = {"icons": read, "portraits": 0.5, "stills": 0.5}
        synthetic.write_probes(jobs.Job(config, "probe", run, 0), right=told)
        apart = {"vlm": 0.4, "base": 0.3, "default": 0.1, "align": 0.3}[run]
        synthetic.write_collapse(config, run, 0, apart)
    for run, lift in (("base", 2.0), ("default", 1.2), ("align", 1.8)):
        synthetic.write_attention(config, run, 0, lift)
    synthetic.write_probes(jobs.Job(config, "probe_teacher"))  # half of the icons
    return config


def claims(config, file=studies.MINI):
    commands = Commands(config, file, studies.MINI)
    return {one["id"]: one for one in build.claims(config, build.evidence(config), commands)}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write(tmp_path_factory.mktemp("study") / "results")


@pytest.fixture(scope="module")
def found(study):
    return claims(study)


def of(found, name):
    one = found[f"ordering/{name}"]
    return one, one["effect"]


def test_acting_on_the_same_boards(found):
    value = found["2/align/Color"]
    assert (value["verdict"], value["ours"]["value"], value["ours"]["n"]) == (
        *("not comparable", 0.75),
        4,
    )
    assert value["paper"] == {"value": 0.82, "spread": 0.02}
    # Of 4 ids, 2 are won. Standard error sqrt(4 * .125^2 * 4/3) = .289: p = .083. Four ids that
    # agree give a sign test 2 / 2^4.
    one, color = of(found, "align-restores-color")
    assert (color["delta"], color["n"], color["clusters"], color["p"]) == (0.5, 4, 4, 0.125)
    assert (color["first"], color["second"]) == (0.75, 0.25)
    error = math.sqrt(4 * 0.125**2 * 4 / 3)
    assert color["high"] - 0.5 == pytest.approx(1.959964 * error, abs=1e-6)
    assert one["verdict"] == "inconclusive" and one["unit"] == "points"
    # All eight domains: 32 ids, each a 32nd of the mean.
    one, everything = of(found, "align-restores-overall")
    error = math.sqrt(32 * (0.5 / 32) ** 2 * 32 / 31)
    p = 2 * norm.sf(0.5 / error)
    assert everything["p"] == pytest.approx(p, abs=1e-6)
    assert one["verdict"] == "reproduced"
    # Three domains and their mean, seven domains of the VLM and its mean: five VLMs are not ours.
    assert everything["family"] == 12
    assert everything["detectable"] == pytest.approx(
        (norm.isf(0.05 / 12 / 2) + norm.ppf(0.8)) * error, abs=1e-6
    )
    assert len(one["records"]) == 16 and one["origin"] == "recomputed"


def test_a_vlm_and_a_policy_are_judged_by_their_answers(found):
    one, arrow = of(found, "fine-tuning-forgets-arrow")
    # Yes and the right place for one board of three, against never yes; one frame is no evidence.
    assert (arrow["delta"], arrow["n"], arrow["clusters"]) == (pytest.approx(1 / 3), 3, 1)
    assert (arrow["p"], arrow["detectable"], one["verdict"]) == (1, None, "inconclusive")
    assert one["why"].startswith("by what both answer to the same questions")
    # Eight frames that all agree: a sign test's 2 / 2^8 does not survive twelve tests.
    one, mean = of(found, "vlm-exceeds-policy-prismatic-7b")
    assert mean["p"] == pytest.approx(2**-7, abs=1e-6) and one["verdict"] == "inconclusive"
    assert found["2/prismatic-7b/Arrow"]["ours"]["value"] == pytest.approx(1 / 3)
    assert found["2/internvl3.5-4b/Arrow"]["verdict"] == "not run"


def test_probes_of_the_same_pictures(study, found):
    one, gain = of(found, "probe-align-exceeds-default")
    assert (gain["delta"], gain["n"], gain["clusters"]) == (pytest.approx(0.2), 40, 4)
    assert one["why"].startswith("concepts of Icon-100 at block 3; ")
    folder = Path(study.results, "probe")
    listed = probe_rates.differences(probes.load_models(study, folder), study.probe.site)
    (page,) = (d for d in listed if d.runs == ("align", "default") and d.measure is probes.CONCEPTS)
    rate = page.sites[study.probe.site]
    assert (rate.value, rate.low, rate.high) == pytest.approx(
        (gain["delta"], gain["low"], gain["high"]), abs=1e-6
    )
    # The teacher is read at a site of its own: half of the icons, of Align 60 %.
    one, teacher = of(found, "probe-exceeds-align-align")
    assert (teacher["first"], teacher["second"]) == pytest.approx((0.5, 0.6))
    assert teacher["delta"] == pytest.approx(-0.1)
    assert one["records"] == (
        (folder / "teachers" / "lite2.parquet").as_posix(),
        (folder / "align" / "0.parquet").as_posix(),
    )
    assert found["3/c-radiov3/Accuracy"]["ours"]["value"] == 0.5
    assert "ImageNet-100" in found["3/align/Accuracy"]["why"]


def test_attention_of_the_same_frames(study, found):
    one, lift = of(found, "attention-leaves-target")
    assert (lift["delta"], lift["n"], lift["clusters"]) == (pytest.approx(0.8), 12, 6)
    # Six episodes agree: 2 / 2^6, times five claims of the figure.
    assert lift["p"] == pytest.approx(2**-5) and lift["p_holm"] == pytest.approx(5 * 2**-5)
    assert (one["verdict"], one["unit"], one["paper"]) == ("inconclusive", "in lift", None)
    models = by_model.load(study, "attention", attention.ITEMS, attention.VALUES)
    page = attention.change(models["base"], models["default"], "question", "divided")
    cell = list(page["target_lift"].cells.values())[1]
    assert (cell.value, cell.low, cell.high) == pytest.approx(
        (lift["delta"], lift["low"], lift["high"]), abs=1e-6
    )
    one, back = of(found, "attention-returns")
    assert back["delta"] == pytest.approx(0.6)
    one, even = of(found, "attention-diffuse")
    assert (even["delta"], even["p"], one["verdict"]) == (0, 1, "inconclusive")


def test_classes_of_the_same_pictures(study, found):
    for layer in ("early", "middle", "late"):
        one, apart = of(found, f"classes-collapse-{layer}")
        assert (apart["delta"], apart["n"], apart["clusters"]) == (pytest.approx(0.2), 24, 24)
        assert apart["family"] == 12 and apart["p"] == pytest.approx(2**-23, abs=1e-6)
        assert one["verdict"] == "reproduced" and one["label"] == f"{layer} layer"
        assert "the interval lies above 0 in silhouette" in one["why"]
    models = by_model.load(study, "collapse", collapse.ITEMS, collapse.VALUES)
    page = next(
        change
        for change in collapse.changes(models, study.collapse.layers)
        if change.labels == ("Default", models["base"].label)
    )
    assert page.cells[study.collapse.layers[0]].value == pytest.approx(-apart["delta"], abs=1e-6)
    assert of(found, "classes-overlap-late")[0]["verdict"] == "inconclusive"


def test_every_claim_of_the_diagnosing_half_is_judged(found):
    places = ("2", "3", "Figure 4", "Figure 5")
    ours = [one for one in found.values() if one["table"] in places and one["kind"] == "ordering"]
    not_run = {one["why"] for one in ours if one["verdict"] == "not run"}
    assert not_run == {"a model that this package does not evaluate"}
    for one in ours:
        if one["effect"]:
            assert {"delta", "low", "high", "n", "p_holm", "detectable"} <= one["effect"].keys()
            assert (
                one["command"].endswith(f"unblind audit --cell {one['id']}")
                or "--set" in (one["command"])
            )


def test_a_record_that_must_not_be_believed_affects_its_run_alone(tmp_path):
    config = write(tmp_path / "results")
    path = tmp_path / "results" / "think" / "align" / "0" / "color.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    after = claims(config)
    for name in ("2/align/Color", "2/align/Arrow", "ordering/align-restores-shape"):
        assert after[name]["verdict"] == "not run"
        assert after[name]["why"].startswith(f"{path.as_posix()} is refused: is corrupt")
    # What is there and was not refused counts as read.
    read = build.evidence(config).paths
    assert path not in read and path.with_name("arrow.parquet") in read
    assert after["2/default/Color"]["ours"] and after["3/align/Accuracy"]["ours"]
    problems = integrity.findings(config, build.evidence(config), tmp_path / "audit")
    assert [one.path for one in problems] == [path.as_posix()]


def test_what_is_not_there_names_the_first_record_and_what_makes_it(tmp_path):
    config = write(tmp_path / "results")
    path = tmp_path / "results" / "collapse" / "vlm" / "0.parquet"
    path.unlink()
    one = claims(config)["ordering/classes-apart-in-vlm-late"]
    assert one["why"] == f"1 of 1 records: {path.as_posix()} is not there"
    base = path.parents[1] / "base" / "0.parquet"
    assert f"snakemake --cores all {path.as_posix()} {base.as_posix()}" in one["command"]


# ---- ablations --------------------------------------------------------------------------------

#: Of 8 episodes everywhere.
SOLVED = {"align": 4, "layer-20": 7, "teacher-lite0": 1}


@pytest.fixture(scope="module")
def ablations(tmp_path_factory):
    results = tmp_path_factory.mktemp("ablations") / "results"
    values = sizes.episodes(8) | sizes.of_rows(SOLVED, 8)
    config = load(ABLATIONS, {"results": str(results), "seeds": [0]} | values)
    for run, solved in SOLVED.items():
        finals = {condition.name: solved for condition in CONDITIONS}
        place = results / "rollouts" / run / "0"
        synthetic.write_records(config, run, 0, place, finals, rules=("rollout",))
    return claims(config, ABLATIONS)


def test_runs_that_are_the_same_have_the_records_of_one(ablations):
    value = ablations["12/layer-22/Tex05"]
    assert value["ours"]["value"] == 7 / 8
    assert value["records"][0].endswith("layer-20/0/texture_05.parquet")
    one, lost = of(ablations, "full-layers-layer-22-semantic")
    # Of 5 x 8 pairs, 3 of each 8 are lost.
    assert (lost["won"], lost["lost"], lost["n"]) == (0, 15, 40)
    assert one["verdict"] == "contradicted"
    # Four rows in three groups, one in two, three in one.
    assert lost["family"] == 4 * 3 + 2 + 3
    wanted = minimum_detectable_difference(40, 15 / 40, level=1 - 0.05 / 17)
    assert lost["detectable"] == pytest.approx(wanted, abs=1e-6)


def test_rows_of_a_study_that_the_paper_lacks_are_judged_too(ablations):
    one, won = of(ablations, "teacher-best-teacher-lite0-semantic")
    assert (won["won"], won["lost"], one["paper"]) == (15, 0, None)
    assert one["verdict"] == "reproduced"
    assert one["label"] == "EfficientNet-Lite0, semantic"
    # Three of the paper's teachers and three of the study's, in three groups.
    assert won["family"] == 18
    missing = ablations["ordering/teacher-best-teacher-random-vision"]
    assert missing["verdict"] == "not run" and missing["command"]


def test_every_row_of_the_ablations_is_named(ablations):
    claimed = load_claims()
    for table in ("4", "5", "6", "7", "8", "10", "11", "12", "13"):
        names = {one.worse for one in claimed.orderings if one.table == table}
        assert names == claimed.tables[table].rows.keys() - {"align"}
        for one in ablations.values():
            if one["table"] == table and one["kind"] == "ordering" and one["effect"]:
                assert one["effect"]["detectable"] is not None
