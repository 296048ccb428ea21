"""The package as a wheel, installed in an environment of its own and used in an empty folder."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import synthetic
from PIL import Image

ROOT = Path(__file__).parents[1]
TEXT = "put carrot on plate"
#: What runs without a checkout, in one process: learning libraries take seconds to load.
ANYWHERE = (
    ("conditions",),
    ("decode", "carrot", "5"),
    ("catalog",),
    ("schema",),
    ("twin", "openvla", "a-twin"),
    ("openvla", "a-twin", "picture.png", TEXT, "--unnorm-key", "bridge_orig"),
    ("predict", "picture.png", TEXT, "--base", "a-base"),
)
OF_A_STUDY = (("table1",), ("verify",), ("predict", "picture.png", TEXT), ("audit",))
PROGRAM = """
import contextlib, io, json, sys
from unblind.cli import app
from unblind.errors import UnblindError

for words in json.loads(sys.argv[1]):
    out, problem = io.StringIO(), None
    with contextlib.redirect_stdout(out):
        try:
            app(words, standalone_mode=False)
        except UnblindError as error:
            problem = str(error)
    print(json.dumps([out.getvalue(), problem]))
"""


def call(*command, folder):
    """Run a command with nothing of this checkout in its way, and return what it printed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built by the project's own backend from a copy of what it reads."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    backend = project["build-system"]["build-backend"]
    if importlib.util.find_spec(backend.partition(".")[0]) is None:
        pytest.skip(f"the build backend {backend} is not installed")
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder / name)
    build = f"import {backend} as backend; print(backend.build_wheel('.'))"
    *_, name = call(sys.executable, "-c", build, folder=folder).split()
    return folder / name


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment with the wheel, and with this one's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    call(*pip, "install", "-q", "--no-deps", "--no-index", "--no-compile", wheel, folder=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # A line of such a file is a folder, whose own such files (an editable install) are not read.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder that is no checkout, with a picture and a base."""
    folder = tmp_path_factory.mktemp("elsewhere")
    Image.new("RGB", (64, 48), (200, 80, 30)).save(folder / "picture.png")
    synthetic.tiny_base(folder / "a-base")
    return folder


@pytest.fixture(scope="module")
def said(python, elsewhere):
    """What each command printed, and its error."""
    asked = (*ANYWHERE, *OF_A_STUDY)
    lines = call(python, "-c", PROGRAM, json.dumps(asked), folder=elsewhere).splitlines()
    return {words: json.loads(line) for words, line in zip(asked, lines, strict=True)}


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = (path for path in (ROOT / "src" / "unblind").rglob("*") if path.is_file())
    kept = {path for path in source if "__pycache__" not in path.parts}
    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in kept}


def test_the_script_runs_and_the_version_is_the_project_s(python, elsewhere):
    assert "Usage: unblind" in call(python.with_name("unblind"), "--help", folder=elsewhere)
    program = (
        "import importlib.metadata, unblind; "
        "print(importlib.metadata.version('unblind'), unblind.__file__)"
    )
    version, place = call(python, "-c", program, folder=elsewhere).split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version == project["version"]
    assert Path(place).is_relative_to(python.parents[1])


@pytest.mark.parametrize("words", ANYWHERE, ids=" ".join)
def test_what_needs_no_study_runs_in_any_folder(words, said):
    text, problem = said[words]
    assert problem is None
    assert text


def test_it_says_what_it_says_in_a_checkout(said):
    conditions, _ = said["conditions",]
    assert len(conditions.splitlines()) == 14
    catalog, _ = said["catalog",]
    assert len(catalog.splitlines()) == 25 + 17 + 21
    for words in ANYWHERE[-2:]:
        action, _ = said[words]
        assert [line.split()[0] for line in action.splitlines()][-1] == "gripper"


@pytest.mark.parametrize("words", OF_A_STUDY, ids=" ".join)
def test_what_needs_a_study_says_so(words, said, elsewhere):
    text, problem = said[words]
    assert text == ""
    assert problem.startswith(f"no study in {elsewhere}: ")
    assert "this command needs a checkout: clone the project" in problem
