"""A private copy of Mesa's software renderer (lavapipe) that touches nothing outside its folder.

SAPIEN 3.0.3 needs Mesa 25 or later; Debian 12 ships 22.3 and carries 25.0 in its backports. The
packages are fetched with the machine's own apt configuration and keys, unpacked next to their final
place, and only the libraries that lavapipe needs are kept. They are loaded into the running process
by absolute path, so that neither root nor a wrapper script nor LD_LIBRARY_PATH is needed.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from unblind import files
from unblind.errors import UnblindError

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TRIPLET = "x86_64-linux-gnu"
DRIVER = "libvulkan_lvp.so"

BACKPORT = "mesa-vulkan-drivers"
"""The one package that must come from the backports."""

PACKAGES = (
    "libbsd0 libdrm2 libedit2 libexpat1 libicu72 libllvm15 libvulkan1 libwayland-client0 libx11-6 "
    "libx11-xcb1 libxau6 libxcb1 libxcb-dri3-0 libxcb-present0 libxcb-randr0 libxcb-shm0 "
    "libxcb-sync1 libxcb-xfixes0 libxdmcp6 libxml2 libxshmfence1 libz3-4"
).split()
"""What lavapipe and SAPIEN link that a minimal Debian 12 does not have."""

LIBRARIES = (
    "libXau.so.6 libbsd.so.0 libXdmcp.so.6 libxcb.so.1 libX11.so.6 libvulkan.so.1 libedit.so.2 "
    "libz3.so.4 libicudata.so.72 libicuuc.so.72 libxml2.so.2 libLLVM-15.so.1 libdrm.so.2 "
    "libexpat.so.1 libxcb-randr.so.0 libX11-xcb.so.1 libxcb-dri3.so.0 libxcb-present.so.0 "
    "libxcb-xfixes.so.0 libxcb-sync.so.1 libxcb-shm.so.0 libxshmfence.so.1 "
    f"libwayland-client.so.0 {DRIVER}"
).split()
"""In loading order: each library comes after those that it needs."""


def installed(folder: Path) -> bool:
    """Tell whether ``folder`` holds the whole driver (the version list is written last)."""
    return (folder / "lib" / "versions.json").is_file()


def versions(folder: Path) -> dict[str, str]:
    """Return package -> version of the driver in ``folder``."""
    return json.loads((folder / "lib" / "versions.json").read_text())


def icd(folder: Path) -> Path:
    """Return the path of the file that tells a Vulkan loader where the driver of ``folder`` is."""
    return folder / "lvp_icd.json"


def load(folder: Path) -> None:
    """Make the driver of ``folder`` the one of this process and of its children.

    Raises:
        UnblindError: a library is missing or cannot be loaded, or the folder is not writable.
    """
    _write_icd(folder)
    libraries = folder / "lib"
    os.environ["VK_ICD_FILENAMES"] = os.environ["VK_DRIVER_FILES"] = str(icd(folder))
    # The loader of this process read the variable at its start; it serves children, and SAPIEN,
    # which looks there for libvulkan.so.1 before it takes its own older copy.
    paths = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    if str(libraries) not in paths:
        kept = [path for path in paths if path]
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([str(libraries), *kept])
    for name in LIBRARIES:
        try:
            ctypes.CDLL(str(libraries / name))
        except OSError as error:
            raise UnblindError(
                f"the private Vulkan driver is damaged: {error}",
                f"remove {folder}, then run the same command",
            ) from error


def _write_icd(folder: Path) -> None:
    """Write the driver's description unless it is right (the folder may have been moved)."""
    library = str(folder / "lib" / DRIVER)
    text = {
        "ICD": {"api_version": "1.4.305", "library_path": library},
        "file_format_version": "1.0.1",
    }
    with contextlib.suppress(OSError, ValueError):
        if json.loads(icd(folder).read_text()) == text:
            return
    files.write_json(icd(folder), text)


def install(folder: Path) -> None:
    """Fetch and unpack the driver into ``folder`` unless it is there; one process does the work.

    Raises:
        UnblindError: not Debian 12 on x86-64, no mirror or network, disk full, folder not writable.
    """
    if installed(folder):
        return
    _check_system()
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel frees it when its holder dies
            if not installed(folder):
                _install(folder)


def _install(folder: Path) -> None:
    """Fetch into a temporary folder next to the final one, then rename it."""
    print(f"unblind: fetching the software renderer (54 MB) into {folder}", file=sys.stderr)
    for leftover in folder.glob("fetch-*"):  # of a killed process: we hold the lock
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as name:
        work = Path(name)
        archives = _download(work)
        installed = {}
        for archive in archives:
            _run(["dpkg", "-x", str(archive), str(work / "root")], work)
            package, version = _identity(archive, work)
            installed[package] = version
        _gather(work / "root", work / "lib")
        files.write_json(work / "lib" / "versions.json", installed)
        shutil.rmtree(folder / "lib", ignore_errors=True)
        os.replace(work / "lib", folder / "lib")


def _gather(root: Path, target: Path) -> None:
    """Copy the libraries in use flat into ``target``, following links."""
    target.mkdir()
    for name in LIBRARIES:
        places = [root / "usr/lib" / TRIPLET / name, root / "lib" / TRIPLET / name]
        source = next((candidate for candidate in places if candidate.exists()), None)
        if source is None:
            raise UnblindError(
                f"the Debian packages hold no {name}", "report this with your mirror's name"
            )
        shutil.copyfile(source.resolve(), target / name)


def _identity(archive: Path, work: Path) -> tuple[str, str]:
    """Return name and version of a package file."""
    shown = _run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(archive)], work)
    name, version = shown.split()
    return name, version


def _download(work: Path) -> list[Path]:
    """Fetch the packages with an apt that keeps all its state in ``work``; apt checks the keys."""
    state, cache, debs = work / "state", work / "cache", work / "debs"
    for path in (state / "lists/partial", cache / "archives/partial", debs):
        path.mkdir(parents=True)
    (state / "status").touch()
    mirror, sources = _mirror(work), work / "sources.list"
    key = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    suites = (SUITE, f"{SUITE}-backports")
    sources.write_text("".join(f"deb {key}{mirror} {suite} main\n" for suite in suites))
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": cache,
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
        "APT::Sandbox::User": "root",  # apt's own user cannot read a folder of ours
        "APT::Update::Error-Mode": "any",
    }
    apt = ["apt-get", "-q"] + [f"-o{key}={value}" for key, value in options.items()]
    _run([*apt, "update"], debs)
    _run([*apt, "download", *PACKAGES, f"{BACKPORT}/{SUITE}-backports"], debs)
    return sorted(debs.glob("*.deb"))


def _mirror(work: Path) -> str:
    """Return the address from which this machine gets Debian, out of its own apt sources."""
    lists = work / "no-lists" / "partial"
    lists.mkdir(parents=True)
    printed = _run(
        ["apt-get", "update", "--print-uris", f"-oDir::State::Lists={lists.parent}"], work
    )
    match = re.search(rf"'(\S+)/dists/{SUITE}/InRelease'", printed)
    if match is None:
        raise UnblindError(
            "this machine's apt sources name no Debian 12 mirror",
            "add one to /etc/apt/sources.list, or install a Vulkan driver (Mesa 25 or later)",
        )
    return match.group(1)


def _run(command: list[str], folder: Path) -> str:
    """Run a command of the packaging tools in ``folder`` and return its output."""
    environment = {**os.environ, "LC_ALL": "C"}
    environment.setdefault("HOME", str(folder))
    environment.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise UnblindError(
            f"{command[0]} is not on this machine", "install a Vulkan driver (Mesa 25 or later)"
        ) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))]
        if "No space left" in done.stderr:
            raise OSError(errno.ENOSPC, "No space left on device")
        raise UnblindError(
            f"{command[0]} could not fetch the software renderer: {(lines or ['?'])[0]}",
            "check the network and the mirror in /etc/apt, then run the same command",
        )
    return done.stdout


def _check_system() -> None:
    """Raise unless this is a Debian 12 for x86-64."""
    release = {}
    with contextlib.suppress(OSError):
        release = platform.freedesktop_os_release()
    if release.get("VERSION_CODENAME") != SUITE or platform.machine() != "x86_64":
        raise UnblindError(
            "no usable Vulkan device, and the private software renderer is made for Debian 12 on "
            f"x86-64 only (this is {release.get('PRETTY_NAME', 'unknown')}, {platform.machine()})",
            "install libx11-6 and a Vulkan driver: the GPU's, or Mesa 25 or later",
        )


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn disk errors, which a user can fix, into the one exception that users see."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UnblindError(
                f"disk full while unpacking the software renderer into {folder}",
                "free 600 MB, or name another folder in UNBLIND_VULKAN_DIR",
            ) from error
        raise UnblindError(
            f"cannot write {folder}: {error.strerror}",
            "name a writable folder in UNBLIND_VULKAN_DIR",
        ) from error
