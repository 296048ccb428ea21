"""The authors' files laid out from made-up clones, archives and folders, and from the real ones."""

import io
import os
import tarfile
import zipfile

import pytest
from typer.testing import CliRunner

from unblind import cli, files
from unblind.assets.assemble import assemble
from unblind.assets.sources import SourceError
from unblind.errors import UnblindError
from unblind.sim import released_files

CUP = "carrot/more_carrot/017_cup_1/textured.glb"
BOX = "carrot/more_carrot/018_box_1/collision.obj"
TWIN = "carrot/more_plate/001_box_1/collision.obj"
LIST = "carrot/more_carrot/model_db.json"
BOARD = "carrot/more_arrows/model_db.json"
CONTENTS = {CUP: b"cup" * 99, BOX: b"v 0 0 0\n", TWIN: b"v 0 0 0\n", LIST: b"{}", BOARD: b"[]"}


def put(root, contents, at=""):
    for path, content in contents.items():
        place = root / at / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return root


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with all files of a made-up manifest; git's id alone is known of the cup."""
    root = put(tmp_path / "clone", CONTENTS, "ManiSkill/mani_skill/assets")
    rows = {}
    for path, content in CONTENTS.items():
        place = root / "ManiSkill/mani_skill/assets" / path
        rows[path] = released_files.Entry(str(len(content)), files.sha256(place))
    rows[CUP] = released_files.Entry("-", released_files.git_blob_id(place.parents[1] / CUP[7:]))
    boards = {BOARD: rows.pop(BOARD)}
    monkeypatch.setattr(released_files, "manifest", lambda: rows)
    monkeypatch.setattr(released_files, "boards", lambda: boards)
    put(root, {"README.md": b"not wanted", ".git/textured.glb": CONTENTS[CUP]})
    return root


def content_of(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def packed(clone, kind):
    """Return an archive of the clone with the folder that GitHub puts before all names."""
    path = clone.with_suffix(f".{kind}")
    found = [p for p in sorted(clone.rglob("*")) if p.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in found:
                archive.write(file, f"BlindVLA-main/{file.relative_to(clone)}")
    else:
        with tarfile.open(path, "w:gz") as archive:
            for file in found:
                archive.add(file, f"BlindVLA-main/{file.relative_to(clone)}")
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_lays_out_a_clone_or_its_archive(clone, tmp_path, kind):
    source, out = clone if kind == "folder" else packed(clone, kind), tmp_path / "out"
    done = assemble([source], out)
    assert done.complete and done.kept == []
    assert done.copied == dict.fromkeys(CONTENTS, source)
    assert content_of(out) == CONTENTS
    assert released_files.check(out)[1:] == ([], [])


def test_further_folders_give_what_lacks_however_they_are_laid_out(clone, tmp_path):
    (clone / "ManiSkill/mani_skill/assets" / CUP).unlink()
    (clone / ".git/textured.glb").unlink()
    more = put(tmp_path / "download", {"other/textured.glb": b"other", "cup/textured.glb": b"x"})
    first = assemble([clone, more], tmp_path / "out")
    assert (first.missing, first.differing, first.complete) == ([CUP], {}, False)
    assert content_of(tmp_path / "out").keys() == CONTENTS.keys() - {CUP}
    put(more, {"cup/textured.glb": CONTENTS[CUP]})
    second = assemble([clone, more], tmp_path / "out")
    assert second.complete and second.copied == {CUP: more}
    assert set(second.kept) == CONTENTS.keys() - {CUP}


def test_nothing_is_copied_twice(clone, tmp_path):
    out = tmp_path / "out"
    assemble([clone], out)
    before = {path: (out / path).stat().st_ino for path in CONTENTS}
    # A source is not even looked at when nothing lacks.
    done = assemble([tmp_path / "gone"], out)
    assert done.complete and len(done.kept) == len(CONTENTS)
    assert {path: (out / path).stat().st_ino for path in CONTENTS} == before


def test_a_changed_file_is_replaced_or_told(clone, tmp_path):
    out = tmp_path / "out"
    put(out, {CUP: b"cup", BOX: b"v 1 1 1\n"})
    done = assemble([clone], out)
    assert done.complete and content_of(out) == CONTENTS
    put(out, {BOX: b"v 1 1 1\n"})
    done = assemble([tmp_path / "download"], out)
    assert done.differing == {BOX: str(out / BOX)} and done.missing == []
    assert [str(p) for p in done.problems] == [
        f"no folder and no archive at {tmp_path / 'download'} (name a clone, or its archive)"
    ]


def test_a_file_of_other_content_is_told_with_its_place(clone, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    put(clone, {CUP: pointer, LIST: b"[]"}, "ManiSkill/mani_skill/assets")
    (clone / ".git/textured.glb").unlink()
    done = assemble([clone], tmp_path / "out")
    places = {path: clone / "ManiSkill/mani_skill/assets" / path for path in (CUP, LIST)}
    assert done.differing == {CUP: f"{places[CUP]} (a Git LFS pointer)", LIST: str(places[LIST])}
    assert done.missing == [] and not (tmp_path / "out" / CUP).exists()


def test_an_archive_that_leads_out_is_refused(clone, tmp_path):
    for name in ("../../evil", "/etc/evil", "a\\..\\..\\evil", "C:\\evil"):
        bad = tmp_path / "bad.tar"
        with tarfile.open(bad, "w") as archive:
            member = tarfile.TarInfo(name)
            archive.addfile(member, io.BytesIO())
        done = assemble([bad, clone], tmp_path / f"out-{len(name)}")
        assert [type(p) for p in done.problems] == [SourceError]
        assert "leads out of it" in str(done.problems[0])
        assert (done.missing, done.complete) == ([], False)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_damaged_archive_is_one_line(clone, tmp_path, kind):
    whole = packed(clone, kind)
    content = bytearray(whole.read_bytes())
    for damaged in (content[: len(content) // 2], b"", b"no archive"):
        whole.write_bytes(damaged)
        (problem,) = assemble([whole], tmp_path / "out").problems
        assert str(whole) in str(problem) and "\n" not in str(problem)


def test_links_out_of_the_folder_are_not_followed(clone, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "out/carrot")
    with pytest.raises(UnblindError, match="leads out of"):
        assemble([clone], tmp_path / "out")
    assert content_of(tmp_path / "elsewhere") == {}


def test_a_full_disk_leaves_what_was_written_whole(clone, tmp_path, small_disk):
    big = os.urandom(90_000)
    put(clone, {TWIN: big}, "ManiSkill/mani_skill/assets")
    path = clone / "ManiSkill/mani_skill/assets" / TWIN
    released_files.manifest()[TWIN] = released_files.Entry(str(len(big)), files.sha256(path))
    with pytest.raises(UnblindError, match="disk full"):
        assemble([clone], small_disk / "out")
    found = content_of(small_disk / "out")
    assert found and all(CONTENTS[name] == content for name, content in found.items())


def test_the_command_says_what_lacks_and_where_it_is_to_be_had(clone, tmp_path):
    (clone / "ManiSkill/mani_skill/assets" / CUP).unlink()
    (clone / ".git/textured.glb").unlink()
    call = ["assets", "assemble", str(clone), str(tmp_path / "gone"), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(cli.app, call)
    blob = released_files.manifest()[CUP].checksum
    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    assert lines[:2] == [
        f"missing: {CUP} ({blob})",
        f"{tmp_path / 'o'}: 4 copied, 0 kept, 1 lacking",
    ]
    assert "BlindVLA" in done.stdout and "RLinf" in done.stdout
    assert (
        done.stderr.startswith("error: no folder and no archive") and done.stderr.count("\n") == 1
    )
    put(clone, {CUP: CONTENTS[CUP]}, "ManiSkill/mani_skill/assets")
    done = CliRunner().invoke(cli.app, [*call[:3], *call[4:]])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'o'}: 1 copied, 4 kept, 0 lacking\n")


def test_the_real_files_are_laid_out(released_assets, tmp_path):
    """A part of them may be at hand: as many as the manifests find there are copied."""
    store = released_files.Store(released_assets)
    states = {path: store.state(path) for path in released_files.known()}
    done = assemble([released_assets], tmp_path / "out")
    there = [path for path, state in states.items() if state == "present"]
    # Files of the same content stand for each other.
    assert set(there) <= done.copied.keys()
    assert {*done.missing, *done.differing} == states.keys() - done.copied.keys()
    assert set(released_files.check(tmp_path / "out")[0]) <= done.copied.keys()
    assert set(there) & released_files.manifest().keys() <= {
        *released_files.check(tmp_path / "out")[0]
    }
