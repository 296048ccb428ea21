"""Sums of what jobs need."""

from unblind.costs.need import Need, total


def test_sums():
    one = Need("a", "5 x", gpu_s=2.0, gpu_bytes=7.0, disk=3.0)
    other = Need("b", "", cpu_s=9.0, gpu_bytes=5.0)
    assert one.times(1) == one
    assert one.times(4) == Need("a", "4 jobs of 5 x", None, 8.0, 7.0, 12.0)
    together = total([one.times(4), other])
    assert (together.gpu_s, together.gpu_bytes, together.cpu_s, together.disk) == (
        8.0,
        7.0,
        9.0,
        12.0,
    )
