"""Where the study of a file is: the folder that paths in its sidecars are relative to."""

import os
from pathlib import Path

from unblind.custody import sidecars, trace

#: What lies in the root of a study: a checkout, or what somebody has copied of one.
_SIGNS = ("Snakefile", "workflow", ".dvc")


def root(path: Path) -> Path | None:
    """Return the root of a file's study, as an absolute path; None if nothing tells it.

    It is the nearest folder around the file that has the signs of a checkout, or from which a file
    that the sidecar names is there. Results may lie outside the checkout: then the working folder
    is tried in the same way.

    Args:
        path: an artifact, its sidecar, or a file that belongs to an artifact, such as a shard.

    Raises:
        UnblindError: the file is missing or foreign, or its sidecar is malformed.
    """
    artifact = trace.artifact_of(trace.carrier(path))
    named = [name for name in sidecars.load(artifact).inputs if not os.path.isabs(name)]
    around, here = Path(os.path.abspath(artifact)).parents, Path.cwd()
    for folder in around:
        if any(os.path.exists(folder / sign) for sign in _SIGNS) or _has_some(folder, named):
            return folder
    return here if not named or _has_some(here, named) else None


def _has_some(folder: Path, names: list[str]) -> bool:
    # Names may come from foreign files: one that no file can have is simply not there.
    return any(os.path.isfile(folder / name) for name in names)
