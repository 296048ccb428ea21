"""Check that this machine can run the study: one line a check, each failure with its remedy."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblind.errors import UnblindError
from unblind.machine import renderer

MEMORY_GIB = 8
DISK_GIB = 5
PLANNER_SECONDS = 120

_SOURCE = Path(__file__).parents[2]  # what PYTHONPATH needs to find this package
_ASSETS = Path(__file__).parents[1] / "sim" / "assets"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, whether it is well, what was seen, how to fix it."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def run(folder: Path | str = ".") -> list[Check]:
    """Make all checks for work in ``folder``; a check that breaks is a failed check."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("renderer", renderer_check),
        ("planner", planner_check),
        ("versions", versions_check),
        ("memory", memory_check),
        ("disk", lambda: disk_check(Path(folder))),
        ("caches", caches_check),
    ]
    return made(checks, "run the same command on an idle machine")


def made(checks: Sequence[tuple[str, Callable[[], Check]]], remedy: str) -> list[Check]:
    """Make checks by name; one that breaks is a failed check.

    Args:
        checks: in their order.
        remedy: of a check that ends with an error of the system.
    """
    results = []
    for name, check in checks:
        try:
            results.append(check())
        except UnblindError as error:
            results.append(Check(name, False, error.cause, error.remedy))
        except (OSError, subprocess.SubprocessError) as error:
            results.append(Check(name, False, str(error), remedy))
    return results


def format(checks: list[Check]) -> str:
    """Return one line a check."""
    lines = []
    for check in checks:
        mark = "ok  " if check.ok else "FAIL"
        remedy = f" -> {check.remedy}" if check.remedy and not check.ok else ""
        lines.append(f"{mark} {check.name + ':':<10} {check.detail}{remedy}")
    return "\n".join(lines)


def renderer_check() -> Check:
    """Set the renderer up if need be and draw a picture in a new process."""
    renderer.ensure()
    known = renderer.describe()
    seen, reason = renderer.probe(private=known["driver"] == "private")
    if seen is None:
        remedy = f"remove {renderer.folder()}, then run the same command"
        return Check("renderer", False, reason, remedy)
    mesa = f", Mesa {known['mesa']}" if "mesa" in known else ""
    return Check("renderer", True, f"{known['driver']} driver, {seen['device']}{mesa}")


def planner_check() -> Check:
    """Plan one motion of the arm in a new process."""
    urdf, srdf = _ASSETS / "wx250s.urdf", _ASSETS / "wx250s.srdf"
    missing = [path.name for path in (urdf, srdf) if not path.is_file()]
    if missing:
        return Check("planner", False, f"no {', '.join(missing)}", "restore the checkout's files")
    command = [sys.executable, "-m", "unblind.machine.planning", str(urdf), str(srdf)]
    paths = os.pathsep.join(filter(None, [str(_SOURCE), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=PLANNER_SECONDS,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]
        return Check("planner", False, f"MPLib: {reason}", "make setup (it needs NumPy 1.26)")
    return Check("planner", True, f"MPLib {_version('mplib')} plans")


def versions_check(root: Path | None = None) -> Check:
    """Compare the installed packages with the lock, and torch with its pin."""
    root = root or Path(__file__).parents[3]
    try:
        locked = pins((root / "requirements.lock").read_text())
        locked["torch"] = pins((root / "requirements.in").read_text())["torch"]
    except OSError as error:
        return Check("versions", False, f"{error.filename} not found", "run from a checkout")
    wrong = {name: _version(name) for name in locked if _version(name) != locked[name]}
    if wrong:
        shown = [f"{name} {wrong[name]} instead of {locked[name]}" for name in sorted(wrong)[:3]]
        detail = f"{len(wrong)} of {len(locked)} differ from the lock: {', '.join(shown)}"
        return Check("versions", False, detail, "make clean setup")
    return Check("versions", True, f"{len(locked)} packages as locked")


def pins(text: str) -> dict[str, str]:
    """Return name -> version of every ``name==version`` line of a requirements file."""
    return {name.lower(): version for name, version in _PIN.findall(text)}


def _version(name: str) -> str:
    """Return the installed version without its local part (2.13.0+cpu is 2.13.0), or "none"."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "none"


def memory_check() -> Check:
    """Compare the memory that this process may have with what two workers need."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(limit).read_text().strip() if os.access(limit, os.R_OK) else ""
        if text.isdigit():
            memory = min(memory, int(text) / 2**30)
    remedy = f"use a machine with {MEMORY_GIB} GiB, or lower rollout.scenes in the configuration"
    return Check("memory", memory >= MEMORY_GIB, f"{memory:.1f} GiB, {MEMORY_GIB} needed", remedy)


def disk_check(folder: Path) -> Check:
    """Compare the free space of ``folder`` with what results and temporary files need."""
    free = shutil.disk_usage(folder).free / 2**30
    detail = f"{free:.1f} GiB free in {folder.absolute()}, {DISK_GIB} needed"
    return Check("disk", free >= DISK_GIB, detail, "free space, or work in another folder")


def caches_check() -> Check:
    """Make a folder where Snakemake wants to keep its caches."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    remedy = "make does without; elsewhere: export XDG_CACHE_HOME=$PWD/.cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder):
            return Check("caches", True, f"{folder} can be written")
    except OSError as error:
        return Check("caches", False, f"{folder} cannot be written: {error.strerror}", remedy)
