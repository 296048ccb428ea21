"""What kind of processor this is, and which of its kernels compute: they decide the last digits.

Numeric libraries choose their kernels by the processor, and each kernel adds in an order of its
own. Held to AVX2, processors with and without AVX-512 compute the same.
"""

import os
import platform
import sys
from pathlib import Path

#: Vector instructions as torch names them, the best first, and the flags that it asks for.
_CAPABILITIES = {
    "AVX512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"},
    "AVX2": {"avx2", "fma"},
}
#: What holds each library to AVX2: its variable, with an older name if it has one, and the value.
#: Evidence, cost, and the value of MKL that also joins AMD and Intel: docs/decisions.md, "The same
#: bytes".
_PINS = (
    (("ATEN_CPU_CAPABILITY",), "avx2"),
    (("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"), "AVX2"),
    (("MKL_CBWR",), "AVX2"),
)


def kind() -> str:
    """Return architecture, vendor and best vector instructions: ``x86_64 AuthenticAMD AVX2``."""
    best = _capabilities()[:1]
    return " ".join(filter(None, (platform.machine(), _field("vendor_id"), *best)))


def pin() -> None:
    """Hold the numeric libraries of this process and its children to AVX2, where there is AVX2.

    The first thing that a process does: they read these variables once. What the user has set
    stays, and sidecars tell (`kernels`). What a GPU computes is not concerned.
    """
    if "AVX2" in _capabilities():
        for names, value in _PINS:
            if not any(name in os.environ for name in names):
                os.environ[names[0]] = value


def kernels() -> dict[str, str | None]:
    """Return what chooses this process's kernels: each variable that is set, and torch's choice."""
    torch = sys.modules.get("torch")
    choice = torch.backends.cpu.get_cpu_capability() if torch else None
    names = (name for names, _ in _PINS for name in names)
    return {name: os.environ[name] for name in names if name in os.environ} | {"torch": choice}


def _capabilities() -> list[str]:
    flags = set(_field("flags").split())
    return [name for name, needed in _CAPABILITIES.items() if needed <= flags]


def _field(name: str) -> str:
    """Return a line's value in the system's description of the first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
