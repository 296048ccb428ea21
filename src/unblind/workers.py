"""Worker processes: spawned, one thread each, gone when their parent is gone."""

import ctypes
import gc
import multiprocessing
import os
import signal
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess

_PR_SET_PDEATHSIG = 1
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class _Process(SpawnProcess):
    """A worker that leaves an interrupt from the keyboard to its parent from its first moment.

    It would show a traceback of its own while it loads its libraries.
    """

    def start(self) -> None:
        """Start the process; what it inherits is that SIGINT is blocked."""
        resource_tracker.ensure_running()  # unblocks the signal when it is started
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    Process = _Process


def context() -> SpawnContext:
    """Return the start method of all workers; numeric libraries in them get one thread."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    return _Context()


def follow_parent() -> None:
    """Tie this worker's life to its parent's: the first thing that a worker does.

    It is killed when the parent ends, however that happens.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        os._exit(1)  # it was gone before the kernel knew of the tie


def settle_in() -> None:
    """Make this worker light once its libraries are loaded: one torch thread, little garbage.

    ManiSkill collects garbage whenever it builds a scene; freezing what the libraries have
    allocated by now makes that take 1 ms instead of 140.
    """
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
