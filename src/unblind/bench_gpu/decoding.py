"""How long the policy takes from camera pictures to action tokens."""

import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

from unblind.bench_gpu import made
from unblind.bench_gpu.budget import Budget
from unblind.bench_gpu.timeline import Clock
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.policy import Policy


def measure(
    loaded: Checkpoint, size: made.Size, clock: Clock, budget: Budget, seed: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the milliseconds of seven greedy tokens for whole batches of pictures.

    Resizing of 640 x 480 pictures, the towers, the prompt and six cached steps are all in it; the
    first call, in which libraries choose their kernels, is not.

    Args:
        loaded: without adapters, as a policy that was merged for evaluation.
        size: tells the batches; the last ones are left out if the time is used up before.
        clock: of the model's device.
        budget: for all of it.
        seed: of the pictures.

    Yields:
        a batch's width; median, least and most over the rounds, and the number of rounds.
    """
    for number, width in enumerate(size.widths):
        if not budget.left:
            return
        policy = Policy(loaded, width=width)
        images = made.pictures(width, seed)
        texts = [made.INSTRUCTIONS[k % len(made.INSTRUCTIONS)] for k in range(width)]
        act = partial(policy.tokens, images, texts)
        share = budget.part(budget.left / (len(size.widths) - number))
        act()
        took = [clock.timed(act) for _ in share.rounds(size.rounds)]
        middle = statistics.median(took)
        yield (
            width,
            {
                "ms": round(middle, 2),
                "ms_a_picture": round(middle / width, 3),
                "least_ms": round(min(took), 2),
                "most_ms": round(max(took), 2),
                "rounds": len(took),
            },
        )
