import subprocess
import sys
from pathlib import Path

import unblind

SOURCE = Path(unblind.__file__).parents[1]


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
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 3)"
