import errno
import json
import os
import shutil
import subprocess
import threading

import pytest

from unblind.errors import UnblindError
from unblind.machine import lavapipe

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg on this machine")


@pytest.fixture
def debian(monkeypatch):
    monkeypatch.setattr(lavapipe.platform, "machine", lambda: "x86_64")
    release = {"VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}
    monkeypatch.setattr(lavapipe.platform, "freedesktop_os_release", lambda: release)


def package(folder, names):
    """Build a Debian package that holds ``names``, half of them in each of the two folders."""
    tree = folder / "tree"
    for index, name in enumerate(names):
        place = tree / ("usr/lib" if index % 2 else "lib") / lavapipe.TRIPLET
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.1").write_text(name)
        (place / name).symlink_to(f"{name}.1")
    (tree / "DEBIAN").mkdir()
    control = f"Package: {lavapipe.BACKPORT}\nVersion: 25.0.7\nArchitecture: amd64\n"
    (tree / "DEBIAN/control").write_text(control + "Maintainer: a <a@b>\nDescription: c\n")
    subprocess.run(["dpkg-deb", "--build", tree, folder / "a.deb"], check=True, capture_output=True)
    return folder / "a.deb"


@needs_dpkg
def test_two_at_once_fetch_once_and_leave_only_the_libraries(debian, monkeypatch, tmp_path):
    archive = package(tmp_path, lavapipe.LIBRARIES)
    fetched = []

    def download(work):
        fetched.append(work)
        return [archive]

    monkeypatch.setattr(lavapipe, "_download", download)
    folder = tmp_path / "with a blank"
    (folder / "fetch-killed").mkdir(parents=True)
    threads = [threading.Thread(target=lavapipe.install, args=[folder]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "lib"]
    held = {path.name for path in (folder / "lib").iterdir()}
    assert held == {*lavapipe.LIBRARIES, "versions.json"}
    assert not any(path.is_symlink() for path in (folder / "lib").iterdir())
    assert (folder / "lib" / lavapipe.DRIVER).read_text() == lavapipe.DRIVER
    assert lavapipe.versions(folder) == {lavapipe.BACKPORT: "25.0.7"}


@needs_dpkg
def test_incomplete_packages_leave_nothing(debian, monkeypatch, tmp_path):
    archive = package(tmp_path, lavapipe.LIBRARIES[:-1])
    monkeypatch.setattr(lavapipe, "_download", lambda work: [archive])
    with pytest.raises(UnblindError, match=lavapipe.DRIVER):
        lavapipe.install(tmp_path / "driver")
    assert [path.name for path in (tmp_path / "driver").iterdir()] == [".lock"]


def test_full_disk_is_one_clear_error(debian, monkeypatch, tmp_path):
    def download(work):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lavapipe, "_download", download)
    with pytest.raises(UnblindError, match=r"disk full.*UNBLIND_VULKAN_DIR"):
        lavapipe.install(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_folder_that_cannot_be_made_is_one_clear_error(debian, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnblindError, match=r"cannot write .*UNBLIND_VULKAN_DIR"):
        lavapipe.install(tmp_path / "file" / "driver")


def test_other_systems_are_told_what_to_install(monkeypatch, tmp_path):
    release = {"VERSION_CODENAME": "trixie", "PRETTY_NAME": "Debian 13"}
    monkeypatch.setattr(lavapipe.platform, "freedesktop_os_release", lambda: release)
    with pytest.raises(UnblindError, match=r"Debian 13.*install libx11-6 and a Vulkan driver"):
        lavapipe.install(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_mirror_is_the_one_of_the_machines_own_sources(monkeypatch, tmp_path):
    printed = (
        "'https://mirror.example/sec/dists/bookworm-security/InRelease' a 0\n"
        "'https://mirror.example/debian/dists/bookworm/InRelease' b 0\n"
    )
    monkeypatch.setattr(lavapipe, "_run", lambda command, folder: printed)
    assert lavapipe._mirror(tmp_path) == "https://mirror.example/debian"


def test_no_debian_mirror_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setattr(lavapipe, "_run", lambda command, folder: "")
    with pytest.raises(UnblindError, match="no Debian 12 mirror"):
        lavapipe._mirror(tmp_path)


def test_load_names_a_damaged_library_and_repairs_a_moved_description(monkeypatch, tmp_path):
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/elsewhere")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / lavapipe.LIBRARIES[0]).write_text("no library")
    lavapipe.icd(tmp_path).write_text('{"ICD": {"library_path": "/before/the/move"}}')
    with pytest.raises(UnblindError, match=r"damaged.*remove"):
        lavapipe.load(tmp_path)
    described = json.loads(lavapipe.icd(tmp_path).read_text())
    assert described["ICD"]["library_path"] == str(tmp_path / "lib" / lavapipe.DRIVER)
    assert os.environ["VK_DRIVER_FILES"] == str(lavapipe.icd(tmp_path))
    assert os.environ["LD_LIBRARY_PATH"] == f"{tmp_path / 'lib'}:/elsewhere"
