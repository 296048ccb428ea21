"""Freed memory stays with the process: the next arrays of its size cost no fresh pages."""

import subprocess
import sys

import pytest

_SCRIPT = """
import resource, sys
from unblind.machine import allocator
if sys.argv[1] == "keep":
    allocator.keep()
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    a, b = np.empty(40 << 20, np.uint8), np.empty(40 << 20, np.uint8)
    a.fill(1), b.fill(1)
use()
before = faults()
for _ in range(5):
    use()
print(faults() - before)
"""


def _faults(mode: str) -> int:
    command = [sys.executable, "-c", _SCRIPT, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own settings")
def test_freed_memory_is_used_again():
    assert _faults("keep") < 100
    assert _faults("default") > 5_000  # 5 times 2 arrays of 40 MiB, 4 KiB or more a page
