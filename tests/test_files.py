import os

import pytest

from unblind import files
from unblind.errors import UnblindError

MIB = 2**20


def test_written_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "er" / "file.txt"
    files.write_text(path, "grüße\n")
    assert path.read_bytes() == "grüße\n".encode()
    with pytest.raises(ZeroDivisionError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "grüße\n", "the old file stands until the new one is whole"
        raise ZeroDivisionError
    assert path.read_text() == "grüße\n"
    assert list(path.parent.iterdir()) == [path]


def test_json_is_sorted_and_ends_with_a_newline(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    text = '{\n  "a": [\n    2\n  ],\n  "b": 1\n}\n'
    assert (tmp_path / "a.json").read_text() == text


def test_sha256_of_the_standards_example(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-4's example
    assert files.sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_full_disk_is_one_error_and_leaves_no_half_file(small_disk):
    path = small_disk / "big"
    path.write_bytes(b"old")
    with pytest.raises(UnblindError, match=f"disk full while writing {path} .free space"):
        files.write_text(path, "x" * 2 * MIB)
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


def test_a_full_disk_is_seen_through_arrow(small_disk):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    noise = pa.table({"x": np.random.default_rng(0).random(2 * MIB // 8)})
    path = small_disk / "big.parquet"
    with pytest.raises(UnblindError, match="disk full"), files.atomic_path(path) as temporary:
        pq.write_table(noise, temporary)
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_is_seen_through_safetensors(small_disk):
    """Its errors are none of the system's, and tell the number in their text alone."""
    import numpy as np
    from safetensors.numpy import save_file

    path = small_disk / "model.safetensors"
    with pytest.raises(UnblindError, match="disk full"), files.atomic_path(path) as temporary:
        save_file({"a": np.zeros(2 * MIB // 8)}, temporary)
    assert list(small_disk.iterdir()) == []
    with pytest.raises(UnblindError, match="cannot write a: Read-only file system"):
        with files.explained("a"):
            raise RuntimeError("I/O error: cannot (os error 30)")


def test_a_file_in_the_way_of_a_folder_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a"):
        with pytest.raises(UnblindError, match=r"cannot write .*choose a writable folder"):
            files.write_text(path, "x")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(UnblindError, match=r"cannot write .*folder: Is a directory"):
        files.write_text(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_without_permission_is_one_error(tmp_path, monkeypatch):
    # Root may write anywhere, so the refusal is made up.
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UnblindError, match=r"cannot write .*Permission denied"):
        files.write_text(tmp_path / "a", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_refused(tmp_path, monkeypatch):
    files.check_writable(tmp_path)
    files.check_writable(tmp_path / "not there yet")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UnblindError, match=r"cannot write into .*make it writable"):
        files.check_writable(tmp_path)
    files.check_writable(tmp_path / "not there yet")


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "a"):
        pass  # nothing was written
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mask", "wanted"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_of_the_umask_whoever_writes_them(tmp_path, mask, wanted):
    from safetensors.numpy import save_file

    def private(path):
        path.touch(mode=0o600)

    writers = {"safetensors": lambda path: save_file({}, path), "private": private}
    writers["text"] = lambda path: path.write_text("x")
    before = os.umask(mask)
    try:
        for name, write in writers.items():
            with files.atomic_path(tmp_path / name) as temporary:
                write(temporary)
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
        writers, wanted
    )


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "a"):
        pass
    assert list(tmp_path.iterdir()) == []
