"""The Vulkan driver of this process: the machine's own if usable, else a private lavapipe.

``ensure()`` must run before the first ``import sapien`` or ``import mani_skill``. It decides once
per machine and virtual environment, remembers the verdict in a small JSON file, and is cheap from
then on. It needs no environment variable, but honours two:

- ``UNBLIND_VULKAN``: ``auto`` (default), ``system`` (the machine's driver or an error), ``private``
  (the software renderer even where there is a GPU), ``off`` (always the "no Vulkan" error).
- ``UNBLIND_VULKAN_DIR``: folder of the private driver, by default ``share/unblind/vulkan`` of the
  virtual environment.
"""

import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from unblind import files
from unblind.errors import UnblindError
from unblind.machine import lavapipe

PROBE_SECONDS = 300
"""Longest wait for a probe's picture: 15 s on an idle machine, far more on a crowded one."""

_DRIVER_VARIABLES = ("VK_ICD_FILENAMES", "VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES")
_DRIVER_PLACES = ("/usr/share", "/usr/local/share", "/etc", "/usr/local/etc")

_verdict: dict[str, Any] | None = None


def folder() -> Path:
    """Return the folder of the private driver and of the remembered verdict."""
    default = Path(sys.prefix) / "share" / "unblind" / "vulkan"
    return Path(os.environ.get("UNBLIND_VULKAN_DIR") or default).absolute()


def ensure() -> None:
    """Make rendering possible in this process and in its children, or say why it is not.

    Raises:
        UnblindError: no Vulkan driver is usable and none could be set up.
    """
    global _verdict
    mode = _mode()
    if _verdict is not None:
        return
    os.environ.setdefault("MS_SKIP_ASSET_DOWNLOAD_PROMPT", "1")
    # lavapipe draws in the calling thread: two workers on two cores must not share them with more.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    verdict = _remembered(mode) or _decide(mode)
    if verdict["driver"] == "private":
        lavapipe.load(folder())
    _verdict = verdict


def describe() -> dict[str, Any]:
    """Return what is known of the driver without setting one up, for provenance.

    Returns:
        ``driver`` ("system", "private" or "none so far"), ``device``, ``backend`` (ManiSkill's name
        of it) and, for the private one, ``mesa`` and ``llvm`` (Debian package versions).
    """
    verdict = _verdict
    if verdict is None:
        with contextlib.suppress(UnblindError):
            verdict = _remembered(_mode())
    if verdict is None:
        return {"driver": "none so far"}
    known = {key: verdict[key] for key in ("driver", "device", "backend")}
    if known["driver"] == "private":
        installed = lavapipe.versions(folder())
        known |= {"mesa": installed[lavapipe.BACKPORT], "llvm": installed["libllvm15"]}
    return known


def backend() -> str:
    """Return ManiSkill's ``render_backend`` ("cpu" or "cuda") of the driver in force."""
    ensure()
    return describe()["backend"]


def probe(private: bool) -> tuple[dict[str, Any] | None, str]:
    """Draw a picture in a new process with the private or the machine's own driver.

    Returns:
        The probe's verdict (None when it failed) and, on failure, the reason in one line.
    """
    command = [sys.executable, "-m", "unblind.machine.probe"]
    command += [str(folder())] if private else []
    try:
        done = subprocess.run(
            command,
            env=_clean_environment(),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"no picture within {PROBE_SECONDS} s"
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode == 0:
        return json.loads(last), ""
    reason = (done.stderr.strip().splitlines() or [last])[-1]
    return None, reason or f"the probe ended with code {done.returncode}"


def _mode() -> str:
    """Return the value of UNBLIND_VULKAN, checked."""
    mode = os.environ.get("UNBLIND_VULKAN") or "auto"
    if mode == "off":
        raise UnblindError(
            "no Vulkan device: rendering is switched off by UNBLIND_VULKAN=off",
            "unset UNBLIND_VULKAN to use this machine's driver or the software renderer",
        )
    if mode not in ("auto", "system", "private"):
        raise UnblindError(f"UNBLIND_VULKAN={mode} is unknown", "use auto, system, private or off")
    return mode


def _decide(mode: str) -> dict[str, Any]:
    """Find a usable driver, the machine's own first, and remember it."""
    refusal = "not tried"
    if mode != "private":
        seen, refusal = probe(private=False)
        if seen is not None:
            return _remember(mode, {"driver": "system"} | seen)
    if mode == "system":
        raise UnblindError(
            f"the machine's own Vulkan driver is not usable: {refusal}",
            "install a Vulkan driver of the GPU, or Mesa 25 or later, or unset UNBLIND_VULKAN",
        )
    lavapipe.install(folder())
    seen, reason = probe(private=True)
    if seen is None:
        raise UnblindError(
            f"no Vulkan driver is usable (own: {refusal}; private: {reason})",
            f"remove {folder()} and try again, or install a Vulkan driver (Mesa 25 or later)",
        )
    return _remember(mode, {"driver": "private"} | seen)


def _remember(mode: str, verdict: dict[str, Any]) -> dict[str, Any]:
    """Keep the verdict for the next process; a folder that cannot be written costs a probe each."""
    with contextlib.suppress(UnblindError, OSError):
        files.write_json(folder() / "verdict.json", {"key": _key(mode)} | verdict)
    return verdict


def _remembered(mode: str) -> dict[str, Any] | None:
    """Return the kept verdict while everything that it rests on is as it was."""
    try:
        kept = json.loads((folder() / "verdict.json").read_text())
        fresh = kept.pop("key") == _key(mode)
        usable = kept["driver"] == "system" or lavapipe.installed(folder())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return kept if fresh and usable else None


def _key(mode: str) -> dict[str, Any]:
    """Return what a verdict depends on: GPU nodes, driver files, SAPIEN, the user's settings."""
    nodes = [
        str(path) for pattern in ("dri/render*", "nvidia*") for path in Path("/dev").glob(pattern)
    ]
    places = [Path(folder) / "vulkan" / "icd.d" for folder in _DRIVER_PLACES]
    drivers = {
        str(path): path.stat().st_mtime_ns
        for folder in places
        for path in sorted(folder.glob("*.json"))
    }
    clean = _clean_environment()
    return {
        "mode": mode,
        "nodes": sorted(nodes),
        "drivers": drivers,
        "sapien": importlib.metadata.version("sapien"),
        "settings": {name: clean[name] for name in _DRIVER_VARIABLES if name in clean},
    }


def _clean_environment() -> dict[str, str]:
    """Return this process's environment as it was before a private driver was put into it."""
    clean = dict(os.environ)
    for name in _DRIVER_VARIABLES:
        if clean.get(name) == str(lavapipe.icd(folder())):
            del clean[name]
    paths = clean.pop("LD_LIBRARY_PATH", "").split(os.pathsep)
    kept = [path for path in paths if path and path != str(folder() / "lib")]
    if kept:
        clean["LD_LIBRARY_PATH"] = os.pathsep.join(kept)
    # The probe must find this package wherever the caller found it.
    source = str(Path(__file__).parents[2])
    clean["PYTHONPATH"] = os.pathsep.join(filter(None, [source, clean.get("PYTHONPATH", "")]))
    return clean


def main() -> int:
    """Set the renderer up and print one line about it."""
    try:
        ensure()
    except UnblindError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("renderer: " + ", ".join(f"{key} {value}" for key, value in describe().items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
