"""Sidecars: where every artifact came from.

Beside each artifact ``X`` lies ``X.meta.json`` with what was read, which settings and code made
it, on what machine, and what it cost. Reports quote these files, never the clock or HEAD. The
module imports nothing heavy: the Snakefile calls `code_hash` at parse time.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from unblind.config import digest
from unblind.errors import UnblindError
from unblind.files import sha256, write_json
from unblind.machine import processor
from unblind.machine.usage import cpu_seconds, peak_memory_mib
from unblind.study.code import code_hash, known_as, source_hash

PACKAGES = (
    "mani-skill",
    "mplib",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "peft",
    "pyarrow",
    "sapien",
    "torch",
    "transformers",
    "unblind",
)
_ROOT = Path(__file__).resolve().parents[1]
_EMPTY = hashlib.sha256().hexdigest()


def sidecar_path(path: Path | str) -> Path:
    """Return the path of the sidecar of the artifact ``path``."""
    path = Path(path)
    return path.with_name(path.name + ".meta.json")


def read(path: Path | str) -> dict[str, Any]:
    """Return the sidecar of the artifact ``path``.

    Raises:
        UnblindError: it is missing or unreadable.
    """
    sidecar = sidecar_path(path)
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is unreadable"
        raise UnblindError(
            f"the sidecar {sidecar} {reason}", f"delete {path} and run the command that makes it"
        ) from None
    if not isinstance(facts, dict):
        raise UnblindError(
            f"the sidecar {sidecar} is unreadable", f"delete {path} and make it again"
        )
    return facts


def is_current(
    path: Path | str,
    *,
    config: Any,
    code: Iterable[str],
    seed: int | None = None,
    inputs: Iterable[Path | str] = (),
    lacking: Iterable[Path | str] = (),
) -> bool:
    """Tell whether an artifact is whole and was made from these inputs, settings and code.

    Arguments are those of `record`.
    """
    path = Path(path)
    try:
        meta = read(path)
        return (
            meta.get("config_hash") == digest(config)
            and known_as(meta.get("code_hash"), config) == code_hash(*code, config=config)
            and meta.get("seed") == seed
            and meta.get("inputs") == _hashes(inputs, lacking)
            and meta.get("sha256") == sha256(path)
        )
    except (OSError, UnblindError):
        return False


@contextlib.contextmanager
def record(
    path: Path | str,
    *,
    config: Any,
    code: Iterable[str],
    seed: int | None = None,
    inputs: Iterable[Path | str] = (),
    lacking: Iterable[Path | str] = (),
    extra: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Measure the block that makes the artifact ``path``, then write its sidecar.

    Args:
        path: the file that exists when the block ends.
        config: the plain settings that the result depends on (`jobs.settings`).
        code: modules or subpackages that make the result.
        seed: seed of the result, if it has one.
        inputs: files that were read.
        lacking: files without which the artifact is made in part only: missing or changed ones.
            They are listed among the inputs, so that the artifact is outdated once they are fixed.
        extra: further plain facts; the yielded dictionary takes more of them.

    Nothing is written if the block fails. Times cover this block alone: work that an earlier,
    interrupted call has left behind is not counted.
    """
    path, facts, clock = Path(path), dict(extra or {}), _Clock()
    yield facts
    write_json(
        sidecar_path(path),
        {
            "artifact": path.name,
            "sha256": sha256(path),
            "inputs": _hashes(inputs, lacking),
            **_made_from(config, code, seed),
            **clock.used(),
            **describe_machine(),
            "extra": facts,
        },
    )


class _Clock:
    """When a block began, and what it has taken since."""

    def __init__(self) -> None:
        self._started, self._wall, self._cpu = datetime.now(UTC), time.monotonic(), cpu_seconds()

    def used(self) -> dict[str, Any]:
        return {
            "started": self._started.isoformat(timespec="seconds"),
            "wall_s": round(time.monotonic() - self._wall, 3),
            "cpu_s": round(cpu_seconds() - self._cpu, 3),
            "peak_memory_mib": peak_memory_mib(),
        }


def _made_from(config: Any, code: Iterable[str], seed: int | None) -> dict[str, Any]:
    return {
        "config": config,
        "config_hash": digest(config),
        "code": sorted(code),
        "code_hash": code_hash(*code, config=config),
        "source_hash": source_hash(*code),
        "seed": seed,
    }


def describe_machine() -> dict[str, Any]:
    """Return commit, package versions, hardware, kernels and renderer of this process."""
    from unblind.machine import renderer

    chosen_late = {"kernels": processor.kernels(), "renderer": renderer.describe()}
    return {**_describe_once(), **chosen_late}


@cache
def _describe_once() -> dict[str, Any]:
    """Return what cannot change while a process lives."""
    return {
        **_git(),
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "hardware": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "processor": processor.kind(),
        },
        "lock": lock(),
    }


def _hashes(inputs: Iterable[Path | str], lacking: Iterable[Path | str] = ()) -> dict[str, str]:
    """Hash files by path, relative to the working folder where that is possible.

    Of ``lacking`` ones, those that are not there count as empty.
    """
    here, hashes = Path.cwd(), {}
    absent = [path for path in lacking if not Path(path).is_file()]
    for path in (*inputs, *lacking):
        full = Path(path).absolute()
        name = full.relative_to(here) if full.is_relative_to(here) else full
        hashes[name.as_posix()] = _EMPTY if path in absent else sha256(path)
    return hashes


def _git() -> dict[str, Any]:
    """Return the commit and whether tracked files differ from it; unknown outside a checkout."""
    root = _ROOT.parents[1]
    commit = _run_git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    if not commit:
        return {"commit": "unknown", "dirty": None}
    # What the workflow and publishing write into the checkout is no change of it.
    places = (".snakemake", "paper/published", "dvcstore", "results")
    written = (f":(exclude){place}" for place in places)
    status = _run_git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    return {"commit": commit, "dirty": None if status is None else bool(status)}


@cache
def lock() -> str | None:
    """Return the SHA-256 of ``requirements.lock``; None where there is no checkout."""
    path = _ROOT.parents[1] / "requirements.lock"
    return sha256(path) if path.is_file() else None


def _run_git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware_text(hardware: Mapping[str, Any]) -> str:
    """Return in words what a sidecar tells of the hardware."""
    return f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB"


def version_of(package: str) -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
