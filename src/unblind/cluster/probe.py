"""What the tiny job finds out on its compute node; `srun unblind cluster-probe` asks by hand."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import unblind
from unblind.machine import doctor
from unblind.machine.doctor import Check
from unblind.study.code import source_hash

#: What a job of rollouts or training may write to its scratch folder.
SCRATCH_GIB = 2
_GPU_SECONDS = 120


def run(gpus: int = 0, scratch: str | None = None, code: str | None = None) -> list[Check]:
    """Make all checks; one that breaks is a failed check.

    Args:
        gpus: GPUs that the job asked for.
        scratch: folder in which jobs have their temporary folder; None: the system's own.
        code: `source_hash` of the package on the login node.
    """
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", lambda: package_check(code)),
        ("versions", doctor.versions_check),
        ("scratch", lambda: scratch_check(scratch)),
        ("renderer", doctor.renderer_check),
    ]
    if gpus:
        checks += [("gpu", gpu_check), ("cuda", cuda_check)]
    return doctor.made(checks, "srun unblind cluster-probe tells more")


def package_check(code: str | None) -> Check:
    """Compare this package with the one of the login node."""
    package = Path(unblind.__file__).parent
    version = ".".join(map(str, sys.version_info[:3]))
    if code is not None and source_hash("unblind") != code:
        detail = f"{package} is not what the login node has"
        return Check("python", False, detail, "use one checkout that both see")
    return Check("python", True, f"{version} at {sys.prefix}, unblind from {package}")


def scratch_check(scratch: str | None) -> Check:
    """Write to the folder of temporary files."""
    folder = os.path.expandvars(scratch) if scratch else tempfile.gettempdir()
    remedy = "set cluster.scratch to a folder that jobs may write on compute nodes, or to null"
    if "$" in folder:
        return Check("scratch", False, f"{scratch}: no such variable on this node", remedy)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 20))
    except OSError as error:
        return Check("scratch", False, f"cannot write to {folder}: {error.strerror}", remedy)
    free = shutil.disk_usage(folder).free / 2**30
    detail = f"{free:.1f} GiB free in {folder}, {SCRATCH_GIB} needed"
    return Check("scratch", free >= SCRATCH_GIB, detail, remedy)


def gpu_check() -> Check:
    """Tell which GPUs SLURM gave to this job."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if not given:
        remedy = "ask the administrators for GresTypes=gpu and gres.conf, or name cluster.gpu_type"
        return Check("gpu", False, "asked for, but CUDA_VISIBLE_DEVICES is not set", remedy)
    return Check("gpu", True, f"CUDA_VISIBLE_DEVICES={given}")


def cuda_check() -> Check:
    """Ask torch for the GPU, in a new process: a driver may end it."""
    program = (
        "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=_GPU_SECONDS
    )
    if name := done.stdout.strip():
        return Check("cuda", True, name)
    reason = (done.stderr.strip().splitlines() or ["torch finds no GPU"])[-1]
    return Check("cuda", False, reason, "install the CUDA build of torch and a driver on the node")
