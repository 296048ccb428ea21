import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unblind.machine import processor

# One thread a process: the suite runs in two processes on two cores. Set before anything imports
# NumPy or torch; child processes inherit it.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
# As commands do, whose results tests compare with those of their own process.
processor.pin()

ROOT = Path(__file__).parents[1]
#: Files of a minute and more. They are run first, so that two processes end at the same time.
LONGEST = ("test_docs_commands", "test_smoke", "test_pulled", "test_workflow", "test_finetune")

#: Modules whose loading is worth a collection, and how many there were at the last.
_MANY, _settled = 200, [0]


def pytest_collection_modifyitems(items):
    """Begin with the longest files; the others keep their order."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_runtest_setup(item):
    """Keep libraries out of collections of garbage once they are loaded, as workers do.

    ManiSkill collects for every scene, and goes through all that they hold each time.
    """
    if len(sys.modules) > _settled[0] + _MANY:
        gc.collect()
        gc.freeze()
        _settled[0] = len(sys.modules)


@pytest.fixture(scope="session")
def renderer():
    """Set the renderer up before SAPIEN is imported; for every test that needs pictures."""
    from unblind.machine import renderer

    renderer.ensure()
    return renderer


@pytest.fixture(scope="session")
def released_assets() -> Path:
    """Return the folder with (a part of) the authors' released files, or skip."""
    named = os.environ.get("UNBLIND_RELEASED_ASSETS")
    folder = Path(named) if named else ROOT.parent / "shared" / "upstream-assets"
    if not folder.is_dir():
        pytest.skip("no released assets: name their folder in UNBLIND_RELEASED_ASSETS")
    return folder


@pytest.fixture(scope="session")
def _made_up_release(tmp_path_factory):
    import made_up_release

    root = tmp_path_factory.mktemp("release")
    return root, made_up_release.write(root)


@pytest.fixture
def made_up_assets(_made_up_release, tmp_path, monkeypatch) -> Path:
    """Return a folder of made-up released files; this process takes their manifest for the real."""
    from unblind.sim import released_files

    root, manifest = _made_up_release
    monkeypatch.setattr(released_files, "manifest", lambda: manifest)
    return Path(shutil.copytree(root, tmp_path / "assets"))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB, or a reason why not."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)
