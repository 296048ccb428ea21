"""The container recipe, and the script that needs no engine, as text: nothing is built here."""

import json
import os
import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "container" / "Containerfile"
SCRIPT = ROOT / "scripts" / "container.sh"
INSTRUCTIONS = {"FROM", "RUN", "WORKDIR", "COPY", "ARG", "CMD"}


def instructions():
    """Return the recipe as pairs of an instruction and its text, comments left out."""
    lines = [line for line in RECIPE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def texts(name):
    return [text for word, text in instructions() if word == name]


def test_it_starts_from_debian_12_by_tag():
    assert instructions()[0] == ("FROM", "debian:12-slim")
    assert {word for word, _ in instructions()} <= INSTRUCTIONS


def test_packages_are_installed_in_one_layer_without_leftovers():
    (install,) = [text for text in texts("RUN") if "apt-get" in text]
    steps = [step.strip() for step in install.split("&&")]
    assert steps[0] == "apt-get update"
    assert steps[1].startswith("apt-get install -y --no-install-recommends ")
    assert steps[2] == "rm -rf /var/lib/apt/lists/*"
    packages = steps[1].split()[4:]
    assert packages == sorted(packages)
    # What set-up and the tests of HTML pages look for.
    browsers = re.search(r'"(chromium .*?)"', (ROOT / "scripts/browser.sh").read_text())[1]
    assert {"git", "make", "python3", "python3-venv", *browsers.split()} <= set(packages)


def test_its_shell_is_valid_and_fetches_nothing_unlocked():
    for text in texts("RUN"):
        subprocess.run(["sh", "-n", "-c", text], check=True)
        assert not re.search(r"\b(curl|wget|sudo|pip)\b", text)


def test_both_commands_are_targets_and_set_up_is_done_at_build_time():
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    (command,) = texts("CMD")
    assert json.loads(command) == ["make", "table1"]
    assert any(text.startswith("make setup") for text in texts("RUN"))
    order = [word for word, _ in instructions()]
    assert order.index("WORKDIR") < order.index("COPY") < len(order) - 1
    told = RECIPE.read_text() + (ROOT / "docs" / "containers.md").read_text()
    named = set(re.findall(r"unblind make (\w+)", told))
    assert named == {"table1", "test"}
    assert named <= targets
    (folder,) = texts("WORKDIR")
    assert set(re.findall(r"unblind-results:(\S+)", told)) == {f"{folder}/results"}


# ---- the same steps without an engine ---------------------------------------------------------


def script(folder, *words, **variables):
    return subprocess.run(
        ["sh", folder / "scripts" / "container.sh", *words],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def copied(tmp_path):
    """The script and the recipe in a folder with a blank in its name."""
    folder = tmp_path / "a checkout"
    for path in (SCRIPT, RECIPE):
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    return folder


def test_the_script_reads_the_recipe_as_it_is(copied):
    subprocess.run(["sh", "-n", SCRIPT], check=True)
    done = script(copied, "--steps")
    assert (done.returncode, done.stderr) == (0, "")
    wanted = [" ".join((word, *text.split())) for word, text in instructions()]
    assert done.stdout.splitlines() == wanted


def test_the_script_knows_every_instruction():
    known = set(re.findall(r"^        ([A-Z]+)\)", SCRIPT.read_text(), re.MULTILINE))
    assert known >= {word for word, _ in instructions()}


def test_the_script_removes_nothing_but_its_own_folder():
    (removed,) = re.findall(r"rm -\S+ .*", SCRIPT.read_text())
    assert removed == 'rm -rf --one-file-system -- "$work"'


@pytest.mark.skipif(os.geteuid() == 0, reason="for others than root")
def test_the_script_says_that_it_needs_root(copied):
    done = script(copied)
    assert done.returncode == 1
    assert done.stderr.startswith("error: a bare root needs root: ")


def test_the_script_says_which_tool_is_missing(copied, tmp_path):
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("sh", "dirname"):
        (bare / tool).symlink_to(shutil.which(tool))
    (bare / "id").write_text("#!/bin/sh\necho 0\n")
    (bare / "id").chmod(0o755)
    done = script(copied, PATH=str(bare))
    assert done.returncode == 1
    packages = "debootstrap git iproute2 util-linux"
    assert done.stderr == f"error: debootstrap is missing: as root, apt-get install {packages}\n"


def is_left_out(name, patterns):
    """Tell whether .dockerignore leaves out a path: the last pattern that fits it or a parent."""
    path, left_out = PurePosixPath(name), False
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if any(fits(part, bare) for part in (path, *path.parents)):
            left_out = bare == pattern
    return left_out


def fits(path, pattern):
    wanted = pattern.split("/")
    if wanted[0] == "**":
        return path.name and fnmatchcase(path.name, wanted[1])
    pairs = zip(path.parts, wanted, strict=False)
    return len(path.parts) == len(wanted) and all(fnmatchcase(a, b) for a, b in pairs)


def test_the_image_gets_every_tracked_file_and_no_results():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    # Weights on the way to the next base are no part of an image.
    tracked = [n for n in done.stdout.splitlines() if not n.startswith("results/rebuilt-base/")]
    assert len(tracked) > 100
    assert [name for name in tracked if is_left_out(name, patterns)] == []
    for name in (
        *(".venv/bin/python", "results/demos/manifest.json", "results/base/config.json"),
        *("src/unblind/__pycache__/cli.pyc", ".snakemake/log/x.log", "src/unblind.egg-info/x"),
    ):
        assert is_left_out(name, patterns), name
    kept = (".snakemake/metadata/x", "results/rollouts.dvc", ".git/HEAD", "dvcstore/files/md5/a")
    assert not [name for name in kept if is_left_out(name, patterns)]
