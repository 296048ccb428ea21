"""The report of a small study: what it says follows from the records, and from nothing else."""

import functools
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import studies
from typer.testing import CliRunner

from unblind.audit import build as audit
from unblind.audit.commands import Commands
from unblind.cli import app
from unblind.config import load
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.paper import build, latex, pages
from unblind.paper.words import MINUS
from unblind.report.hyperparameters import hyperparameters
from unblind.report.published import PAPER

LARGE = studies.MINI.with_name("paper.yaml")
needs_tex = pytest.mark.skipif(not latex.is_there(), reason="no TeX here: sh scripts/tex.sh")
#: What the audit tells of the release takes seconds and is not of the records.
DEFECT = {"area": "training", "check": {"shown": True}}
#: Filters and functions that give numbers or text that TeX reads as it is.
SAFE = ("tex", "breakable", "percent", "percent(1)", "printed")
#: Names that the report's own code gives: files, and a drawing whose words are escaped.
OWN = ("drawing", "conditions_figure", "page.name", "table.page.name", "costs_page.name")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    config = studies.write(studies.settings(tmp_path_factory.mktemp("study") / "results"))
    render(config)
    return config


def render(config):
    """Render two pages of a study."""
    studies.tabulate(config)
    hyperparameters(config, "9", Path(config.results, "table9"))


@pytest.fixture
def study(original, tmp_path, monkeypatch):
    shutil.copytree(original.results, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return studies.settings(Path("results"))


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return studies.settings(Path("results"))


@functools.cache
def claims_of(results):
    """Return the claims that the whole study's records answer; judging takes seconds."""
    config = studies.settings(results)
    evidence = audit.evidence(config)
    return audit.claims(config, evidence, Commands(config, studies.MINI, studies.MINI))


@pytest.fixture(autouse=True)
def _whole(original):
    """Make the study's claims known to `judged`."""
    judged.claims = claims_of(original.results)


def judged(config):
    """Return a study's records, with an audit of the whole study and nothing on the release."""
    claims = judged.claims if Path(config.results).is_dir() else claims_of(config.results)
    counts = Counter(one["verdict"] for one in claims)
    result = {"claims": claims, "counts": counts, "defects": [DEFECT], "integrity": []}
    facts = {"dirty": False, "commits": [], "seeds": [0], "config": ""}
    more = {"facts": facts, "remark": "Small.", "scale": config.scale}
    return audit.evidence(config), result | more


def text(config, **changes):
    """Return the report for TeX, in one line."""
    evidence, result = judged(config)
    names = [f"table{number}.tex" for number in pages.TABLES] + ["costs.tex", *build.FIGURES]
    shown = pages.find(config, LARGE, names)
    source, _ = build.document(config, evidence, result | changes, load(LARGE), shown)
    return " ".join(source.split())


def write(config, out=Path("results/paper.pdf")):
    return build.paper(config, *judged(config), (LARGE, load(LARGE)), out)


def outcomes(wins):
    """Return a change of a record: its first episodes end in success."""

    def change(frame):
        for name in frame.select_dtypes("bool").columns:
            frame[name] = frame.index < wins
        return frame

    return change


def test_a_sentence_follows_from_its_record(study):
    # 14 of 16 against 8 of 16 on the same episodes: 6 won, none lost.
    before = text(study)
    told = "Align succeeds more often than Default in distribution (+37.5 points"
    assert f"{told} [+12.5, +62.5]; won 6 and lost 0 of 16 pairs)." in before
    assert f"Freeze succeeds less often than Default in distribution ({MINUS}50.0" in before
    studies.rewrite(study, outcomes(8), "align", "in_distribution")
    # The published means stand under the published columns, whatever the order of our rows.
    heads = r"\emph{Default, paper} & \emph{Freeze, paper} & \emph{Align, paper}"
    assert heads in before and r"\emph{53.4} & \emph{2.8} & \emph{60.6} \\" in before
    same = text(study)
    told = "There is no clear difference between Align and Default in distribution (+0.0 points"
    assert f"{told} [+0.0, +0.0]; won 0 and lost 0 of 16 pairs)." in same
    studies.rewrite(study, outcomes(1), "align", "in_distribution")
    less = text(study)
    assert f"Align succeeds less often than Default in distribution ({MINUS}43.8 points" in less
    # 1 of 16 in the table of cells as well, with Wilson's interval.
    assert re.search(r"ID & 50 \[28, 72\] & 6 \[1, 28\] & 0 \[0, 19\] ", less)


def test_a_missing_record_is_not_run_and_changes_no_other_condition(study):
    whole = text(study)
    studies.record(study, "align", "carrot").unlink()
    partial = text(study)
    assert "Carrot & 50 [28, 72] & 50 [28, 72] & 0 [0, 19] " in whole
    assert r"Carrot & 50 [28, 72] & \notrun & 0 [0, 19] " in partial
    sentence = re.compile(r"Align succeeds more often than Default in distribution \([^)]*\)\.")
    assert sentence.search(whole)[0] == sentence.search(partial)[0]
    assert "Align succeeds more often than Default over all 13" in whole
    assert "Align succeeds more often than Default over all 13" not in partial


def test_without_records_everything_is_not_run(nothing):
    said = text(nothing)
    assert "No rollouts of this study are at hand" in said
    for label in ("Align", "Freeze"):
        assert rf"\textbf{{{label} against Default:}} \notrun." in said
    assert (
        "Measured costs: \\notrun." in said and "Answers to held-out questions: \\notrun." in said
    )
    assert said.count("Ours: not run.") == len(pages.TABLES)
    assert "succeeds" not in said.partition("\\section{Method}")[2].replace(
        "one run succeeds `more often'", ""
    ).replace("Align succeeds more often than Default out of distribution", "")


def test_counts_of_verdicts_are_those_of_the_audit(study):
    _, result = judged(study)
    of = [one for one in result["claims"] if one["kind"] == "ordering"]
    of = [one for one in of if one["table"] != "Elsewhere"]
    found = Counter(one["verdict"] for one in of)
    assert found["reproduced"] > 0
    said = text(study)
    assert f"Verdicts on {len(of)} published orderings: {found['reproduced']} reproduced" in said
    for one in of:
        if one["effect"]:
            assert one["text"].split(",")[0].replace("&", r"\&") in said


def test_findings_on_integrity_are_told(study):
    problem = {"path": "results/a_b/c.parquet", "problem": "refused: was made with 50 % of it"}
    said = text(study, integrity=[problem] * 14)
    assert "The audit found 14 problems" in said and "The first 12 are:" in said
    assert said.count(r"refused:\allowbreak{} was made with 50 \% of it") == 12
    assert "does not hold together" not in text(study)


def test_pages_are_shown_as_long_as_they_are_what_the_study_asks_for(study):
    def why(name):
        return pages.find(study, LARGE, [name])[name].why

    render(study)
    assert why("table1.tex") == why("table9.tex") == ""
    assert why("table2.tex") == "not run"
    studies.rewrite(study, outcomes(1), "align", "carrot")
    assert why("table1.tex") == ("left out: input changed: results/rollouts/align/0/carrot.parquet")
    path = Path("results/table9.tex")
    path.write_text(path.read_text().replace("500", "501"))
    assert why("table9.tex") == "left out: its content differs from its sidecar"
    assert r"Ours: left out:\allowbreak{} its content differs from its sidecar." in text(study)
    Path("results/table9.tex.meta.json").unlink()
    assert why("table9.tex").startswith("left out: the sidecar")


def test_a_page_of_other_settings_is_left_out(study):
    other = studies.settings(Path("results"), **{"training.schedule.steps": 501})
    found = pages.find(other, LARGE, ["table9.tex"])["table9.tex"]
    assert found.path is None and "config changed: training.schedule.steps 500 -> 501" in found.why


def test_all_text_of_the_templates_is_escaped():
    for template in build.TEMPLATES:
        text_of = re.sub("{% raw %}.*?{% endraw %}", "", template.read_text(), flags=re.DOTALL)
        printed = re.findall(r"{{-?(.*?)-?}}", text_of, flags=re.DOTALL)
        for one in map(str.strip, printed):
            is_own = one in OWN or one.startswith('"r" *') or one.endswith("| length")
            is_own |= (
                one.startswith(("hours(", '"," if', '", " if')) or one == "2 + ordered | length"
            )
            assert is_own or one.endswith(tuple(f"| {name}" for name in SAFE)), (template, one)


def test_a_label_with_signs_of_tex_is_printed_as_it_is(study):
    labelled = study.model_copy(deep=True)
    labelled.runs["align"] = labelled.runs["align"].model_copy(update={"label": r"A_1 & \b {50 %}"})
    said = text(labelled)
    assert r"A\_1 \& \textbackslash{}b \{50 \%\}" in said and r"A_1 &" not in said


def test_published_values_have_the_digits_of_the_paper():
    assert [build.printed(value) for value in (0.49, 0.8213, 0.7748, 1.0)] == [
        *("49", "82.13", "77.48", "100"),
    ]


@needs_tex
def test_the_same_study_gives_the_same_bytes_and_a_sidecar(study, tmp_path):
    first = write(study).read_bytes()
    assert first.startswith(b"%PDF-")
    meta = json.loads(Path("results/paper.pdf.meta.json").read_text())
    assert meta["sha256"] == sha256("results/paper.pdf")
    read = meta["inputs"]
    assert {"results/table1.tex", "results/rollouts/align/0/carrot.parquet"} <= read.keys()
    assert (PAPER / "main.tex.j2").as_posix() in read
    assert write(study, tmp_path / "again.pdf").read_bytes() == first


@needs_tex
def test_it_compiles_without_any_result_and_ends_with_one_page_of_summary(nothing, monkeypatch):
    logs, run = [], latex._run
    monkeypatch.setattr(latex, "_run", lambda *of: logs.append(run(*of)) or logs[-1])
    assert write(nothing).stat().st_size > 100_000
    first, last = re.findall(r"unblind: the summary (?:begins|ends) on page (\d+)", logs[-1])
    assert first == last == re.search(r"\((\d+) pages,", logs[-1])[1]


@needs_tex
def test_nothing_is_written_if_the_report_does_not_fit(nothing, monkeypatch):
    long = " ".join([r"\noindent\rule{30cm}{1pt}"] * 2)
    monkeypatch.setattr(
        build,
        "render",
        lambda *_: f"\\documentclass{{article}}\\begin{{document}}{long}\\end{{document}}",
    )
    with pytest.raises(UnblindError, match="does not fit its page: Overfull"):
        write(nothing)
    assert not Path("results/paper.pdf").exists()
    assert not Path("results/paper.pdf.meta.json").exists()


def test_the_command_needs_tex(monkeypatch):
    monkeypatch.setattr(latex, "is_there", lambda: False)
    done = CliRunner().invoke(app, ["paper", "--config", str(studies.MINI)])
    assert isinstance(done.exception, UnblindError) and "sh scripts/tex.sh" in str(done.exception)
