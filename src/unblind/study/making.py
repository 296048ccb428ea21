"""Making an artifact unless it exists and is current, and recording its provenance."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unblind import files, locks
from unblind.errors import UnblindError
from unblind.study import pulled_base
from unblind.study.jobs import Job, Origin
from unblind.study.provenance import is_current, record
from unblind.study.stages import BASES

#: What an interrupted training leaves, to go on from; folders of snapshots, features and rounds.
_WORK = ("checkpoint.safetensors", "training.jsonl")
_WORK_FOLDERS = ("snapshots", "low", "round-*")


def run(job: Job, work: Callable[[], Mapping[str, Any] | None]) -> bool:
    """Check what a job reads, call ``work``, which writes its results, and record each of them.

    Args:
        job: nothing is done if its results exist and are current.
        work: may return further facts for the sidecars.

    Returns:
        whether there was anything to do.

    Raises:
        UnblindError: see `check_inputs`; or the disk is full.
    """
    check_inputs(job)
    return make(job.outputs, job.origin, work, job.beside)


def check_inputs(job: Job) -> list[Path]:
    """Return the files that a job reads after checking that they are there.

    Features must also be current: nothing in them tells which demonstrations they are of.

    Raises:
        UnblindError: one is missing or outdated, or the pulled base is not the published one; the
            message names the command that makes it.
    """
    for needed, paths in job.needed():
        if needed.name in BASES:
            pulled_base.check(needed)
        for path in paths:
            if not path.is_file():
                raise UnblindError(f"{path} is missing", f"run: {needed.call}")
        if needed.stage.group == "features":
            for path in paths:
                if not is_current(path, **vars(needed.origin)):
                    raise UnblindError(f"{path} is outdated or damaged", f"run: {needed.call}")
    return job.inputs


def make(
    paths: Sequence[Path],
    origin: Origin,
    work: Callable[[], Mapping[str, Any] | None],
    beside: Sequence[Path] = (),
) -> bool:
    """Call ``work``, which writes ``paths``, and give each its sidecar, unless all are current.

    Args:
        paths: artifacts.
        origin: what they are made from.
        work: may return further facts for the sidecars.
        beside: files without a sidecar that ``work`` writes too.

    Returns:
        whether there was anything to do.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(locks.alone(paths[0]))
        if all(path.is_file() for path in beside) and all(
            is_current(path, **vars(origin)) for path in paths
        ):
            print(f"{', '.join(map(str, paths))}: up to date")
            return False
        facts = [stack.enter_context(record(path, **vars(origin))) for path in paths]
        further = work() or {}
        for facts_of_one in facts:
            facts_of_one.update(further)
    return True


@contextlib.contextmanager
def continued(folder: Path, origin: Origin) -> Iterator[None]:
    """Keep what an interrupted training has left in ``folder`` if it had the same origin.

    When the block succeeds, its checkpoints are deleted, those of rounds in folders below too.
    """
    file, stamp = folder / "origin.json", {"origin": origin.stamp()}
    if not file.is_file() or json.loads(file.read_text(encoding="utf-8")) != stamp:
        with files.explained(folder):
            for path in (path for name in _WORK for path in sorted(folder.rglob(name))):
                path.unlink()
            for path in (path for name in _WORK_FOLDERS for path in folder.glob(name)):
                shutil.rmtree(path, ignore_errors=True)
        files.write_json(file, stamp)
    yield
    for path in sorted(folder.rglob(_WORK[0])):
        path.unlink()
