"""What other people's values let one expect is tested apart from the paper's claims."""

import json
from pathlib import Path

import pytest
import studies
import synthetic
from studies import MINI

from unblind.audit import build, pages
from unblind.audit.commands import Commands
from unblind.cli.audit import _stop
from unblind.config import load
from unblind.errors import UnblindError
from unblind.report.published import load_claims
from unblind.sim.conditions import CONDITIONS

IDS = ["ordering/warm-up-executes-default", "ordering/warm-up-executes-align"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The made-up study with a base that always succeeds on execution, and never elsewhere."""
    results = tmp_path_factory.mktemp("study") / "results"
    base = load(MINI).model_dump(mode="json")["runs"]["base"]
    plain = studies.settings(results)
    runs = {name: run.model_dump(mode="json") for name, run in plain.runs.items()} | {"base": base}
    config = studies.settings(results, runs=runs, **{"table1.rows": list(runs)})
    finals = {c.name: 16 * (c.suite == "execution") for c in CONDITIONS}
    synthetic.write_records(config, "base", 0, results / "rollouts" / "base" / "0", finals)
    studies.write(config)
    return config


def claims(config):
    commands = Commands(config, studies.MINI, studies.MINI)
    return {one["id"]: one for one in build.claims(config, build.evidence(config), commands)}


@pytest.fixture(scope="module")
def found(study):
    """The study's claims."""
    return claims(study)


def test_the_order_is_judged_in_a_family_of_its_own(found):
    default, align = (found[name] for name in IDS)
    # Three conditions of 16 episodes, of which Default ends 8 in success, and Align 14.
    assert (default["effect"]["n"], default["effect"]["won"], default["effect"]["lost"]) == (
        48,
        24,
        0,
    )
    assert (default["effect"]["delta"], align["effect"]["delta"]) == (0.5, 0.125)
    assert default["verdict"] == "reproduced" and default["table"] == "Elsewhere"
    assert default["paper"] is None, "no value is compared"
    assert default["effect"]["family"] == align["effect"]["family"] == 2
    # 2^-23 by McNemar's exact test, twice by Holm; 6 of 6 are 1/32.
    assert default["effect"]["p"] == pytest.approx(2**-23, abs=1e-6)
    assert align["effect"]["p_holm"] == pytest.approx(1 / 32)


def test_claims_of_the_paper_are_judged_as_without_it(study, found, monkeypatch):
    bare = load_claims().model_copy(update={"elsewhere": []})
    monkeypatch.setattr(build, "load_claims", lambda: bare)
    assert claims(study) == {name: one for name, one in found.items() if name not in IDS}


def test_what_is_no_claim_of_the_paper_does_not_stop_a_strict_audit():
    one = {"id": IDS[0], "table": "Elsewhere", "verdict": "contradicted"}
    _stop({"integrity": [], "claims": [one]}, True, Path("audit"))
    with pytest.raises(UnblindError, match="contradicted: mine"):
        _stop(
            {"integrity": [], "claims": [one, one | {"id": "mine", "table": "1"}]}, True, Path("a")
        )


def test_without_the_base_it_is_not_run(tmp_path):
    config = studies.settings(tmp_path / "results")
    for name in IDS:
        one = claims(config)[name]
        assert (one["verdict"], one["why"]) == ("not run", "the configuration has no run 'base'")


def test_the_pages_show_the_values_and_what_must_not_be_compared(
    study, found, tmp_path, monkeypatch
):
    commands = Commands(study, studies.MINI, studies.MINI)
    monkeypatch.setattr(build, "claims", lambda *_: list(found.values()))
    monkeypatch.setattr(build.integrity, "findings", lambda *_: [])
    result = build.audit(study, build.evidence(study), commands, tmp_path / "audit")
    pages.write(result, tmp_path / "audit", study, [])
    texts = [(tmp_path / f"audit.{kind}").read_text() for kind in ("md", "html", "json")]
    for text in texts:
        assert "gen-robot/openvla-7b-rlvla-warmup" in text and "No value with one of" in text
    assert "| 0.5391 | 0.3875 | 0.3575 | 0.4211 | 0.3910 |" in texts[0]
    assert "Elsewhere" in texts[1] and IDS[0] in texts[1]
    (source,) = json.loads(texts[2])["elsewhere"]
    assert source["rows"]["warm-up"]["values"][3] == 0.4211 and "expected" not in source
