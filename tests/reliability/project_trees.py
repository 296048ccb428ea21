"""Copies of this repository in which studies are run and disturbed, and what stands in them."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from leftovers import HOOK, wait_gone

from unblind.config import digest
from unblind.files import sha256

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # where the toy study is
TABLE = "results/table1.md"
SMOKE = "workflow/config/smoke.yaml"
#: The smallest study that runs every stage with nothing replaced, the making of a base included.
TINY = """
rebuild_base: true
rollout: {episodes: 1, in_distribution_episodes: 2, max_steps: 3, scenes: 1}
replay: {episodes: 1}
table1: {rows: [default, align, base, oracle, random, noop]}
"""
#: What differs in sidecars and logs of training between two runs with the same result; of an
#: artifact's bytes the artifact itself tells.
MEASURED = {"started", "wall_s", "cpu_s", "peak_memory_mib", "hardware", "renderer", "sha256"}
#: Pages that are rendered from records in seconds.
RENDERED = {".md", ".csv", ".tex", ".html"}
#: The line of a table that quotes the sidecars' times.
COSTS = "CPU-seconds"
PATIENCE_S = 3600  # for a crowded machine; a few minutes on a free one


@dataclass(frozen=True)
class Done:
    """A finished call.

    Attributes:
        code: exit code, negative if a signal ended it.
        text: all that it printed.
        seconds: wall time.
    """

    code: int
    text: str
    seconds: float


@dataclass(frozen=True)
class Tree:
    """A copy of the repository.

    Attributes:
        folder: its root.
        configs: configuration files, merged in this order.
        path: further folders of Python modules.
        prefix: words before every command, for instance "faketime".
    """

    folder: Path
    configs: tuple[str, ...] = (SMOKE,)
    path: tuple[Path, ...] = ()
    prefix: tuple[str, ...] = ()

    @property
    def results(self) -> Path:
        """The folder of the study's results."""
        return self.folder / "results"

    def environment(self, **variables: str) -> dict[str, str]:
        """Nothing but the place of the modules: the study needs no more."""
        places = (self.folder / "src", HOOK, *self.path)
        return {"PYTHONPATH": os.pathsep.join(map(str, places))} | variables

    def start(
        self, *words: str, module: str = "snakemake", out: str = "output.txt", **variables: str
    ) -> subprocess.Popen:
        """Start a Python module in a process group of its own; it prints into the file ``out``."""
        with open(self._output(out), "w") as output:
            return subprocess.Popen(
                [*self.prefix, sys.executable, "-m", module, *words],
                cwd=self.folder,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _output(self, name: str) -> Path:
        """Outside the tree, whose disk may be full."""
        return self.folder.with_name(f"{self.folder.name}-{name}")

    def build(self, *words: str) -> tuple[str, ...]:
        """Return the words that make Snakemake build Table 1."""
        return (TABLE, "--cores", "2", *words, "--configfile", *self.configs)

    def said(self, out: str = "output.txt") -> str:
        """Return what the last call with this ``out`` printed."""
        return self._output(out).read_text(errors="replace")

    def run(self, *words: str, module: str = "snakemake", **variables: str) -> Done:
        """Run a module to its end."""
        begin = time.monotonic()
        process = self.start(*words, module=module, **variables)
        code = process.wait(timeout=PATIENCE_S)
        return Done(code, self.said(), time.monotonic() - begin)

    def make(self, *words: str) -> Done:
        """Build Table 1."""
        return self.run(*self.build(*words))

    def jobs(self, *words: str) -> dict[str, int]:
        """Return how many jobs of each rule a call would run."""
        import toy_study

        return toy_study.jobs(self.folder, *words, "--configfile", *self.configs)

    def pull(self) -> Done:
        """Pull the published base."""
        return self.run("base", "pull", module="unblind.cli")

    def forget_results(self, keep: tuple[str, ...] = ("base.dvc",)) -> None:
        """Make the tree as a fresh clone has it, but for some results."""
        for path in self.results.iterdir():
            if path.name not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self.folder / ".snakemake", ignore_errors=True)

    def copy(self, folder: Path) -> "Tree":
        """Return a copy with all results, times of files included."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Tree(folder, self.configs, self.path, self.prefix)


def kill_when(process: subprocess.Popen, ready: Callable[[], bool]) -> bool:
    """SIGKILL a call and all that it has started once it is ready; False if it ended before."""
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if process.poll() is not None:
            return False
        if time.monotonic() > end:
            raise TimeoutError("nothing happened")
        time.sleep(0.02)
    started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    os.killpg(process.pid, signal.SIGKILL)
    for one in started:
        if one.is_running():
            one.kill()
    process.wait()
    wait_gone(started)
    return True


# ---- trees -----------------------------------------------------------------------------------


def smoke_tree(folder: Path) -> Tree:
    """Return a tree of the real study at the smallest scale."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("src", "workflow", "profiles", "paper"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "tiny.yaml").write_text(TINY)
    return Tree(folder, (SMOKE, "tiny.yaml"))


def toy_tree(folder: Path) -> Tree:
    """Return a tree whose simulator and learning are fakes, with a published base."""
    import toy_study

    shutil.rmtree(folder, ignore_errors=True)
    return Tree(toy_study.make(folder), path=(ROOT / "tests",))


# ---- what stands in them ---------------------------------------------------------------------


def contents(results: Path) -> dict[str, str]:
    """Return a hash of each result by name; of what was measured on the way, only its place."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if path.is_file() and name.parts[0] not in ("logs", "benchmarks") and not _hidden(name):
            found[name.as_posix()] = _hash(path)
    return found


def finished(results: Path) -> dict[str, bytes]:
    """Return the sidecars of finished work, to see whether it is made again.

    Rendered pages are none: they are written anew from the records whenever Snakemake did not see
    the last rendering end, so that an old table never stands for a new one.
    """
    return {n: told for n, told in whole(results).items() if Path(n).suffix not in RENDERED}


def whole(results: Path) -> dict[str, bytes]:
    """Return the sidecars of all artifacts that have the bytes which their sidecars tell."""
    found = {}
    for place in results.rglob("*.meta.json"):
        artifact = place.with_name(place.name.removesuffix(".meta.json"))
        if artifact.is_file() and _checksum(place) == sha256(artifact):
            found[artifact.relative_to(results).as_posix()] = place.read_bytes()
    return found


def lost(before: dict[str, bytes], results: Path) -> list[str]:
    """Return which finished artifacts are gone, damaged or were made again."""
    now = finished(results)
    return [name for name, sidecar in before.items() if now.get(name) != sidecar]


def damaged(results: Path) -> list[str]:
    """Return artifacts whose sidecar vouches for other bytes than there are."""
    good = whole(results)
    names = (p.relative_to(results).as_posix() for p in results.rglob("*.meta.json"))
    return [name for name in names if name.removesuffix(".meta.json") not in good]


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return names of results that are missing, extra or different."""
    return sorted(
        name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
    )


def debris(results: Path) -> list[str]:
    """Return files that a killed process has left half-written."""
    names = (path.relative_to(results) for path in results.rglob("*") if path.is_file())
    return sorted(name.as_posix() for name in names if _hidden(name) and name.name != ".gitignore")


def _hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _checksum(place: Path) -> str | None:
    try:
        return json.loads(place.read_text()).get("sha256")
    except ValueError:
        return None


def _hash(path: Path) -> str:
    """Hash a file; where there are measured numbers, all but these."""
    if path.name.endswith((".meta.json", ".jsonl")):
        with contextlib.suppress(ValueError):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            return digest([_without_measured(json.loads(line)) for line in lines])
    if path.suffix in (".md", ".tex"):
        return digest([line for line in path.read_text().splitlines() if COSTS not in line])
    return sha256(path)


def _without_measured(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _without_measured(v) for key, v in values.items() if key not in MEASURED}
    return [_without_measured(v) for v in values] if isinstance(values, list) else values
