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
from typer.testing import CliRunner

from unblind import cli
from unblind.config import load
from unblind.errors import UnblindError
from unblind.study import dvc, jobs, store
from unblind.study import pulled_base as base

ROOT = Path(__file__).parents[2]
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
    for name in ("model.safetensors", "vlm.safetensors"):
        save_file({"weights": weights}, folder / name)
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
    monkeypatch.setattr(dvc.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(UnblindError, match=told) as error:
        dvc.run("pull")
    assert "troubles" not in str(error.value) and "\n" not in str(error.value)


def test_a_long_complaint_is_cut_and_kept(clone, monkeypatch):
    said = "\n".join(f"ERROR: café {number} {'x' * 50}" for number in range(100))
    done = subprocess.CompletedProcess([], 255, "", said)
    monkeypatch.setattr(dvc.subprocess, "run", lambda *_, **__: done)
    error, log = refused(lambda: dvc.run("add"))
    assert error.cause.startswith("dvc add failed: café 0 xxx")
    assert error.cause.endswith("...") and len(error.cause) < 330
    assert log.splitlines() == [line.removeprefix("ERROR: ") for line in said.splitlines()]
    shutil.rmtree(".dvc")
    with pytest.raises(UnblindError) as caught:
        dvc.run("add")
    assert str(dvc.LOG) not in caught.value.remedy and not Path(".dvc").exists()


def test_dvc_is_understood_whatever_the_encoding_of_the_terminal(clone, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    with pytest.raises(UnblindError, match=r"dvc add failed: .*café"):
        dvc.run("add", "café")


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


# ---- the commands ------------------------------------------------------------------------------


def call(*words):
    """Run a command that fails; return its error."""
    return str(CliRunner().invoke(cli.app, words).exception)


def test_a_name_without_a_pointer_is_refused_before_anything_is_pulled(clone):
    shutil.copy("results/base.dvc", "results/training.dvc")
    for names in (["rollouts"], ["base", "rollouts"]):
        wanted = "the pointer results/rollouts.dvc is missing (there are: base, training)"
        assert call("pull", *names) == wanted
    assert not Path("results/base").exists()


def test_several_are_pulled_at_once_and_those_before_one_that_cannot_be(clone, monkeypatch):
    Path("results/one").write_text("1")
    store.add("results/one")
    store.push("results/one")
    asked, run = [], dvc.run
    monkeypatch.setattr(dvc, "run", lambda *words: (asked.append(words), run(*words)))
    for name in ("results/one", ".dvc/cache/files/md5/c4"):  # the hash of "1" begins so
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
    done = CliRunner().invoke(cli.app, ["pull"])
    assert done.stdout == "results/base: pulled\nresults/one: pulled\n"
    pointers = ("results/base.dvc", "results/one.dvc")
    assert asked == [("fetch", *pointers), ("checkout", *pointers)]
    shutil.rmtree("results/base")
    Path("results/one").write_text("mine")
    done = CliRunner().invoke(cli.app, ["pull"])
    assert done.stdout == "results/base: pulled\n"
    assert "results/one was changed" in str(done.exception)
    assert Path("results/one").read_text() == "mine"


@pytest.mark.parametrize("folder", ["kept", "deleted"])
def test_a_checkout_without_pointers_has_nothing_to_pull(clone, folder):
    shutil.rmtree("results")
    if folder == "kept":
        Path("results").mkdir()
    before = contents(clone)
    wanted = "nothing can be pulled: results/ has no pointers (*.dvc) (restore them: git checkout"
    assert call("pull").startswith(wanted)
    assert call("pull", "base").startswith("nothing can be pulled")
    assert call("base", "pull").startswith("the pointer results/base.dvc is missing (")
    assert Path("results").exists() == (folder == "kept")
    assert contents(clone) == before


# ---- another store -----------------------------------------------------------------------------


LOCAL = Path(".dvc/config.local")


@pytest.fixture(scope="module")
def pushed(published, tmp_path_factory):
    """A folder with a clone, and with another that is its default store and has the base."""
    folder = tmp_path_factory.mktemp("pushed")
    (folder / "team").mkdir()
    git(folder, "clone", "-q", str(published), "clone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "clone")
        base.pull_base()
        dvc.run("remote", "add", "--local", "--default", "team", str(folder / "team"))
        store.push(store.PULLED_BASE, remote=None)
    return folder


@pytest.fixture
def team(pushed, clone, tmp_path):
    """A folder that is the clone's default store; nothing of the base is in the clone."""
    settings = (pushed / "clone" / LOCAL).read_text()
    (clone / LOCAL).write_text(settings.replace(str(pushed), str(tmp_path)))
    return shutil.copytree(pushed / "team", tmp_path / "team")


def objects(folder):
    """Return the contents in a store: those of files, and the list of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    (listing,) = (path for path in files if path.suffix == ".dir")
    return [path for path in files if path != listing], listing


def refused(call=base.pull_base):
    """Return the error of a call, which is short, and what the log has of it."""
    with pytest.raises(UnblindError) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert str(dvc.LOG) in caught.value.remedy
    return caught.value, dvc.LOG.read_text()


@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_store_that_lacks_files_is_named_with_their_number_and_what_helps(clone, team, n):
    gone = objects(team)[0][:n]
    for path in gone:
        path.unlink()
    error, log = refused()
    assert (
        error.cause == f"remote 'team' ({team}) lacks {n} of the contents of results/base (6 files)"
    )
    assert error.remedy.startswith("push them from where they are: dvc push --remote team; or ")
    assert all(path.parent.name + path.name in log for path in gone)
    assert git(clone, "status", "--porcelain") == "", "git ignores the log"
    assert not Path("results/base").exists()
    dvc.run("pull", "--remote", "embedded", "results/base.dvc")
    assert "pull them from dvcstore: dvc pull --remote embedded results/base.dvc" in error.remedy
    assert store.is_whole(store.PULLED_BASE)


def test_files_that_the_embedded_store_lacks_too_are_not_looked_for_there(clone, team):
    for path in (objects(team)[0][0], blob(clone, "model.safetensors")):
        path.unlink()
    error, _ = refused()
    assert "lacks 1 of the contents" in error.cause
    assert "embedded" not in error.remedy
    assert "or 'rebuild_base: true' makes it instead" in error.remedy


@pytest.mark.parametrize("here", ["nothing", "a part"])
def test_a_store_without_the_list_of_files_is_named(team, here):
    if here == "a part":
        dvc.run("pull", "--remote", "embedded", "results/base.dvc")
        shutil.rmtree(".dvc/cache")
        Path("results/base/config.json").unlink()
    before = contents(Path("results"))
    objects(team)[1].unlink()
    error, log = refused()
    lacks = "lacks the list of the 6 files of results/base, or cannot be reached"
    assert error.cause == f"remote 'team' ({team}) {lacks}"
    assert "Missing cache files" in log
    assert contents(Path("results")) == before


def test_a_store_whose_folder_is_gone_is_named(team):
    shutil.rmtree(team)
    error, _ = refused()
    assert error.cause == f"remote 'team' ({team}) is no folder"
    assert error.remedy.startswith("mount it, or name another one: see docs/storage.md")


def test_a_stored_file_that_is_lacking_is_one_file(team):
    Path("results/one").write_text("1")
    store.add("results/one")
    for path in ("results/one", ".dvc/cache"):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    error, _ = refused(lambda: store.pull("results/one"))
    assert "lacks the content of results/one, or cannot be reached" in error.cause


def test_credentials_of_an_address_are_never_told(team):
    address = "http://joe:s3cret@127.0.0.1:9/team?token=t0ken"  # nobody listens there
    dvc.run("remote", "modify", "--local", "team", "url", address)
    error, log = refused()
    assert error.cause.startswith("remote 'team' (http://127.0.0.1:9/team) lacks the list of the 6")
    for secret in ("joe", "s3cret", "t0ken"):
        assert secret not in str(error) + log


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("ssh://user@host:22/srv", "ssh://host:22/srv"),
        ("https://u:p@ss@host/x?sig=1#f", "https://host/x"),
        ("https://u:p/w@host/x", "https://host/x"),
        ("https://host:8080", "https://host:8080"),
        ("at 'https://u:p@h/x' and http://t@g", "at 'https://h/x' and http://g"),
        ("/mnt/a@b?c", "/mnt/a@b?c"),
    ],
)
def test_an_address_without_credentials(address, shown):
    assert dvc.public(address) == shown


def test_many_alike_failures_are_told_once(team):
    for path in objects(team)[0]:
        path.unlink()
        path.mkdir()
    error, log = refused()
    assert "Is a directory" in error.cause and "(and 4 more)" in error.cause
    assert log.count("Is a directory") == 5
    assert not Path("results/base").exists()


def test_contents_that_are_nowhere_are_not_taken_for_pushed(team):
    dvc.run("pull", "--remote", "embedded", "results/base.dvc")
    for path in (".dvc/cache", team / "files"):
        shutil.rmtree(path)

    def push():
        store.push(store.PULLED_BASE, remote=None)

    error, _ = refused(push)
    wanted = f"6 contents of results/base are neither in .dvc/cache nor in remote 'team' ({team})"
    assert error.cause == wanted
    assert error.remedy.startswith("run: dvc add results/base, then the same command")
    store.add(store.PULLED_BASE)
    push()
    assert len(objects(team)[0]) == 5


# ---- publishing another base ---------------------------------------------------------------------


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
    dvc.run("push", "--remote", "embedded", str(store.pointer_path(target)))
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
    assert jobs.base_folder(load(mini)) == Path("results/base")
    assert jobs.base_folder(load(mini, {"results": "elsewhere"})) == Path("results/base")
    rebuilt = load(mini, {"results": "elsewhere", "rebuild_base": True})
    assert jobs.base_folder(rebuilt) == Path("elsewhere/rebuilt-base")
