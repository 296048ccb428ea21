"""Tracing from any folder: the study of the file itself is found, whatever the working folder."""

import json
import shutil
from pathlib import Path

import pytest
import whole_study
import yaml
from test_trace import DEMOS, RECORD, TABLE, WEIGHTS, call

from unblind.config.files import read
from unblind.custody import roots
from unblind.errors import UnblindError
from unblind.study import provenance


@pytest.fixture
def elsewhere(study, tmp_path, monkeypatch):
    """Another working folder, beside the study."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "study"


@pytest.mark.parametrize("options", [(), ("--json",), ("--every-file",)])
@pytest.mark.parametrize("path", [TABLE, RECORD, DEMOS.with_name("train-00001.parquet")])
def test_a_trace_is_the_same_from_every_folder(study, path, options, tmp_path, monkeypatch):
    Path("Snakefile").touch()  # a shard's manifest was made from no file that would tell
    at_home = call(path, *options)
    assert at_home.exit_code == 0
    for folder, name in ((tmp_path, Path("study", path)), (Path("/"), Path.cwd() / path)):
        monkeypatch.chdir(folder)
        with pytest.warns(UserWarning, match=rf"paths are relative to {tmp_path}/study$"):
            done = call(name, *options)
        assert (done.exit_code, done.stdout) == (0, at_home.stdout)


def test_inputs_are_there_though_the_working_folder_has_none(elsewhere):
    with pytest.warns(UserWarning, match="paths are relative"):
        files = json.loads(call(elsewhere / TABLE, "--json").stdout)["files"]
    assert {one["state"] for file in files for one in file["inputs"]} == {"as read"}
    assert files[0]["path"] == str(TABLE)


@pytest.mark.parametrize("sign", ["Snakefile", "workflow/config", ".dvc"])
def test_signs_of_a_checkout_tell_where_inputs_would_be(elsewhere, sign):
    """Of a study with pulled adapters alone nothing else is there that an adapter was made from."""
    for path in elsewhere.iterdir():
        if path.name != "results":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("base", "demos", "features"):
        shutil.rmtree(elsewhere / "results" / name)
    assert roots.root(elsewhere / WEIGHTS) is None
    (elsewhere / sign).mkdir(parents=True)
    assert roots.root(elsewhere / WEIGHTS) == elsewhere


def test_a_file_that_lies_alone_is_said_to_have_no_study(elsewhere, tmp_path):
    for path in (TABLE, provenance.sidecar_path(TABLE)):
        shutil.copy(elsewhere / path, tmp_path / path.name)
    said = rf"no study lies around ../table1.md: its inputs are looked for in {tmp_path}/elsewhere$"
    with pytest.warns(UserWarning, match=said):
        done = call("../table1.md")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == str(tmp_path / "table1.md")
    assert "  not here" in done.stdout


def test_results_outside_the_checkout_are_traced_from_it(study, tmp_path):
    shutil.move("results/rollouts", tmp_path / "scratch")
    record = tmp_path / "scratch" / RECORD.relative_to("results/rollouts")
    assert roots.root(record) == Path.cwd() == tmp_path / "study"
    assert "not here" not in call(record).stdout


def test_settings_are_those_of_the_files_study(elsewhere):
    Path("mine.yaml").write_text(yaml.safe_dump(read(whole_study.SMOKE)))
    words = (elsewhere / RECORD, *whole_study.OPTIONS[:-2], "--set", "training.rank=8")
    with pytest.warns(UserWarning, match="paths are relative"):
        for named in ((), ("--config", "mine.yaml")):
            error, needed = call(*words, *named).exception, "paper" if named else "mini"
            cause = f"no study in {elsewhere}: workflow/config/{needed}.yaml is not there"
            assert error.cause == cause
    shutil.copytree(whole_study.PAPER.parent, elsewhere / "workflow" / "config")
    shutil.copy("mine.yaml", elsewhere / "workflow" / "config" / "mini.yaml")
    with pytest.warns(UserWarning, match="paths are relative"):
        for named in ((), ("--config", "mine.yaml")):
            assert "CHANGED SINCE: config changed: training.rank 4 -> 8\n" in (
                call(*words, *named).stdout
            )


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("results/absent.md", "results/absent.md is missing"),
        ("results", "results is a folder"),
        ("paper-claims", "paper-claims has no sidecar"),
        (f"results/{'x' * 300}", "is missing"),
    ],
)
def test_other_files_are_named_as_they_were_typed(elsewhere, name, cause):
    error = call(elsewhere / name).exception
    assert isinstance(error, UnblindError)
    assert str(elsewhere) in error.cause and error.cause.endswith((cause, "artifact of a study"))
