"""Replaying the demonstrations."""

from dataclasses import replace
from pathlib import Path

from unblind import locks
from unblind.config import Config
from unblind.study.jobs import Job
from unblind.study.provenance import is_current
from unblind.study.rows.names import MANIFEST


def replay(config: Config, demos: Path, out: Path, n_workers: int) -> None:
    """Write the record of the replay (`rollout.replay.replay`) unless it stands.

    Raises:
        UnblindError: demonstrations are missing, too few or corrupt, or a worker died.
    """
    origin = replace(Job(config, "replay").origin, inputs=(demos / MANIFEST,))
    with locks.alone(out):
        if is_current(out, **vars(origin)):
            print(f"{out}: up to date")
            return
        from unblind.rollout import replay as replaying

        replaying.replay(config, demos, out, n_workers)
