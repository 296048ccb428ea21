"""What the C library does with memory that is given back."""

import ctypes
import sys

#: glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_KEPT_BYTES = 2**31 - 1


def keep() -> None:
    """Let this process keep the memory it frees, for its next arrays. Without glibc: nothing.

    By default glibc asks the system for each array of some MB anew and gives it back at once, so
    that every batch of a convolution pays for fresh pages: a quarter of what a policy's step costs
    on a virtual machine. For processes that make the same arrays again and again; the largest
    amount that was ever in use stays with the process.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
