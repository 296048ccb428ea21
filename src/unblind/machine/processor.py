"""What kind of processor this is: it decides which kernels compute, and so the last digits."""

import platform
from pathlib import Path

#: Vector instructions as torch names them, the best first, and the flags that it asks for.
_CAPABILITIES = {
    "AVX512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"},
    "AVX2": {"avx2", "fma"},
}


def kind() -> str:
    """Return architecture, vendor and best vector instructions: ``x86_64 AuthenticAMD AVX2``."""
    vendor, flags = _field("vendor_id"), set(_field("flags").split())
    best = [name for name, needed in _CAPABILITIES.items() if needed <= flags][:1]
    return " ".join(filter(None, (platform.machine(), vendor, *best)))


def _field(name: str) -> str:
    """Return a line's value in the system's description of the first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
