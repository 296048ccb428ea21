"""Records of fetched checkpoints: which files a folder holds, and whether it still does."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unblind import files
from unblind.errors import UnblindError


def described(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return bytes and checksum of files by name."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": files.sha256(path)} for path in paths
    }


def check(folder: Path, record: Path, remedy: str) -> None:
    """Check that a folder holds the files of a record, by their sizes.

    Args:
        folder: of the checkpoint.
        record: JSON whose ``files`` are as `described` tells them.
        remedy: what error messages say to do.

    Raises:
        UnblindError: the record is missing or unreadable, or a file differs.
    """
    try:
        entries = json.loads(Path(record).read_text(encoding="utf-8"))["files"]
        sizes = {name: int(entry["bytes"]) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnblindError(f"{record} is missing or unreadable", remedy) from None
    for name, size in sizes.items():
        path = Path(folder) / Path(name).name
        if not path.is_file() or path.stat().st_size != size:
            raise UnblindError(f"{path} is not what {record} says", remedy)
