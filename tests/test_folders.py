import pytest

from unblind import folders
from unblind.errors import UnblindError


def test_a_folder_is_there_when_its_block_has_ended(tmp_path):
    with folders.new(tmp_path / "above" / "new") as temporary:
        (temporary / "file").write_text("x")
        assert not (tmp_path / "above" / "new").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["above", "new", "file"]


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), folders.new(tmp_path / "new") as temporary:
        (temporary / "file").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    leftover = tmp_path / ".new.0123abcd.tmp"
    leftover.mkdir()
    (leftover / "half").write_text("x")
    with folders.new(tmp_path / "new"):
        assert not leftover.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("state", ["a file", "a folder that holds something"])
def test_what_is_there_stays(state, tmp_path):
    taken = tmp_path / "new"
    if state == "a file":
        taken.write_text("mine")
    else:
        (taken / "mine").mkdir(parents=True)
    with pytest.raises(UnblindError, match="new already holds something"), folders.new(taken):
        raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "new").mkdir()
    with folders.new(tmp_path / "new") as temporary:
        (temporary / "file").write_text("x")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
