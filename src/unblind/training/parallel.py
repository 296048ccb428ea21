"""One training step in one or two processes, with the same result.

A batch is always two parts. Two processes take one each and add their gradients; one process does
both and adds them. The sum of two numbers does not depend on their order, so the weights are the
same, bit for bit.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unblind import workers

PARTS = 2


class Team:
    """The processes that train one model.

    Attributes:
        parts: which parts of a batch this process computes.
        leads: whether this process writes files.
    """

    def __init__(self, rank: int, size: int) -> None:
        self._size = size
        self.parts = range(rank, PARTS, size)
        self.leads = rank == 0

    def add(self, flat: Tensor) -> Tensor:
        """Return the sum over the processes of a flat vector."""
        if self._size > 1:
            torch.distributed.all_reduce(flat)
        return flat

    def wait(self) -> None:
        """Wait for all processes."""
        if self._size > 1:
            torch.distributed.barrier()


def run(task: Callable[..., Any], size: int, *arguments: Any) -> Any:
    """Call ``task(team, *arguments)`` in ``size`` processes; return the leader's result.

    Args:
        task: a function of a module, as spawned processes import it.
        size: 1 or 2.
        arguments: plain values.
    """
    torch.set_num_threads(1)
    if size == 1:
        return task(Team(0, 1), *arguments)
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        helper = workers.context().Process(
            target=_help, args=(task, meeting, size, arguments), daemon=True
        )
        helper.start()
        try:
            return _join(task, meeting, 0, size, arguments)
        finally:
            helper.join(timeout=30)
            helper.kill()


def _help(task: Callable[..., Any], meeting: str, size: int, arguments: tuple) -> None:
    workers.follow_parent()
    torch.set_num_threads(1)
    _join(task, meeting, 1, size, arguments)


def _join(task: Callable[..., Any], meeting: str, rank: int, size: int, arguments: tuple) -> Any:
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    try:
        return task(Team(rank, size), *arguments)
    finally:
        torch.distributed.destroy_process_group()
