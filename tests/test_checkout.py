"""Commands in a folder that is no checkout: those of a study say where to run, others just run."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from unblind import checkout, cli
from unblind.errors import UnblindError

ROOT = Path(__file__).parents[1]
MINI = "workflow/config/mini.yaml"
#: Commands of a study, with what each needs first.
OF_A_STUDY = {
    ("pull",): ".dvc/config",
    ("ablation", "6"): "workflow/config/ablations.yaml",
    ("defects",): "workflow/config/defects.yaml",
    ("pull", "base"): ".dvc/config",
    ("base", "pull"): ".dvc/config",
    ("base", "promote", "x"): ".dvc/config",
    **{
        tuple(words.split()): MINI
        for words in (
            "answers --run base",
            *("audit", "bench", "cluster-check", "costs", "crate out", "demos", "paper", "publish"),
            *("features low", "hyperparameters 9", "predict p.png carrot", "replay", "survey"),
            *("prove HEAD", "convert x y --to rlds", "serve --run align", "site"),
            *("attention --run base", "collapse --run base", "drift --run align", "frames"),
            *("gradients --run align", "landscape", "probe --run base", "probe-pictures"),
            *("probe-references", "contrastive", "contrastive --pictures", "probe-teacher"),
            *("think --run oracle", "think-answers --frames", "think-answers --run base"),
            *("table2", "table3", "figure2c", "figure4", "figure5", "forgetting"),
            *("rollout --run oracle", "table1", "train --run align", "verify", "watch carrot 5"),
            "compare carrot",
            *(
                "base fetch",
                "base held-out",
                "base questions",
                "base tower",
                "base vlm",
                "base robot",
                "base warm-up",
            ),
            *(f"answerer {verb} --run x" for verb in ("fetch", "ask", "attention", "collapse")),
            *("audit --out here", "demos --out here", "rollout --run oracle --out here"),
        )
    },
    ("costs", "--scale", "smoke"): "workflow/config/smoke.yaml",
    ("costs", "--page", "--config", str(ROOT / MINI)): "workflow/config/paper.yaml",
    ("verify", "--config", str(ROOT / MINI)): "workflow/config/paper.yaml",
    ("trace", "results/table1.md"): "results/table1.md",
    ("schema", "--write"): "workflow/config/schema.json",
}
ANYWHERE = {"bench-gpu", "catalog", "cluster-probe", "conditions", "decode", "doctor", "openvla"}
ANYWHERE |= {"assets assemble", "merge", "schema", "twin"}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(command, before=()):
    """Yield the words that call each command."""
    for name, one in getattr(command, "commands", {}).items():
        yield from names(one, (*before, name))
    if not hasattr(command, "commands"):
        yield before


def test_every_command_is_known_to_need_a_study_or_not():
    known = {words[:2] if words[0] in ("answerer", "base") else words[:1] for words in OF_A_STUDY}
    assert set(names(get_command(cli.app))) == known | {tuple(name.split()) for name in ANYWHERE}


@pytest.mark.parametrize("words", OF_A_STUDY, ids=" ".join)
def test_a_command_of_a_study_says_where_to_run_it_and_leaves_nothing_behind(words, elsewhere):
    error = CliRunner().invoke(cli.app, words).exception
    assert isinstance(error, UnblindError)
    assert error.cause == f"no study in {elsewhere}: {OF_A_STUDY[words]} is not there"
    where = f"run it in the folder of the checkout, such as {ROOT},"
    assert error.remedy == f"{where} where Snakefile and workflow/ lie"
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("words", [["pull"], ["base", "pull"], ["verify"]])
def test_that_is_one_line_and_exit_code_1(words, tmp_path):
    command = [sys.executable, "-m", "unblind.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: no study in {tmp_path}: ") and str(ROOT) in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", ["conditions", "decode carrot 5", "catalog", "schema", "--help", "base --help"]
)
def test_commands_that_need_no_study_run_in_any_folder(words, elsewhere):
    done = CliRunner().invoke(cli.app, words.split())
    assert (done.exit_code, bool(done.stdout)) == (0, True)
    assert list(elsewhere.iterdir()) == []


def test_a_missing_configuration_that_was_named_is_named_again(elsewhere):
    for name in ("mine.yaml", str(elsewhere / "mine.yaml"), str(elsewhere / MINI)):
        error = CliRunner().invoke(cli.app, ["verify", "--config", name]).exception
        assert error.cause == f"cannot read configuration {name}: No such file or directory"
        assert error.remedy == "name an existing file", "no file that is not there either"


def make_checkout(folder):
    (folder / "workflow" / "config").mkdir(parents=True)
    (folder / "Snakefile").touch()
    return folder


def test_a_checkout_that_lacks_the_file_is_no_wrong_folder(elsewhere):
    make_checkout(elsewhere)
    checkout.require(Path(MINI))
    error = CliRunner().invoke(cli.app, ["verify"]).exception
    assert str(error) == (
        f"cannot read configuration {MINI}: No such file or directory (name an existing file)"
    )


def test_the_nearest_checkout_is_named(tmp_path, monkeypatch):
    make_checkout(tmp_path / "a study")
    inside = tmp_path / "a study" / "workflow" / "config"
    monkeypatch.chdir(inside)
    with pytest.raises(UnblindError, match=rf"no study in {inside}: .*such as {tmp_path}/a study,"):
        checkout.require(Path(MINI))


def test_without_any_known_checkout_its_signs_are_told(elsewhere, monkeypatch):
    monkeypatch.setattr(checkout, "__file__", "/usr/lib/python3/site-packages/unblind/checkout.py")
    with pytest.raises(UnblindError) as caught:
        checkout.require(Path("x" * 300))  # no file can have this name
    assert caught.value.remedy == (
        "this command needs a checkout: clone the project and run it in the folder where Snakefile "
        "and workflow/ lie"
    )


@pytest.mark.parametrize("words", [["pull"], ["verify"], ["trace", "x"], ["trace", str(ROOT)]])
def test_a_deleted_working_folder_is_said_to_be_so(words, elsewhere):
    elsewhere.rmdir()
    error = CliRunner().invoke(cli.app, words).exception
    assert str(error) == "the working folder was deleted (change to another one)"
