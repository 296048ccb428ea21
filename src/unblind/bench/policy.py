"""Speed of the trained policy."""

from functools import partial

import numpy as np

from unblind.bench.timing import cpu_ms
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.policy import Policy

BATCHES = (1, 8, 16)
_CALLS, _ROUNDS = 5, 5


def milliseconds(
    loaded: Checkpoint, images: np.ndarray, instruction: str, rounds: int = _ROUNDS
) -> dict[str, float]:
    """Return CPU-milliseconds of one step of a whole batch, and of one of its episodes.

    Args:
        loaded: the model.
        images: (16, H, W, 3) uint8 pictures.
        instruction: what all are told.
        rounds: how often each batch size has its turn.
    """
    calls = {
        size: partial(Policy(loaded, width=size).act, images[:size], [instruction] * size)
        for size in BATCHES
    }
    medians = cpu_ms(calls, _CALLS, rounds)
    return {f"batch_{size}_ms": round(ms, 1) for size, ms in medians.items()} | {
        f"batch_{size}_ms_an_episode": round(ms / size, 2) for size, ms in medians.items()
    }
