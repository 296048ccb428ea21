"""Records of several machines in one results folder: each is there once, or nothing is merged."""

from collections.abc import Sequence
from pathlib import Path

from unblind import files
from unblind.custody import sidecars
from unblind.errors import UnblindError
from unblind.study.provenance import sidecar_path

#: Folders of a results folder that hold records of rollouts, one file a condition or domain.
FOLDERS = ("rollouts", "think", "trajectories", "knockout-rollouts")


def merge(sources: Sequence[Path], results: Path) -> list[Path]:
    """Copy the records of other results folders that ``results`` lacks; return their new paths.

    All are checked before the first is copied. A record that two folders hold with the same bytes
    is one record.

    Args:
        sources: results folders of other clones or machines.
        results: the folder that gets them.

    Raises:
        UnblindError: a source holds no records; one is not what its sidecar says; two folders hold
            different records of one run, seed and condition; the disk is full.
    """
    origin: dict[Path, Path] = {below: results for below in _records(results)}
    new = []
    for source in sources:
        records = _records(source)
        if not records:
            cause = f"{source} holds no records in {', '.join(FOLDERS)}"
            raise UnblindError(cause, "name a results folder")
        for below in records:
            _check(source / below)
            if below not in origin:
                origin[below] = source
                new.append(below)
            elif files.sha256(origin[below] / below) != files.sha256(source / below):
                raise UnblindError(
                    f"{origin[below]} and {source} hold different records {below}",
                    "delete the one that does not belong to this study, or merge it elsewhere",
                )
    for below in new:
        _copy(origin[below] / below, results / below)
    return [results / below for below in new]


def _records(results: Path) -> list[Path]:
    """Return the records of a results folder, by their paths below it."""
    found = (path for name in FOLDERS for path in (results / name).rglob("*.parquet"))
    return sorted(path.relative_to(results) for path in found if path.is_file())


def _check(path: Path) -> None:
    """Refuse a record that differs from its sidecar."""
    if sidecars.load(path).sha256 != files.sha256(path):
        raise UnblindError(f"{path} is not what its sidecar says", "copy both again, or delete it")


def _copy(source: Path, target: Path) -> None:
    """Copy a record, and then its sidecar: without one, a record counts as missing."""
    with files.explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    for old, new in ((source, target), (sidecar_path(source), sidecar_path(target))):
        with files.atomic_path(new) as temporary:
            temporary.write_bytes(old.read_bytes())
