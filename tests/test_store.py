"""The store with the real DVC, in small repositories that have this one's DVC settings."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from unblind import base, store
from unblind.config import load
from unblind.errors import UnblindError

ROOT = Path(__file__).parents[1]
SETTINGS = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")
SETTINGS += ("results/.gitignore", "dvcstore/.gitattributes")


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_base(folder, seed=0, n=5000):
    """Write a base of `n` random weights."""
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "statistics.json", "config.json.meta.json"):
        (folder / name).write_text(json.dumps({"name": name, "seed": seed}))
    weights = np.random.default_rng(seed).standard_normal(n, dtype=np.float32)
    save_file({"weights": weights}, folder / "model.safetensors")
    (folder / "training.jsonl").write_text("not part of a base\n")
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def state():
    """All that promoting may change: pulled base, pointers, store."""
    return contents(Path("results")), contents(Path("dvcstore"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("made") / "base")


@pytest.fixture(scope="module")
def published(made, tmp_path_factory):
    """A repository with a committed base."""
    folder = tmp_path_factory.mktemp("published")
    for name in SETTINGS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        base.promote(made)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "base")
    return folder


@pytest.fixture
def clone(published, tmp_path, monkeypatch):
    """A fresh clone, in which the test runs."""
    git(tmp_path, "clone", "-q", str(published), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def blob(clone, name):
    """Return where the store keeps a file of the base."""
    (listing,) = clone.glob("dvcstore/files/md5/*/*.dir")
    (entry,) = (e for e in json.loads(listing.read_bytes()) if e["relpath"] == name)
    place = clone / "dvcstore/files/md5" / entry["md5"][:2] / entry["md5"][2:]
    place.chmod(0o644)
    return place


def test_git_has_pointer_and_store_and_nothing_of_the_base(published):
    tracked = git(published, "ls-files").split()
    assert "results/base.dvc" in tracked
    assert sum(name.startswith("dvcstore/files/") for name in tracked) == 6  # 5 files, 1 listing
    assert not [name for name in tracked if name.startswith("results/base/")]
    assert git(published, "status", "--porcelain") == ""


def test_a_clone_pulls_the_same_bytes_with_an_empty_environment(made, clone):
    command = [sys.executable, "-m", "unblind.cli", "base", "pull"]
    source = {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=source, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "results/base: pulled\n"), done.stderr
    wanted = contents(made)
    del wanted["training.jsonl"]
    assert contents(clone / "results/base") == wanted
    assert git(clone, "status", "--porcelain") == ""


def test_pulling_again_needs_no_dvc_and_mends_what_is_gone(clone, monkeypatch):
    assert base.pull_base() is True
    (clone / "results/base/config.json").unlink()
    assert base.pull_base() is True
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert base.pull_base() is False


def test_a_changed_base_is_not_overwritten(clone):
    base.pull_base()
    (clone / "results/base/config.json").write_text("{}")
    before = state()
    with pytest.raises(UnblindError, match=r"results/base was changed.*move results/base away"):
        base.pull_base()
    assert state() == before


def flip(place):
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [(Path.unlink, "is missing"), (flip, "is corrupt: its checksum differs")],
)
def test_a_damaged_store_is_one_clear_error(clone, damage, words):
    place = blob(clone, "model.safetensors")
    damage(place)
    with pytest.raises(UnblindError) as caught:
        base.pull_base()
    assert f"{place.relative_to(clone)} {words}" in str(caught.value)
    assert "git checkout -- dvcstore; or 'rebuild_base: true' makes it" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (clone / "results/base").exists()
    git(clone, "checkout", "--", "dvcstore")
    assert base.pull_base() is True, "the remedy helps"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ERROR: unexpected error - database or disk is full", r"disk full .*\(free space, then"),
        ("ERROR: [Errno 28] No space left on device: 'x'", r"disk full .*\(free space, then"),
        ("ERROR: Unable to locate credentials", r"dvc pull failed: Unable .*\(put credentials"),
        ("", r"dvc pull failed: no reason given \(see: python -m dvc doctor\)"),
    ],
)
def test_what_dvc_says_becomes_one_line_with_a_remedy(said, told, monkeypatch):
    text = f"{said}\n\nHaving any troubles? Hit us up at https://dvc.org/support\n"
    done = subprocess.CompletedProcess([], 255, "", text)
    monkeypatch.setattr(store.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(UnblindError, match=told) as error:
        store._dvc("pull")
    assert "troubles" not in str(error.value) and "\n" not in str(error.value)


def test_pointer_and_dvc_must_be_there(clone, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnblindError, match=r"DVC is not installed .run: make setup"):
        base.pull_base()
    Path("results/base.dvc").write_text("outs: 1\n")
    with pytest.raises(UnblindError, match=r"base\.dvc is unreadable .*git checkout -- results"):
        base.pull_base()
    Path("results/base.dvc").unlink()
    with pytest.raises(UnblindError, match=r"base\.dvc is missing .'rebuild_base: true' makes it"):
        base.pull_base()


def test_a_new_base_replaces_the_old_one_everywhere(clone, tmp_path):
    base.pull_base()
    old = blob(clone, "model.safetensors")
    sizes = base.promote(make_base(tmp_path / "new", seed=1))
    assert sizes == {name: len(data) for name, data in contents(Path("results/base")).items()}
    assert store.is_whole(store.PULLED_BASE)
    assert not old.exists(), "nothing names it any more"
    assert len(contents(clone / "dvcstore/files")) == 6
    assert {path.name for path in Path("results").iterdir()} == {".gitignore", "base", "base.dvc"}


def broken_push(target):
    store._dvc("push", "--remote", "embedded", str(store.pointer_path(target)))
    raise UnblindError("dvc push failed")


def test_a_failed_promotion_changes_nothing(clone, tmp_path, monkeypatch):
    base.pull_base()
    before = state()
    monkeypatch.setattr(store, "push", broken_push)
    with pytest.raises(UnblindError, match="dvc push failed"):
        base.promote(make_base(tmp_path / "new", seed=1))
    assert state() == before


def drop(folder):
    (folder / "tokenizer.json").unlink()
    return r"no complete base: tokenizer\.json missing"


def truncate(folder):
    place = folder / "model.safetensors"
    place.write_bytes(place.read_bytes()[:-9])
    return r"model\.safetensors is corrupt"


def spoil(folder):
    (folder / "config.json").write_text("{")
    return r"config\.json is corrupt"


def swell(folder):
    (folder / "vlm.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return r"has [\d,]+ bytes, more than 20,000,000"


@pytest.mark.parametrize("damage", [drop, truncate, spoil, swell])
def test_what_is_no_publishable_base_is_refused(damage, tmp_path, monkeypatch):
    n = 2_500_000 if damage is swell else 10  # twice 10 MB
    folder = make_base(tmp_path / "new", n=n)
    monkeypatch.chdir(tmp_path)
    words = damage(folder)
    with pytest.raises(UnblindError, match=words):
        base.promote(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"new"}


def test_other_things_in_the_place_of_the_base_are_kept(clone, made):
    Path("results/base/demos").mkdir(parents=True)
    with pytest.raises(UnblindError, match="results/base also holds demos"):
        base.promote(made)
    assert Path("results/base/demos").is_dir()


def test_the_hash_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # RFC 1321's example
    assert store.md5(tmp_path / "abc") == "900150983cd24fb0d6963f7d28e17f72"


def test_which_base_is_used():
    mini = ROOT / "workflow" / "config" / "mini.yaml"
    assert store.base_dir(load(mini)) == Path("results/base")
    assert store.base_dir(load(mini, {"results": "elsewhere"})) == Path("results/base")
    rebuilt = load(mini, {"results": "elsewhere", "rebuild_base": True})
    assert store.base_dir(rebuilt) == Path("elsewhere/rebuilt-base")
