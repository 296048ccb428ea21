"""The tour (docs/tour.md) with the real simulator: its files, commands and programs as they stand.

About 100 CPU-seconds, most of them for starting processes with a simulator. What is stored is not
asked for here: tests/test_docs_commands.py does that.
"""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import toy_study
from fences import ROOT, blocks, read

from unblind import config
from unblind.teachers import registry

TOUR = read("docs/tour.md")
#: Blocks that are files bear their name in the first line.
_NAMED = re.compile(r"# ([\w.]+)\n")


def files():
    """Return name and text of every file that the page shows."""
    shown = [text for language in ("yaml", "python") for text in blocks(TOUR, language)]
    return {match[1]: text for text in shown if (match := _NAMED.match(text))}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a study needs, with the page's files in it."""
    folder = tmp_path_factory.mktemp("a reader's")
    for name in ("src", "workflow", "profiles", "paper"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / ".venv").symlink_to(sys.prefix)
    for name, text in files().items():
        (folder / name).write_text(text)
    return folder


def test_a_policy_of_one_s_own_is_a_row_of_the_table(checkout):
    (script,) = [text for text in blocks(TOUR, "sh") if "forward.py" in text]
    environment = toy_study.environment(checkout) | {"PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        ["sh", "-ec", script],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=1500)
    finally:  # the server, should a command have failed
        if process.poll() is None or process.returncode:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said[-3000:]
    records = checkout / "results-tour" / "rollouts" / "forward" / "0"
    assert len(list(records.glob("*.parquet"))) == 14
    rows = (checkout / "results-tour" / "table1.md").read_text().splitlines()
    assert [row for row in rows if row.startswith("| **Forward** |")]


def test_the_last_study_says_nothing_wrong_but_the_teacher_that_is_not_there(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    monkeypatch.setitem(registry.TEACHERS, "shallow", registry.Lite("lite2", 12))
    study = config.load("shallow.yaml")
    assert study.of("shallow").training.align.teacher == "shallow"
    assert study.of("align").training.align.teacher == "lite2"


def programs():
    return [text for text in blocks(TOUR, "python") if not _NAMED.match(text)]


def test_a_condition_of_one_s_own_has_its_objects_and_places(renderer, capsys):
    program, _ = programs()
    names = {}
    exec(compile(program, "docs/tour.md", "exec"), names)
    episode = names["episode"]
    assert 16 <= episode.object_index < 25 and episode.condition == "far_carrot"
    assert names["obs"]["image"].shape == (1, 96, 128, 3)
    assert re.fullmatch(r"put .+ on plate \(.+\) False", capsys.readouterr().out.strip())


def test_a_teacher_of_one_s_own_gives_the_student_s_grid(monkeypatch, capsys):
    monkeypatch.setitem(registry.TEACHERS, "shallow", None)  # removed again at the end
    _, program = programs()
    exec(compile(program, "docs/tour.md", "exec"), {})
    assert "torch.Size([2, 64, " in capsys.readouterr().out


def test_every_file_is_used():
    commands = "".join(blocks(TOUR, "sh"))
    assert [name for name in files() if name not in commands] == []
