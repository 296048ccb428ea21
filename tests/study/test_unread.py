from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import unread

FOLDER = Path(__file__).parents[2] / "workflow" / "config"


@pytest.mark.parametrize("name", ["mini", "smoke", "paper", "twin"])
def test_the_shipped_files_state_nothing_in_vain(name):
    unread.check(FOLDER / f"{name}.yaml", load(FOLDER / f"{name}.yaml"))


@pytest.mark.parametrize(
    ("parent", "text", "key"),
    [
        ("paper", "base: {vlm: {batch: 7}}", "base.vlm.batch"),
        ("paper", "base: {questions: {turns: 2}}", "base.questions.turns"),
        ("twin", "base: {jitter: 0.1}", "base.jitter"),
    ],
)
def test_what_nothing_reads_is_named(parent, text, key, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: {FOLDER / parent}.yaml\n{text}\n")
    with pytest.raises(UnblindError, match=rf"states {key}, which nothing reads"):
        unread.check(file, load(file))


def test_a_base_that_could_be_made_here_is_read(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: {FOLDER}/mini.yaml\nbase: {{vlm: {{batch: 7}}}}\n")
    unread.check(file, load(file))
