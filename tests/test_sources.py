import hashlib
import importlib.util
import tomllib
from pathlib import Path

from unblind import sources

ROOT = Path(__file__).parents[1]
TEXT = 'def f(a, b):\n    return {"a": a, "b": b}\n'


def checksum(path, text):
    path.write_bytes(text.encode())
    return sources.checksums([path])[0]


def test_a_formatted_file_counts_as_its_bytes():
    files = sorted((ROOT / "src" / "unblind").rglob("*"))
    files = [path for path in files if path.is_file() and "__pycache__" not in path.parts]
    assert sources.checksums(files) == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    ]


def test_layout_does_not_count_and_meaning_does(tmp_path):
    path = tmp_path / "module.py"
    wanted = checksum(path, TEXT)
    assert wanted == hashlib.sha256(TEXT.encode()).hexdigest()
    for other in (
        TEXT.replace("    ", "  "),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace('"', "'"),
        "\n\n" + TEXT.replace(", ", " ,\n        ") + "\n\n",
    ):
        assert checksum(path, other) == wanted
    assert checksum(path, TEXT.replace("b}", "a}")) != wanted
    assert checksum(path, f"# why\n{TEXT}") != wanted


def test_of_other_files_and_broken_ones_the_bytes_count(tmp_path):
    data = "a:  1\n"
    assert checksum(tmp_path / "data.yaml", data) == hashlib.sha256(data.encode()).hexdigest()
    broken = "def f(:\n"
    found = checksum(tmp_path / "broken.py", broken)
    assert found == hashlib.sha256(broken.encode()).hexdigest()


def test_without_the_formatter_the_bytes_count(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = "x  =  'without'\n"
    assert checksum(tmp_path / "x.py", text) == hashlib.sha256(text.encode()).hexdigest()


def test_the_formatter_is_set_as_for_the_project():
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert "format" not in ruff
    assert sources._STYLE[2:] == (
        *("--line-length", str(ruff["line-length"])),
        *("--target-version", ruff["target-version"]),
    )
