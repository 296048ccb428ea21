"""The toy study: a copy of the repository whose simulator and learning are fakes.

The fakes write made-up artifacts in no time; everything else (Snakefile, profile, command line,
store, table) is real, started with an empty environment as in a plain shell on a bare machine.
"""

import atexit
import compileall
import hashlib
import os
import py_compile
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import forking
import pytest
import synthetic
import yaml

from unblind.config import files
from unblind.study import pulled_base as base

ROOT = Path(__file__).parents[1]
FAKES = {
    "demos/collect.py": "def collect(config, out, workers, which):\n    write_demos(config, out)\n",
    "rollout/replay.py": (
        "def replay(config, demos, out, workers):\n"
        "    write_replay(config, out, [demos / 'manifest.json'])\n"
    ),
    "rollout/run.py": (
        "from unblind.rollout.trained import model_files\n\n\n"
        "def rollout(config, run, seed, out, names, workers, rule='rollout'):\n"
        "    finals = {'carrot': 2} if run == 'oracle' else {}\n"
        "    inputs = model_files(config, run, seed)\n"
        "    write_records(config, run, seed, out, finals, inputs, [rule])\n"
    ),
    "steps/base.py": "def held_out(config, workers):\n    write_held_out(config)\n",
    "steps/answering.py": (
        "from pathlib import Path\n\n"
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def ask(config, run, seed):\n"
        "    inputs = check_inputs(Job(config, 'answers', run, seed))\n"
        "    write_answers(config, run, seed, Path(config.results, 'answers'), None, inputs)\n"
    ),
    "rollout/thinking.py": (
        "from unblind.study.jobs import Job, stage_of\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def think(config, run, seed, out, names, workers):\n"
        "    job = Job(config, stage_of(config, 'think', run), run, seed)\n"
        "    write_think(config, run, seed, out.parents[1], check_inputs(job))\n"
    ),
    "steps/thinking.py": (
        "from pathlib import Path\n\n"
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def frames(config):\n"
        "    write_think_frames(config)\n\n\n"
        "def answer(config, run, seed):\n"
        "    inputs = check_inputs(Job(config, 'think_answers', run, seed))\n"
        "    folder = Path(config.results, 'think-answers')\n"
        "    write_think_answers(config, run, seed, folder, inputs)\n"
    ),
    "steps/drifting.py": (
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def drift(config, run, seed):\n"
        "    inputs = check_inputs(Job(config, 'drift', run, seed))\n"
        "    write_drift(config, run, seed, inputs=inputs)\n"
    ),
    "steps/surveying.py": (
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def landscape(config):\n"
        "    write_landscape(config, check_inputs(Job(config, 'landscape')))\n"
    ),
    "steps/attending.py": (
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def frames(config):\n    write_frames(config)\n\n\n"
        "def attend(config, run, seed):\n"
        "    inputs = check_inputs(Job(config, 'attention', run, seed))\n"
        "    write_attention(config, run, seed, inputs=inputs)\n\n\n"
        "def collapse(config, run, seed):\n"
        "    inputs = check_inputs(Job(config, 'collapse', run, seed))\n"
        "    write_collapse(config, run, seed, inputs=inputs)\n"
    ),
    "steps/probing.py": (
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def pictures(config):\n"
        "    write_probe_pictures(config)\n\n\n"
        "def _write(job):\n"
        "    write_probes(job, check_inputs(job))\n\n\n"
        "def model(config, run, seed):\n"
        "    _write(Job(config, 'probe', run, seed))\n\n\n"
        "def teacher(config, run=None):\n"
        "    _write(Job(config, 'probe_teacher', run))\n\n\n"
        "def references(config):\n"
        "    _write(Job(config, 'probe_references'))\n"
    ),
    "steps/knocking_out.py": (
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def knock_out(config, run, seed, out, names, workers):\n"
        "    inputs = check_inputs(Job(config, 'knockout', run, seed))\n"
        "    write_knockout(config, run, seed, inputs)\n"
    ),
    "steps/finetuning.py": (
        "from unblind.study.jobs import Job\n"
        "from unblind.study.making import check_inputs\n\n\n"
        "def _write(config, name, run=None):\n"
        "    job = Job(config, name, run)\n"
        "    write_features(job.outputs[0], job.settings, name, check_inputs(job))\n\n\n"
        "def low(config):\n"
        "    _write(config, 'features_low')\n\n\n"
        "def teacher(config, run=None):\n"
        "    _write(config, 'features_teacher', run)\n\n\n"
        "def train(config, run, seed):\n"
        "    job = Job(config, 'training', run, seed)\n"
        "    write_adapter(config, run, seed, check_inputs(job))\n"
    ),
}
SMOKE = ("--configfile", "workflow/config/smoke.yaml")
OPTIONS = ("--config", SMOKE[1])
TABLE = "results/table1.md"
#: git needs an identity to commit, and nothing of the machine's settings.
AUTHOR = {
    f"GIT_{role}_{kind}": value
    for role in ("AUTHOR", "COMMITTER")
    for kind, value in (("NAME", "a"), ("EMAIL", "a@b.c"))
}
_FOLDERS = ("src", "workflow", "profiles", "paper")
_FILES = ("Snakefile", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")
_FILES += ("results/.gitignore", "dvcstore/.gitattributes")
#: What `scripts/setup.sh` goes by to tell whether an environment is ready.
_SET_UP_FROM = ("requirements.in", "requirements.lock", "pyproject.toml", "scripts/setup.sh")
STAMP = "setup.stamp"
#: Runs of a whole checkout: those that the documentation's commands name, and few others.
_RUNS = ("default", "align", "oracle")


def make(folder: Path) -> Path:
    """Copy the repository to ``folder``, with fakes and a published base."""
    return Path(shutil.copytree(_made(), folder, dirs_exist_ok=True))


@cache
def _made() -> Path:
    """Make what is copied once in a process, compiled: DVC alone takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="unblind-toy-"))
    atexit.register(shutil.rmtree, folder)
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.rmtree(folder / "paper" / "published", ignore_errors=True)
    for name, text in FAKES.items():
        (folder / "src" / "unblind" / name).write_text(f"from synthetic import *\n\n\n{text}")
    # By hashes instead of times: valid in clones, too (`take_compiled`).
    hashed = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(folder / "src", quiet=1, invalidation_mode=hashed)
    synthetic.write_base(folder / "made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        base.promote("made")
    shutil.rmtree(folder / "results" / "base")
    shutil.rmtree(folder / "made")
    return folder


def checkout(folder: Path) -> Path:
    """Make a committed toy study whose mini scale is tiny, with all that the documentation names.

    Its environment is the one that runs this; `make setup` finds it ready.
    """
    make(folder)
    for name in (*_SET_UP_FROM, "Makefile"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    configs = folder / "workflow" / "config"
    complete = {path: files.read(path) for path in configs.glob("*.yaml")}
    del complete[configs / "defects.yaml"]  # it extends the tiny one
    complete[configs / "ablations.yaml"] = _tiny_ablations()
    mini, tiny = complete[configs / "mini.yaml"], dict(complete[configs / "smoke.yaml"])
    tiny["scale"] = mini["scale"]
    tiny["runs"] = {run: mini["runs"][run] for run in _RUNS}
    tiny["table1"] = {"rows": list(_RUNS)}
    complete |= {configs / f"{name}.yaml": tiny for name in ("mini", "study", "published")}
    for path, values in complete.items():
        path.write_text(yaml.safe_dump(values, sort_keys=False))
    set_up(folder)
    shell(folder, "git init -q && git add . && git commit -qm study")
    return folder


def _tiny_ablations() -> dict[str, Any]:
    """Return what ablations.yaml says, with as many episodes a row as the study that it extends."""
    text = (ROOT / "workflow" / "config" / "ablations.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    for run in values["runs"].values():
        run.pop("rollout", None)
    return values


def clone(project: Path, folder: Path) -> Path:
    """Make a fresh clone of a committed toy study, its environment ready."""
    shell(project, f"git clone -q . {shlex.quote(str(folder))}")
    take_compiled(project, folder)
    set_up(folder)
    return folder


def take_compiled(project: Path, clone: Path) -> None:
    """Copy compiled modules, which git leaves out, to a clone: compiling takes seconds."""
    for folder in (project / "src").rglob("__pycache__"):
        shutil.copytree(folder, clone / folder.relative_to(project), dirs_exist_ok=True)


def set_up(project: Path) -> None:
    """Leave what `make setup` leaves, with the environment that runs this."""
    venv = project / ".venv"
    venv.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != STAMP:
            (venv / part.name).symlink_to(part)
    key = hashlib.sha256(b"".join((project / name).read_bytes() for name in _SET_UP_FROM))
    (venv / STAMP).write_text(f"{key.hexdigest()} {project.resolve()}")


def shell(project: Path, command: str) -> str:
    """Run a command as a plain shell does, without an activated environment; return what it says.

    Should `make setup` take the environment for another one, it fails instead of making its own.
    """
    active = str(Path(sys.executable).parent)
    path = [one for one in os.get_exec_path() if one != active]
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=project,
        env=environment(project) | AUTHOR | {"PATH": ":".join(path), "UNBLIND_PYTHON": "none"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    return done.stdout


def environment(project: Path) -> dict[str, str]:
    """Return nothing but the place of the fakes."""
    return {"PYTHONPATH": f"{project / 'src'}:{ROOT / 'tests'}"}


def python(project: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a Python module in a project; its output and errors are one text."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as said:
        code = forking.run(words, project, environment(project) | variables, Path(said.name))
        return subprocess.CompletedProcess(words, code, said.read())


def snakemake(project: Path, *words: str) -> subprocess.CompletedProcess:
    """Run Snakemake in a project."""
    return python(project, "snakemake", *words)


def jobs(project: Path, *words: str, target: str = TABLE) -> dict[str, int]:
    """Return how many jobs of each rule a call would run."""
    done = snakemake(project, "-n", target, "--quiet", "host", *words)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.partition("Job stats:")[2].partition("\n\n")[0].splitlines()
    counts = [line.split() for line in lines[3:]]
    return {rule: int(count) for rule, count in counts if rule != "total"}
