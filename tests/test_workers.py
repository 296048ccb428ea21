"""Workers leave the keyboard to their parent."""

import signal
from concurrent.futures import ProcessPoolExecutor

from unblind import workers


def blocked():
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_workers_never_see_an_interrupt_and_their_parent_still_does():
    before = blocked()
    with ProcessPoolExecutor(1, mp_context=workers.context()) as pool:
        assert signal.SIGINT in pool.submit(blocked).result()
    assert blocked() == before and signal.SIGINT not in before
