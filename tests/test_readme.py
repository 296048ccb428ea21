"""What the README shows works: its Python, its commands, its links."""

import re

import models
import pytest
import typer

from unblind import cli
from unblind.vla import checkpoint, lora


@pytest.fixture(scope="module")
def readme(request):
    return (request.config.rootpath / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with a base and a run 'align' of a few thousand weights, as the working folder."""
    monkeypatch.chdir(tmp_path)
    base, run = tmp_path / "results" / "base", tmp_path / "results" / "training" / "align" / "0"
    model = models.small()
    checkpoint.save(base, model, models.VOCABULARY, models.STATISTICS.to_json())
    wrapped = lora.add_lora(model, vision=True, seed=0, rank=4, alpha=2)
    lora.save_adapter(wrapped, run, base / checkpoint.WEIGHTS)


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_a_trained_run_acts_in_the_environment(readme, study, renderer, capsys):
    (program,) = blocks(readme, "python")
    exec(compile(program, "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"put .+ on plate (True|False)", said)


def commands(text):
    lines = [line.partition("#")[0] for block in blocks(text, "sh") for line in block.splitlines()]
    return [line.split()[1:] for line in lines if line.startswith(".venv/bin/unblind ")]


def test_every_command_exists_with_its_options(request, readme):
    root = typer.main.get_command(cli.app)
    learning = (request.config.rootpath / "docs" / "learning.md").read_text(encoding="utf-8")
    found = commands(readme) + commands(learning)
    assert len(found) > 10
    for words in found:
        command = root
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, words


def test_every_link_leads_somewhere(request, readme):
    root = request.config.rootpath
    targets = re.findall(r"\]\(([^)#]+)\)", readme)
    assert "docs/learning.md" in targets
    missing = [target for target in targets if not (root / target).exists()]
    assert not missing
    named = re.findall(r"`((?:src|workflow|docs)/[\w./]+)`", readme)
    assert named and not [name for name in named if not (root / name).exists()]
