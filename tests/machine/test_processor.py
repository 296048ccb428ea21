"""Which kernels compute: what is pinned, what stays, and what a sidecar tells of it."""

import json
import os
import subprocess
import sys

import pytest

from unblind.machine import processor

PINS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
OWN = {"DNNL_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}
#: A command of its own, started as `unblind` starts: what its process and its worker are held to.
COMMAND = """
import json, os
from unblind import cli, workers
from unblind.machine import processor

def kernels():
    import torch
    return processor.kernels()

@cli.app.command()
def show():
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=workers.context()) as pool:
        print(json.dumps([kernels(), pool.submit(kernels).result()]))

if __name__ == "__main__":
    import sys
    sys.argv = ["unblind", "show"]
    cli.main()
"""


def needs_avx2():
    if "AVX2" not in processor._capabilities():
        pytest.skip("this processor has no AVX2: nothing is pinned")


@pytest.mark.parametrize(
    ("own", "wanted"),
    [({}, PINS | {"torch": "AVX2"}), (OWN, OWN | {"MKL_CBWR": "AVX2", "torch": "DEFAULT"})],
)
def test_a_command_and_its_workers_have_the_pins_and_what_the_user_has_set(own, wanted, tmp_path):
    needs_avx2()
    (tmp_path / "show.py").write_text(COMMAND)
    others = {k: v for k, v in os.environ.items() if k not in PINS | OWN}
    command = [sys.executable, tmp_path / "show.py"]
    done = subprocess.run(command, env=others | own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [wanted, wanted]


@pytest.mark.parametrize("flags", ["", "sse4_2 avx", "avx2"])
def test_nothing_is_pinned_without_avx2(flags, monkeypatch):
    """Told to use what the processor lacks, torch would crash."""
    for name in PINS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(processor, "_field", {"flags": flags}.__getitem__)
    processor.pin()
    assert not PINS.keys() & os.environ.keys()


def test_a_process_without_torch_tells_the_variables_alone(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AUTO")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    found = processor.kernels()
    assert (found["MKL_CBWR"], found["torch"]) == ("AUTO", None)
