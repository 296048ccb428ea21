"""What the documentation shows is there: its Python, commands with options, settings, links.

That commands work in the order in which they stand is tested in tests/test_docs_commands.py.
"""

import ast
import importlib
import re
import shlex

import models
import pytest
import toy_study
import typer
from fences import PAGES, ROOT, bare, blocks, commands, read

from unblind import cli
from unblind.audit.defects import ledger
from unblind.cluster import requests
from unblind.config import files
from unblind.config.renamed import OLD_KEYS
from unblind.vla import checkpoint, lora


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with a base and a run 'align' of a few thousand weights, as the working folder."""
    monkeypatch.chdir(tmp_path)
    base, run = tmp_path / "results" / "base", tmp_path / "results" / "training" / "align" / "0"
    model = models.small()
    checkpoint.save(base, model, models.VOCABULARY, models.STATISTICS.to_json())
    wrapped = lora.add_lora(model, vision=True, seed=0, rank=4, alpha=2)
    lora.save_adapter(wrapped, run, checkpoint.load(base).identity)


def test_a_trained_run_acts_in_the_environment(study, renderer, capsys):
    (program,) = blocks(read("README.md"), "python")
    exec(compile(program, "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"put .+ on plate (True|False)", said)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(read(page), "python")])
def test_python_compiles_and_what_it_imports_is_there(page):
    for program in blocks(read(page), "python"):
        for node in ast.walk(ast.parse(program)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


def calls(text):
    """Return the words behind `unblind` of every call in a page's blocks and text."""
    shown = [bare(line) for line in commands(text)]
    inline = re.findall(r"`(?:\.venv/bin/)?unblind ([^`]+)`", text)
    start = ".venv/bin/unblind "
    return [shlex.split(one) for one in inline] + [
        shlex.split(line.removeprefix(start)) for line in shown if line.startswith(start)
    ]


def test_every_command_exists_with_its_options():
    """Words are parsed to the end, values included, and nothing is started."""
    seen = [words for page in PAGES for words in calls(read(page)) if words != ["--help"]]
    assert len(seen) > 80
    for words in seen:
        command, rest = typer.main.get_command(cli.app), list(words)
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        try:
            command.make_context(words[0], rest)
        except Exception as error:
            pytest.fail(f"unblind {shlex.join(words)}: {error!r}")


def test_every_link_leads_somewhere():
    for page in PAGES:
        targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", read(page))
        folder = (ROOT / page).parent
        assert [target for target in targets if not (folder / target).exists()] == [], page
    assert "](docs/troubleshooting.md)" in read("README.md")
    named = re.findall(r"`((?:src|workflow|docs)/[\w./]+)`", read("README.md"))
    assert named and not [name for name in named if not (ROOT / name).exists()]


def edges(diagram):
    """Return the arrows of a diagram by the labels of their ends; `A & B --> C` is two arrows."""
    labels = dict(re.findall(r"(\w+)\[(\w+)\]", diagram))
    return {
        (labels.get(source, source), labels.get(target, target))
        for sources, targets in re.findall(r"^\s*(.+) --> (.+)$", diagram, re.MULTILINE)
        for source in sources.split(" & ")
        for target in targets.split(" & ")
    }


def test_the_graph_is_the_one_that_snakemake_draws(tmp_path):
    (diagram,) = blocks(read("README.md"), "mermaid")
    project = toy_study.make(tmp_path / "study")
    drawn = toy_study.snakemake(project, "--rulegraph", "mermaid-js")
    assert drawn.returncode == 0, drawn.stdout
    assert edges(diagram) == edges(drawn.stdout)


# ---- troubleshooting -------------------------------------------------------------------------

SYMPTOMS = [
    line
    for line in read("docs/troubleshooting.md").splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| You see"))
]


def test_every_symptom_has_a_cause_a_remedy_and_a_command():
    assert len(SYMPTOMS) > 30
    for row in SYMPTOMS:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4 and all(cells), row
        assert "`unblind " in cells[-1], row


def test_defects_and_settings_of_the_symptoms_exist():
    text = "\n".join(SYMPTOMS)
    known = {defect.id for defect in ledger()}
    named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", text)) - {"flash-attn"}
    assert len(named) > 8 and named <= known, named - known
    paper = files.read(ROOT / "workflow" / "config" / "paper.yaml")
    keys = re.findall(rf"`((?:{'|'.join(paper)})(?:\.\w+)+)", text)
    assert len(keys) > 8
    for key in keys:
        value = paper
        for part in key.replace("RULE", "training").split("."):
            assert part in value, key
            value = value[part]


# ---- names that changed ------------------------------------------------------------------------


def test_every_old_key_and_rule_has_its_new_name_on_the_page():
    rows = [
        (set(re.findall(r"`([\w.]+)`", old)), new)
        for old, new in re.findall(
            r"^\| (?:key|rule) \| (.*) \| (.*) \|$", read("docs/decisions.md"), re.MULTILINE
        )
    ]
    for old, new in {**OLD_KEYS, **requests._OLD_NAMES}.items():
        if old == "openvla":
            continue  # the section itself
        (told,) = [names for olds, names in rows if old in olds]
        ends = {name.rpartition(".")[2] for name in re.findall(r"[\w.]+", new)}
        assert "the same" in told or ends - {"and"} <= set(re.findall(r"\w+", told)), old
