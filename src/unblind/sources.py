"""Checksums of source files that do not depend on their layout.

A Python file counts as the project's formatter would write it, so that one which was merely laid
out anew is no change. The formatter leaves the files of this project as they are: for them the
checksum is that of their bytes.
"""

import hashlib
import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path

#: The settings of pyproject.toml, which is not there when the package is installed.
_STYLE = ("--isolated", "--no-cache", "--line-length", "100", "--target-version", "py311")
_LINES = ("--config", "format.line-ending='lf'")
#: Checksums by checksum of the bytes, for this process.
_known: dict[str, str] = {}


def checksums(files: Sequence[Path]) -> list[str]:
    """Return a SHA-256 of each file, the same for all layouts of a Python file.

    Where the formatter is not installed, or cannot read a file, its bytes count.
    """
    found = [_sha256(file.read_bytes()) for file in files]
    new = {
        key: file
        for key, file in zip(found, files, strict=True)
        if key not in _known and file.suffix == ".py"
    }
    formatted = not new or _ruff("--check", "--quiet", *map(str, new.values())) is not None
    for key, file in new.items():
        _known[key] = key if formatted else _sha256(_laid_out(file.read_bytes()))
    return [_known.get(key, key) for key in found]


def _laid_out(source: bytes) -> bytes:
    """Return Python source as the formatter writes it."""
    return _ruff("-", source=source) or source


def _ruff(*words: str, source: bytes | None = None) -> bytes | None:
    """Run the formatter; return what it prints, None if it is absent or says no."""
    if importlib.util.find_spec("ruff") is None:
        return None
    from ruff import find_ruff_bin

    command = [find_ruff_bin(), "format", *_STYLE, *_LINES, *words]
    done = subprocess.run(command, input=source, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
