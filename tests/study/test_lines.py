"""Which changed lines ran: statements by their first lines, errors and texts left out."""

import subprocess
from textwrap import dedent

import pytest

from unblind.study import lines

SOURCE = dedent(
    '''\
    """A module."""

    import json
    from typing import TYPE_CHECKING

    if TYPE_CHECKING:
        from pathlib import Path

    SIZE = 3


    @staticmethod
    def total(numbers, start=0.0):
        """Add."""
        if not numbers:
            reason = "none"
            raise ValueError(
                reason
            )
        for number in numbers:
            start += max(
                number,
                SIZE,
            )
        if start < 0:
            start = 0.0
        else:
            start += 1
        return start
    '''
)
LINES = {text.strip(): number for number, text in enumerate(SOURCE.splitlines(), 1)}
HEAD = {3, 4, 9, 12, 13}  # what an import executes
RAN = HEAD | {15, 20, 21, 25, 28, 29}


def test_all_lines_of_a_module_that_ran_but_one_branch():
    everything = range(1, len(SOURCE.splitlines()) + 1)
    assert lines.never_ran(SOURCE, everything, RAN) == [LINES["start = 0.0"]]


def test_a_module_that_was_only_imported():
    everything = range(1, len(SOURCE.splitlines()) + 1)
    named = lines.never_ran(SOURCE, everything, HEAD)
    assert named == [15, 20, 21, 25, 26, 28, 29]


@pytest.mark.parametrize(
    ("touched", "named"),
    [
        ("number,", [21]),  # inside a statement of several lines
        ("reason", []),  # only leads to an error
        ("from pathlib import Path", []),
        ('"""Add."""', []),
        ("if start < 0:", [25]),
        ("else:", []),
        ("start += 1", [28]),
    ],
)
def test_a_touched_line_stands_for_its_statement(touched, named):
    assert lines.never_ran(SOURCE, {LINES[touched]}, HEAD) == named
    assert lines.never_ran(SOURCE, {LINES[touched]}, RAN) == []


def test_lines_of_a_moved_file_are_those_that_differ(tmp_path):
    def git(*words):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run([*command, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (tmp_path / "src" / "a").mkdir(parents=True)
    (tmp_path / "src" / "a" / "old.py").write_text("".join(f"x{n} = {n}\n" for n in range(20)))
    (tmp_path / "src" / "gone.py").write_text("x = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    first = git("rev-parse", "HEAD")
    (tmp_path / "src" / "b").mkdir()
    git("mv", "src/a/old.py", "src/b/new.py")
    git("rm", "-q", "src/gone.py")
    moved = tmp_path / "src" / "b" / "new.py"
    moved.write_text(moved.read_text().replace("x3 = 3", "x3 = 4") + "y = 1\nz = 2\n")
    (tmp_path / "src" / "data.tsv").write_text("a\n")
    git("add", ".")
    git("commit", "-qm", "second")
    assert lines.changed(tmp_path, first) == {
        "src/b/new.py": {4, 21, 22},
        "src/data.tsv": {1},
    }
    assert lines.changed(tmp_path, "HEAD") == {}
