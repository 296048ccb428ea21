import shutil
from pathlib import Path

import pytest
import studies

from unblind.audit import build, integrity


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    config = studies.write(studies.settings(tmp_path_factory.mktemp("study") / "results"))
    studies.tabulate(config)
    return config


@pytest.fixture
def study(original, tmp_path, monkeypatch):
    shutil.copytree(original.results, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return studies.settings(Path("results"))


def findings(config):
    found = integrity.findings(config, build.evidence(config), Path("results/audit"))
    return [(one.path, one.problem) for one in found]


def replace(path, old, new):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))


def test_what_was_made_adds_up(study):
    assert findings(study) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("table1.md", "8/16", "9/16"),
        ("table1.csv", "0.8750", "0.9750"),
        ("table1.tex", "Align", "Ours"),
    ],
)
def test_a_number_edited_by_hand_is_found_in_its_line(study, name, old, new):
    path = f"results/{name}"
    text = Path(path).read_text()
    line = text[: text.index(old)].count("\n") + 1
    replace(path, old, new)
    ((place, problem),) = findings(study)
    assert place == f"{path}:{line}"
    assert new in problem.partition("its records")[0]
    assert old in problem.partition("its records")[2]


def test_a_table_edited_together_with_its_sidecar_is_found(study):
    from unblind.files import sha256

    path = Path("results/table1.md")
    before = sha256(path)
    replace(path, "8/16", "9/16")
    replace("results/table1.md.meta.json", before, sha256(path))
    assert findings(study)[0][0].startswith("results/table1.md:")


def test_without_its_inputs_a_table_is_compared_with_its_sidecar(study):
    shutil.rmtree("results/demos")
    assert findings(study) == []
    replace("results/table1.md", "8/16", "9/16")
    assert findings(study) == [("results/table1.md", "its content differs from its sidecar")]


def test_a_record_edited_by_hand_is_found(study):
    path = studies.record(study)
    path.write_bytes(path.read_bytes()[:-1])
    ((place, problem),) = findings(study)
    assert place == "results/rollouts/align/0/carrot.parquet"
    assert "content differs from its sidecar" in problem


def test_a_deleted_record_is_no_finding(study):
    studies.record(study).unlink()
    assert findings(study) == []


def test_other_artifacts_are_compared_with_their_sidecars(study):
    Path("results/demos/manifest.json").write_text("{}")
    assert ("results/demos/manifest.json", "its content differs from its sidecar") in findings(
        study
    )


def test_the_audits_own_pages_are_left_out(study):
    Path("results/audit.md").write_text("old")
    Path("results/audit.md.meta.json").write_text("{}")
    assert findings(study) == []
