import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import studies
from typer.testing import CliRunner

from unblind.cli import app
from unblind.errors import UnblindError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    config = studies.write(studies.settings(tmp_path_factory.mktemp("study") / "results"))
    return studies.tabulate(config)


@pytest.fixture
def study(original, tmp_path, monkeypatch):
    shutil.copytree(original.results, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return studies.settings(Path("results"))


def audit(config, *words):
    """Run `unblind audit`; return what it printed, or raise its error."""
    options = ("--config", str(studies.MINI), *studies.overrides(config))
    done = CliRunner().invoke(app, ["audit", *options, *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def pages():
    return {kind: Path(f"results/audit.{kind}").read_bytes() for kind in ("md", "json", "html")}


def test_the_pages_name_every_claim(study):
    said = audit(study)
    assert said.startswith("results/audit.md\nresults/audit.json\nresults/audit.html\n")
    first = pages()
    values = json.loads(first["json"])
    of = Counter((one["kind"], one["table"]) for one in values["claims"])
    assert (of["value", "1"], of["value", "2"], of["value", "3"]) == (39, 64, 4)
    # Summaries and full ablations, rows times columns.
    assert [of["value", str(n)] for n in range(4, 9)] == [12, 6, 21, 9, 9]
    assert all(of["value", str(n)] >= 5 * 13 for n in range(10, 14))
    kinds = Counter(one["kind"] for one in values["claims"])
    assert kinds["ordering"] >= 15
    assert kinds["arithmetic"] >= 12
    assert len(values["defects"]) >= 20
    checked = [one for one in values["defects"] if one["check"]]
    assert len(checked) >= 10
    assert all(one["check"]["shown"] for one in checked)
    assert all(one["why_not"] for one in values["defects"] if not one["check"])
    assert len({one["id"] for one in values["claims"]}) == len(values["claims"])
    assert values["counts"] == dict(Counter(one["verdict"] for one in values["claims"]))
    assert values["integrity"] == []
    assert "no evidence about models of 7 billion" in values["remark"]
    # Every ordering whose runs exist is judged, at every scale.
    orderings = [one for one in values["claims"] if one["kind"] == "ordering" and one["records"]]
    judged = {one["id"] for one in orderings if one["verdict"] != "not comparable"}
    # Of Table 1, and the rows of Default in Tables 10 and 11.
    assert len(judged) == len(orderings) == 20 + 6
    # The same records give the same bytes.
    audit(study)
    assert pages() == first
    text = first["md"].decode()
    for name in ("ordering/align-beats-default-plate", "1/align/Plate", "2/align/Color"):
        assert f"| {name} |" in text
    meta = json.loads(Path("results/audit.json.meta.json").read_text())
    assert len([name for name in meta["inputs"] if name.endswith(".parquet")]) == 3 * 14


def test_one_claim_in_any_case_of_letters(study):
    said = audit(study, "--cell", "1/Align/carrot")
    assert said.startswith("1/align/Carrot\n")
    assert "paper    0.61 +- 0.01" in said
    assert "ours     0.5 [0.2800, 0.7200] of 16 episodes" in said
    assert "verdict  not comparable" in said
    assert "results/rollouts/align/0/carrot.parquet" in said
    assert not Path("results/audit.md").exists()
    with pytest.raises(UnblindError, match="did you mean 1/align/Carrot"):
        audit(study, "--cell", "1/align/carot")


def test_the_command_that_makes_a_record_is_complete(study):
    command = audit(study, "--cell", "ordering/align-beats-default-vision").partition("command")[2]
    settings, make, show = command.strip().split(" && ")
    words, _, name = settings.removeprefix("echo ").rpartition(" > ")
    assert json.loads(words.strip("'"))["rollout"] == {"in_distribution_episodes": 16}
    conditions = "{vision_image,texture_03,texture_05,whole_03,whole_05}"
    wanted = f"results/rollouts/{{align,default}}/0/{conditions}.parquet"
    assert make.startswith(f"snakemake --cores all {wanted} --configfile ")
    assert make.endswith(f"mini.yaml {name}")
    assert show.startswith("unblind audit --cell ordering/align-beats-default-vision --config ")
    assert "--set rollout.in_distribution_episodes=16" in show


def test_a_changed_record_ends_with_one_error_after_the_pages(study):
    path = studies.record(study)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnblindError, match=r"integrity: .*align/0/carrot\.parquet: refused: .*"):
        audit(study)
    values = json.loads(pages()["json"])
    assert [one["path"] for one in values["integrity"]] == [path.as_posix()]
    assert "## What does not add up" in pages()["md"].decode()


def test_strict_stops_at_a_contradiction(study):
    audit(study, "--strict")
    studies.rewrite(
        study, lambda frame: frame.assign(success_final=True, success_any=True), "freeze"
    )
    for name in ("instruct", "multi_carrot", "multi_plate", "plate"):
        studies.rewrite(
            study, lambda frame: frame.assign(success_final=True, success_any=True), "freeze", name
        )
    for path in Path("results").glob("table1.*"):
        path.unlink()
    assert "1 contradicted" in audit(study)
    with pytest.raises(UnblindError, match="contradicted: ordering/freeze-fails-semantic"):
        audit(study, "--strict")


def test_records_of_others(study, tmp_path):
    theirs = tmp_path / "theirs"
    shutil.copytree("results/rollouts", theirs / "rollouts")
    said = audit(study, "--against", str(theirs))
    assert "records: 42 same" in said
    assert "verdict: the same success in every episode" in said
    (theirs / "rollouts" / "align" / "0" / "plate.parquet").write_text("<script>")
    with pytest.raises(UnblindError, match=r"1 records in .* are refused; align/0/plate"):
        audit(study, "--against", str(theirs))


def test_a_checkout_without_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audit(studies.settings(Path("results")))
    values = json.loads(pages()["json"])
    verdicts = {one["verdict"] for one in values["claims"] if one["kind"] in ("value", "ordering")}
    assert verdicts == {"not run"}
    assert values["facts"]["commits"] == []
