"""What a long step says of itself."""

import os
import pty
import re
import subprocess
import sys
import termios

from unblind.progress import Progress

PROGRAM = """
import time
from unblind.progress import Progress
progress = Progress("frames", 3, 2.0)
for _ in range(3):
    time.sleep(0.15)
    progress.advance()
"""


def test_the_cost_comes_first_and_lines_are_rare(capsys):
    progress = Progress("frames", 1000, 0.5, every_s=60)
    for _ in range(999):
        progress.advance()
    first, *none = capsys.readouterr().err.splitlines()
    assert first == "frames: 1000 to do, about 500 CPU-seconds" and none == []
    progress.advance()
    assert capsys.readouterr().err == "frames: 1000/1000, 0 s elapsed, 0 s left\n"


def test_lines_come_as_often_as_asked_and_nothing_follows_the_last(capsys):
    progress = Progress("frames", 4, 0.0, every_s=0.0)
    for _ in range(2):
        progress.advance(2)
    del progress
    lines = ["frames: 4 to do", "frames: 2/4, 0 s elapsed, 0 s left"]
    assert capsys.readouterr().err.splitlines() == [*lines, lines[1].replace("2/4", "4/4")]


def test_nothing_to_do_is_one_line(capsys):
    Progress("frames", 0, 2.0).advance(0)
    assert capsys.readouterr().err == "frames: 0 to do, about 0 CPU-seconds\n"


def test_a_terminal_shows_a_bar():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    subprocess.run([sys.executable, "-c", PROGRAM], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    assert shown.startswith("frames: 3 to do, about 6 CPU-seconds")
    assert re.search(r"\rframes:  33%\|.*1/3, 0 s elapsed, 0 s left", shown)
    assert re.search(r"\rframes: 100%\|.*3/3, .* 0 s left\r\n$", shown)
