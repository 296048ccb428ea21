import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from unblind.machine.doctor import pins, versions_check

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
WANTED = (ROOT / "requirements.in").read_text()
SETUP_INPUTS = ("requirements.in", "requirements.lock", "pyproject.toml", "scripts/setup.sh")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_conda_environment_names_python_tools_and_the_lock_only():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert pip == ["--require-hashes", "-r requirements.lock"]
    assert {item.split("=")[0] for item in plain} == {"python", "pip", "git"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "python=3.11" in plain
    assert project["requires-python"] == ">=3.11,<3.12"


def test_torch_is_pinned_alike_outside_the_lock():
    torch = pins(WANTED)["torch"]
    assert "torch" not in pins(LOCK)
    assert f"pip install torch=={torch}" in (ROOT / "environment.yml").read_text()


def test_lock_holds_every_wanted_package_with_hashes_and_no_cuda():
    locked = {normal(name): version for name, version in pins(LOCK).items()}
    wanted = {normal(name): version for name, version in pins(WANTED).items() if name != "torch"}
    assert {name: locked.get(name) for name in wanted} == wanted
    entries = re.split(r"\n(?=[A-Za-z])", LOCK.strip())
    assert len(entries) == len(locked)
    assert all("--hash=sha256:" in entry for entry in entries)
    cuda = [name for name in locked if re.match(r"nvidia-|cuda-|triton$", name)]
    assert cuda == ["nvidia-ml-py"]  # pure Python, reads a driver's counters
    assert "opencv-python" not in locked


def test_one_python_everywhere():
    version = "3.11"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == f">={version},<3.12"
    assert project["tool"]["ruff"]["target-version"] == "py311"
    assert f"--python-version {version} " in (ROOT / "Makefile").read_text()
    for name in ("environment.yml", "workflow/envs/main.yaml"):
        dependencies = yaml.safe_load((ROOT / name).read_text())["dependencies"]
        (python,) = (d for d in dependencies if isinstance(d, str) and d.startswith("python"))
        assert python.removesuffix(".*") == f"python={version}", name


def test_nothing_is_installed_by_conda_and_by_pip():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_conda = {re.split("[=<>]", item)[0] for item in dependencies if isinstance(item, str)}
    assert by_conda & {normal(name) for name in pins(LOCK)} == set()
    assert "torch" not in by_conda


def test_the_lock_was_made_from_the_wanted_packages():
    # The compiler notes below each package who asked for it.
    asked = {
        normal(entry.split("==")[0])
        for entry in re.split(r"\n(?=[A-Za-z])", LOCK.strip())
        if "-r requirements.in" in entry
    }
    assert asked == {normal(name) for name in pins(WANTED)} - {"torch"}
    dropped = (ROOT / "requirements.overrides").read_text()
    never = re.findall(r"^([a-z0-9-]+) ; sys_platform == 'never'$", dropped, re.MULTILINE)
    assert never and not set(never) & {normal(name) for name in pins(LOCK)}


def test_locked_packages_fit_together():
    locked = {normal(name): version for name, version in pins(LOCK).items()}
    locked["torch"] = pins(WANTED)["torch"]
    problems = []
    for name in locked.keys() - {"torch"}:
        for text in importlib.metadata.distribution(name).requires or []:
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
                continue
            version = locked.get(normal(wanted.name), "none")
            if version == "none" or not wanted.specifier.contains(version, prereleases=True):
                problems.append((name, normal(wanted.name), version))
    # opencv-python-headless stands in for it.
    assert problems == [("sapien", "opencv-python", "none")]


def test_installed_versions_are_the_locked_ones():
    check = versions_check()
    assert check.ok, check.detail


@pytest.fixture
def checkout(tmp_path):
    """A copy of what set-up reads, in a folder with a blank in its name."""
    folder = tmp_path / "a checkout"
    for name in SETUP_INPUTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def set_up(checkout, **settings):
    return subprocess.run(
        ["sh", str(checkout / "scripts/setup.sh")],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_finished_set_up_is_not_done_again(checkout):
    content = b"".join((checkout / name).read_bytes() for name in SETUP_INPUTS)
    (checkout / ".venv").mkdir()
    stamp = f"{hashlib.sha256(content).hexdigest()} {checkout.resolve()}"
    (checkout / ".venv/setup.stamp").write_text(stamp)
    done = set_up(checkout, UNBLIND_PYTHON="/bin/false")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("change", ["moved", "new lock", "never done"])
def test_wrong_python_is_one_line_and_a_changed_checkout_is_set_up_again(checkout, change):
    if change != "never done":
        test_finished_set_up_is_not_done_again(checkout)
    if change == "moved":
        checkout = checkout.rename(checkout.with_name("moved away"))
    if change == "new lock":
        (checkout / "requirements.lock").write_text("other==1.0\n")
    done = set_up(checkout, UNBLIND_PYTHON="/bin/false")
    assert done.returncode == 1
    assert done.stderr == "error: UNBLIND_PYTHON=/bin/false is no Python 3.11\n"
    assert not (checkout / ".venv/bin").exists()


def test_an_environment_behind_a_link_is_not_emptied(checkout, tmp_path):
    other = tmp_path / "another checkout's"
    other.mkdir()
    (other / "kept").touch()
    (checkout / ".venv").symlink_to(other)
    done = set_up(checkout, UNBLIND_PYTHON=sys.executable)
    assert (done.returncode, (other / "kept").exists()) == (1, True)
    assert f".venv is a link to {other}" in done.stderr


def test_commands_are_valid_shell():
    for name in ("scripts/setup.sh", ".ci/run"):
        shell = "bash" if name == ".ci/run" else "sh"
        subprocess.run([shell, "-n", ROOT / name], check=True)


@pytest.mark.parametrize(("home", "wanted"), [("/dev/null", f"{ROOT}/.cache"), ("", None)])
def test_make_finds_a_place_for_caches_where_the_home_folder_takes_none(tmp_path, home, wanted):
    variables = {"HOME": home or str(tmp_path), "PATH": os.environ["PATH"]}
    command = ["make", "--no-print-directory", "-pn", "help"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    found = re.search(r"^XDG_CACHE_HOME := (.*)$", done.stdout, re.MULTILINE)
    assert (found and found[1]) == wanted
