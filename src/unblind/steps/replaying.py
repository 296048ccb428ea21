"""Replaying the demonstrations."""

from pathlib import Path

from unblind import locks, places
from unblind.config import Config
from unblind.study.making import Origin
from unblind.study.provenance import CODE


def replay(config: Config, demos: Path, out: Path, n_workers: int) -> None:
    """Write the record of the replay (`rollout.replay.replay`) unless it stands.

    Raises:
        UnblindError: demonstrations are missing, too few or corrupt, or a worker died.
    """
    origin = Origin(config.part("replay"), CODE["replay"], (demos / places.MANIFEST,), config.seed)
    with locks.alone(out):
        if origin.is_origin_of(out):
            print(f"{out}: up to date")
            return
        from unblind.rollout import replay as replaying

        replaying.replay(config, demos, out, n_workers)
