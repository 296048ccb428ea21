"""A contact sheet: the first frame of an episode of every domain, in every style of the boards."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unblind.config import Config
from unblind.sim.contact import TILE, label, save
from unblind.think.domains import DOMAINS
from unblind.think.episodes import decode, sample_ids

_COLUMNS = 4


def write_sheet(path: Path, config: Config, scale: int = 2) -> None:
    """Write one picture: a row of tiles for each style, captioned with domain and instruction.

    Args:
        path: PNG file.
        config: says catalog, fidelity, seed and styles.
        scale: of the frames, to which the mini study's are small.

    Raises:
        UnblindError: no renderer can be set up, boards are missing, or the folder is not writable.
    """
    save(
        Path(path), [label(frame, text, scale) for frame, text in _frames(config, scale)], _COLUMNS
    )


def _frames(config: Config, scale: int) -> Iterator[tuple[np.ndarray, str]]:
    """Yield first frames (H, W, 3) uint8 with what they are."""
    from unblind.sim.env import PutOnPlateEnv

    width, height = (scale * side for side in TILE)
    env = PutOnPlateEnv(
        catalog=config.catalog, width=width, height=height, shader=config.render.shader
    )
    for style in config.think.styles:
        for domain in DOMAINS:
            (number,) = sample_ids(domain, 1, config.seed, purpose=config.rollout.purpose)
            episode = decode(domain, number, config.fidelity, style=style)
            env.reset(options={"episode": episode})
            yield env.frame(), f"{domain.column} ({style}): {episode.instruction}"
    env.close()
