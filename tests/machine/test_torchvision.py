import subprocess
import sys
from pathlib import Path

import unblind

SOURCE = Path(unblind.__file__).parents[1]


def run(code):
    environment = {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_models_can_be_imported_and_run_after_the_guard():
    code = """
import torch
from unblind.machine.torchvision import guard
guard()
guard()
import torchvision.transforms
import timm
torch.set_num_threads(1)
with torch.no_grad():
    print(tuple(timm.create_model("tf_efficientnet_lite0", num_classes=3)
                .eval()(torch.zeros(1, 3, 64, 64)).shape))
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 3)"


def test_a_policy_starts_without_libraries_that_it_does_not_use():
    unused = ("sklearn", "pandas", "scipy.stats", "scipy.optimize")
    done = run(f"import sys, unblind.vla.policy; print([n for n in {unused} if n in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
