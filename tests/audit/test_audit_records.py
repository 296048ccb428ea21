import hashlib
import json
import shutil

import numpy as np
import pytest
import studies
import synthetic

from unblind.audit import build, integrity
from unblind.audit.commands import Commands
from unblind.audit.records import gather
from unblind.errors import UnblindError
from unblind.study import store


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return studies.write(studies.settings(tmp_path_factory.mktemp("study") / "results"))


@pytest.fixture
def study(original, tmp_path):
    shutil.copytree(original.results, tmp_path / "results")
    return studies.settings(tmp_path / "results")


def claims(config):
    commands = Commands(config, studies.MINI, studies.MINI)
    return {one["id"]: one for one in build.claims(config, build.evidence(config), commands)}


def test_claims_of_a_whole_study(study):
    found = claims(study)
    # 14 of 16: Wilson's interval, centre (14 + z^2/2) / (16 + z^2) = .802.
    value = found["1/align/Plate"]
    assert value["verdict"] == "not comparable"
    assert value["paper"] == {"value": 0.75, "spread": 0.01}
    assert (value["ours"]["value"], value["ours"]["n"]) == (0.875, 16)
    assert value["ours"]["low"] == pytest.approx(0.640, abs=1e-3)
    assert value["ours"]["high"] == pytest.approx(0.965, abs=1e-3)
    assert value["records"] == (studies.record(study, condition="plate").as_posix(),)
    assert value["origin"] == "recomputed"
    # The same run stands behind a group of a summary: its mean over 5 conditions.
    group = found["4/align/Semantic"]
    assert group["ours"]["value"] == pytest.approx((4 * 14 + 8) / 80)
    assert group["ours"]["n"] == 80
    # 6 x 12 won of 208 pairs, and none lost.
    overall = found["ordering/align-beats-default-overall"]
    assert (overall["verdict"], overall["effect"]["won"]) == ("reproduced", 72)
    assert overall["effect"]["p_holm"] < 1e-9
    assert len(overall["records"]) == 26
    # 6 of 6 wins: p = 1/32, which does not survive the family of Table 1's orderings.
    plate = found["ordering/align-beats-default-plate"]
    assert (plate["effect"]["p"], plate["verdict"]) == (0.03125, "inconclusive")
    assert found["ordering/default-beats-align-poschangeto"]["effect"]["delta"] == -0.375
    assert found["ordering/freeze-fails-vision"]["verdict"] == "reproduced"


def test_what_no_record_can_answer_is_not_run_and_says_why(study):
    found = claims(study)
    reasons = {
        "2/ovis2.5-2b/Arrow": "a model that this package does not evaluate",
        "2/prismatic-7b/Arrow": "the configuration has no run 'vlm'",
        "3/base/Accuracy": "the configuration has no run 'base'",
        "12/layer-20/Tex05": "the configuration has no run 'layer-20'",
    }
    for name, why in reasons.items():
        assert (found[name]["verdict"], found[name]["why"]) == ("not run", why)
        assert found[name]["ours"] is found[name]["command"] is None
    color = found["2/align/Color"]
    assert (color["verdict"], color["ours"]) == ("not run", None)
    assert color["why"].startswith("8 of 8 records: ") and color["why"].endswith(" is not there")
    assert f"{study.results}/think/align/0/color.parquet" in color["command"]


def test_a_deleted_record_changes_its_own_claims_alone(study):
    before = claims(study)
    path = studies.record(study)
    path.unlink()
    after = claims(study)
    # Holm's p of the other orderings may rise, never fall: the family stays what it was.
    for name, one in after.items():
        if one["effect"]:
            assert one["effect"].pop("p_holm") >= before[name]["effect"].pop("p_holm")
            one["why"] = before[name]["why"]
    changed = {name for name in before if before[name] != after[name]}
    of_carrot = {name for name in before if path.as_posix() in before[name]["records"]}
    assert changed == of_carrot
    assert {"1/align/Carrot", "10/align/Carrot", "4/align/Semantic"} <= changed
    assert "ordering/align-beats-default-overall" in changed
    assert {after[name]["verdict"] for name in changed} == {"not run"}
    assert after["1/align/Carrot"]["why"] == f"1 of 1 records: {path.as_posix()} is not there"
    assert build.evidence(study).refused == ()


def test_without_any_record_nothing_is_run(tmp_path):
    found = claims(studies.settings(tmp_path / "nowhere"))
    verdicts = {one["verdict"] for one in found.values() if one["kind"] in ("value", "ordering")}
    assert verdicts == {"not run"}


# ---- records that must not be believed -------------------------------------------------------


def edited(config):
    path = studies.record(config)
    path.write_bytes(path.read_bytes().replace(b"carrot", b"corrat", 1))
    return "its content differs from its sidecar"


def unlike_columns(config):
    studies.rewrite(config, lambda frame: frame.drop(columns="steps"))
    return "lacks the columns steps"


def with_hole(config):
    studies.rewrite(
        config, lambda frame: frame.assign(steps=np.where(frame.index == 3, np.nan, 80))
    )
    return "lacks values of steps"


def with_twin(config):
    studies.rewrite(config, lambda frame: frame.assign(episode_id=frame["episode_id"] // 2))
    return "holds an episode twice: 16 rows, 8 episodes"


def as_numbers(config):
    studies.rewrite(config, lambda frame: frame.assign(success_final=0.5))
    return "holds something else than true or false as success_final"


def impossible(config):
    studies.rewrite(config, lambda frame: frame.assign(success_any=False))
    return "holds a success at the last step that is none at any step"


def of_another_run(config):
    studies.rewrite(config, lambda frame: frame.assign(run="default"))
    return "holds another run than 'align'"


def no_sidecar(config):
    path = studies.record(config)
    path.with_name(path.name + ".meta.json").unlink()
    return "carrot.parquet.meta.json is missing"


DAMAGES = (edited, unlike_columns, with_hole, with_twin, as_numbers, impossible, of_another_run)


@pytest.mark.parametrize("damage", (*DAMAGES, no_sidecar))
def test_a_malformed_record_is_named_and_refused(study, damage):
    words = damage(study)
    found = build.evidence(study)
    (problem,) = found.refused
    assert problem.path == studies.record(study).as_posix()
    assert words in problem.problem
    assert ("align", 0, "carrot") not in found.pieces
    assert found.of("align", ["Carrot"]) == f"1 of 1 records: {problem.path} is refused"


def test_records_of_another_configuration_are_refused(study):
    other = studies.settings(study.results, **{"rollout.max_steps": 70})
    found = build.evidence(other)
    assert not found.pieces
    assert len(found.refused) == 3 * 14
    assert all("made with another configuration" in one.problem for one in found.refused)


def test_runs_on_different_episodes_are_an_error(study):
    studies.rewrite(study, lambda frame: frame.assign(episode_id=frame["episode_id"] + 1))
    with pytest.raises(UnblindError, match=r"share only .*0/carrot"):
        claims(study)


# ---- where records come from -----------------------------------------------------------------


def point(path, text):
    store.pointer_path(path).write_text(f"outs:\n- md5: {text}\n  size: 1\n  path: x\n")


def test_bytes_that_a_pointer_names_are_cached(study):
    path = studies.record(study)
    point(path, store.md5(path))
    one = claims(study)["1/align/Carrot"]
    assert (one["origin"], one["verdict"]) == ("cached", "not comparable")
    assert claims(study)["1/align/Plate"]["origin"] == "recomputed"
    point(path, "0" * 32)
    assert claims(study)["1/align/Carrot"]["origin"] == "recomputed"


def test_a_stored_folder_makes_its_files_cached_one_by_one(study, tmp_path, monkeypatch):
    folder = studies.record(study).parents[2]
    listing = [
        {"md5": store.md5(path), "relpath": path.relative_to(folder).as_posix()}
        for path in sorted(folder.rglob("*.parquet"))
    ]
    name = hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"
    point(folder, name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnblindError, match="git checkout -- dvcstore"):
        gather(study, folder)
    blob = tmp_path / "dvcstore" / "files" / "md5" / name[:2] / name[2:]
    blob.parent.mkdir(parents=True)
    blob.write_text(json.dumps(listing))
    overall = claims(study)["ordering/align-beats-default-overall"]
    assert (overall["verdict"], overall["origin"]) == ("cached", "cached")
    assert overall["why"].startswith("cached, from pulled records")
    # One record made again here: the claim still rests on pulled ones.
    studies.rewrite(study, lambda frame: frame.iloc[::-1])
    found = claims(study)
    assert found["1/align/Carrot"]["origin"] == "recomputed"
    assert found["ordering/align-beats-default-overall"]["verdict"] == "cached"


BEAR = "carrot/more_carrot/010_toy bear_1/textured.glb"


def test_records_that_lack_episodes_stand_and_an_empty_one_is_not_run(tmp_path):
    """Files of the catalog are missing: claims are judged by the episodes that were run."""
    folder = {"catalog": "assets", "catalog_missing": "skip"}
    config = studies.write(studies.settings(tmp_path / "results", **folder))
    for run in config.runs:
        for condition, numbers in (("instruct", range(2)), ("plate", range(16))):
            path = studies.record(config, run, condition)
            synthetic.leave_out(config, path, run, {number: [BEAR] for number in numbers})
    evidence = build.evidence(config)
    assert evidence.refused == () and len(evidence.pieces) == 3 * 14
    assert integrity.findings(config, evidence, tmp_path / "audit") == []
    found = claims(config)
    assert (found["1/align/Instruct"]["ours"]["n"], found["1/align/Plate"]["ours"]) == (14, None)
    assert found["1/align/Plate"]["verdict"] == "not run"
    assert found["1/align/Plate"]["why"].endswith("is empty: none of its episodes could be run")
    assert found["ordering/align-beats-default-instruct"]["effect"]["n"] == 14
    assert found["ordering/align-beats-default-plate"]["verdict"] == "not run"
