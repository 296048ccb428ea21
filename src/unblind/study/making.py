"""Making an artifact unless it stands, and writing down where it came from."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind import files, locks
from unblind.config import digest
from unblind.study.provenance import code_hash, is_current, record

#: What an interrupted training leaves, to go on from.
_WORK = ("checkpoint.safetensors", "training.jsonl")


@dataclass(frozen=True)
class Origin:
    """What an artifact is made from.

    Attributes:
        config: the settings that its content depends on (`Config.part`).
        code: modules that make it (`provenance.CODE`).
        inputs: files that are read.
        seed: of the artifact, if it has one.
    """

    config: Mapping[str, Any]
    code: tuple[str, ...]
    inputs: tuple[Path, ...]
    seed: int | None = None

    def is_origin_of(self, path: Path) -> bool:
        """Tell whether the artifact is whole and was made from this."""
        return is_current(path, **vars(self))

    def stamp(self) -> str:
        """Return a digest of all of it."""
        inputs = [files.sha256(path) for path in self.inputs]
        return digest([self.config, code_hash(*self.code, config=self.config), inputs, self.seed])


def make(
    paths: Sequence[Path],
    origin: Origin,
    work: Callable[[], Mapping[str, Any] | None],
    beside: Sequence[Path] = (),
) -> bool:
    """Call ``work``, which writes ``paths``, and give each its sidecar, unless all stand.

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
        if all(path.is_file() for path in beside) and all(map(origin.is_origin_of, paths)):
            print(f"{', '.join(map(str, paths))}: up to date")
            return False
        facts = [stack.enter_context(record(path, **vars(origin))) for path in paths]
        found = work() or {}
        for one in facts:
            one.update(found)
    return True


@contextlib.contextmanager
def continued(folder: Path, origin: Origin) -> Iterator[None]:
    """Keep what an interrupted training has left in ``folder`` if it had the same origin.

    When the block succeeds, its checkpoints are deleted, those of rounds in folders below too.
    """
    place, stamp = folder / "origin.json", {"origin": origin.stamp()}
    if not place.is_file() or json.loads(place.read_text(encoding="utf-8")) != stamp:
        with files.explained(folder):
            for path in (path for name in _WORK for path in sorted(folder.rglob(name))):
                path.unlink()
            shutil.rmtree(folder / "snapshots", ignore_errors=True)
        files.write_json(place, stamp)
    yield
    for path in sorted(folder.rglob(_WORK[0])):
        path.unlink()
