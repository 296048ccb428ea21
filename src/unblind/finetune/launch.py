"""One training in several processes, a GPU each."""

import contextlib
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from unblind import workers
from unblind.errors import UnblindError


def run(task: Callable[..., Any], processes: int, *arguments: Any) -> Any:
    """Call ``task(*arguments)`` in processes that find each other; return the first one's result.

    Args:
        task: a function of a module, as spawned processes import it.
        processes: their number; 1 is this process.
        arguments: plain values.

    Raises:
        UnblindError: one of them raised it or died; the others are ended then.
    """
    if processes == 1:
        return task(*arguments)
    context, port = workers.context(), _free_port()
    members, pipes = [], []
    try:
        for rank in range(processes):
            receiver, sender = context.Pipe(duplex=False)
            place = (rank, processes, port)
            member = context.Process(
                target=_serve, args=(sender, place, task, arguments), daemon=True
            )
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
    found: dict[int, Any] = {}
    while len(found) < len(pipes):
        for pipe in wait([p for rank, p in enumerate(pipes) if rank not in found]):
            try:
                value = pipe.recv()
            except EOFError:
                raise UnblindError(
                    "a training process died", "see its message; the same command continues"
                ) from None
            if isinstance(value, UnblindError):
                raise value
            found[pipes.index(pipe)] = value
    return [found[rank] for rank in range(len(pipes))]


def _serve(
    pipe: Connection, place: tuple[int, int, int], task: Callable[..., Any], arguments: tuple
) -> None:
    """Be one of the processes."""
    workers.follow_parent()
    rank, size, port = (str(number) for number in place)
    os.environ |= {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    import torch

    try:
        pipe.send(task(*arguments))
    except UnblindError as error:
        pipe.send(error)
    finally:
        with contextlib.suppress(Exception):
            torch.distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
