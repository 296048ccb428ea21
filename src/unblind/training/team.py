"""The processes that train one model together, on one machine: a CPU core or a GPU each.

A batch is always cut into parts: two, or one for each process if there are more. Every process
computes its own parts, and the gradients are added. The sum of two numbers does not depend on their
order, so on a CPU two processes change the weights as one does, bit for bit.
"""

import contextlib
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from torch import Tensor

from unblind import workers
from unblind.errors import UnblindError

#: Into how many parts a batch is cut at least.
PARTS = 2


class Team:
    """One of the processes, and how it talks to the others.

    Attributes:
        device: where it computes; on a CPU it has one thread.
        n_parts: into how many parts a batch is cut.
        parts: which of them this process computes.
        size: number of processes.
        leads: whether this process writes files.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: str = "cpu") -> None:
        """Take a place among the processes.

        Args:
            rank: number of this process.
            size: of all.
            device: ``cpu`` or ``cuda``; of several GPUs each process takes the one of its number.

        Raises:
            UnblindError: this machine lacks such a device, or has fewer GPUs than processes.
        """
        from unblind.vla.loading import check_device

        self.device = check_device(f"{device}:{rank}" if device == "cuda" else device)
        self.size, self.n_parts = size, max(PARTS, size)
        self.parts = range(rank, self.n_parts, size)
        self.leads = rank == 0
        if self.device.type == "cpu":
            torch.set_num_threads(1)
        else:
            torch.cuda.set_device(self.device)

    def add(self, flat: Tensor) -> Tensor:
        """Return the sum over the processes of a flat vector."""
        if self.size > 1:
            torch.distributed.all_reduce(flat)
        return flat

    def gather(self, value: Any) -> list[Any]:
        """Return a plain value of each process, in their order."""
        values = [value] * self.size
        if self.size > 1:
            torch.distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            torch.distributed.barrier()


def run(task: Callable[..., Any], size: int, device: str, *arguments: Any) -> Any:
    """Call ``task(team, *arguments)`` in ``size`` processes; return the leader's result.

    Args:
        task: a function of a module, as spawned processes import it.
        size: number of processes; 1 is this process.
        device: see `Team`.
        arguments: plain values.

    Raises:
        UnblindError: one of the processes raised it or died; the others are ended then.
    """
    if size == 1:
        return task(Team(device=device), *arguments)
    context, members, pipes = workers.context(), [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for rank in range(size):
                receiver, sender = context.Pipe(duplex=False)
                seat = (rank, size, device)
                given = (sender, f"file://{folder}/meeting", seat, task, arguments)
                member = context.Process(target=_serve, args=given, daemon=True)
                member.start()
                sender.close()
                members.append(member)
                pipes.append(receiver)
            return _results(pipes)[0]
        finally:
            for member in members:
                member.kill()
                member.join()


def _results(pipes: list[Connection]) -> list[Any]:
    """Return what each process sends, or raise the first error."""
    results: dict[int, Any] = {}
    while len(results) < len(pipes):
        for pipe in wait([p for rank, p in enumerate(pipes) if rank not in results]):
            try:
                result = pipe.recv()
            except EOFError:
                raise UnblindError(
                    "a training process died", "see its message; the same command continues"
                ) from None
            if isinstance(result, UnblindError):
                raise result
            results[pipes.index(pipe)] = result
    return [results[rank] for rank in range(len(pipes))]


def _serve(
    pipe: Connection,
    meeting: str,
    seat: tuple[int, int, str],
    task: Callable[..., Any],
    arguments: tuple,
) -> None:
    """Be one of the processes."""
    workers.follow_parent()
    rank, size, device = seat
    try:
        team = Team(rank, size, device)
        torch.distributed.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            init_method=meeting,
            rank=rank,
            world_size=size,
        )
        pipe.send(task(team, *arguments))
    except UnblindError as error:
        pipe.send(error)
    finally:
        with contextlib.suppress(Exception):
            torch.distributed.destroy_process_group()
