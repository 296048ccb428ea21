"""Twins: the same seed gives the same bytes, nothing is half-written, each can be read."""

import os

import commands
import pytest

from unblind import hub, twin
from unblind.errors import UnblindError
from unblind.vla import hub_config


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", twin.KINDS)
def test_same_seed_same_bytes(kind, tmp_path):
    one, two, other = (
        content(twin.make(kind, tmp_path / name, seed))
        for name, seed in (("one", 0), ("two", 0), ("other", 1))
    )
    assert one == two
    assert one.keys() == other.keys() and one != other
    assert not [name for name in one if not name.endswith(hub.SAFE)], "data alone"
    assert sum(map(len, one.values())) < 20 * 2**20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other", "two"]


def test_the_openvla_twin_has_openvla_s_files_and_says_that_it_is_small(tmp_path):
    found = content(twin.make("openvla", tmp_path / "twin"))
    assert {"config.json", "tokenizer.json", "preprocessor_config.json"} < found.keys()
    assert "model.safetensors.index.json" in found and "model-00001-of-00002.safetensors" in found
    assert hub_config.TWIN_SIZES.encode() in found["config.json"]


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UnblindError, match="already holds something"):
        twin.make("openvla", tmp_path)
    with pytest.raises(UnblindError, match="already holds something"):
        twin.make("openvla", tmp_path / "note")
    assert content(tmp_path) == {"note": b"mine"}
    (tmp_path / "empty").mkdir()
    assert twin.make("siglip", tmp_path / "empty") == tmp_path / "empty"


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    from unblind.twin import openvla

    def half(folder, seed):
        (folder / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(openvla.TWINS, "openvla", half)
    with pytest.raises(UnblindError, match="disk full"):
        twin.make("openvla", tmp_path / "twin")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(tmp_path):
    done = commands.run("twin", "siglip", tmp_path / "new", "--seed", 3)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'new'}\n"), done.stderr
    assert content(tmp_path / "new") == content(twin.make("siglip", tmp_path / "again", 3))
    again = commands.problem(commands.run("twin", "siglip", tmp_path / "new"))
    assert "already holds something" in again
    assert commands.run("twin", "llava", tmp_path / "x").returncode == 2
    with pytest.raises(UnblindError, match="there is no twin 'llava'"):
        twin.make("llava", tmp_path / "x")


@pytest.mark.parametrize("kind", ["openvla", "openvla-lora", "radio"])
def test_all_files_can_be_read_by_whom_the_umask_lets(kind, tmp_path):
    before = os.umask(0o022)
    try:
        folder = twin.make(kind, tmp_path / "twin")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
