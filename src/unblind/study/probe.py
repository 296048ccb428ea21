"""The probe study: mini's own configuration with counts cut, run from a commit's own code."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unblind.config.files import read
from unblind.errors import UnblindError
from unblind.files import write_text
from unblind.study.counts import COUNTS

MINI = Path("workflow", "config", "mini.yaml")
_POLL_S = 0.05


@dataclass(frozen=True)
class Step:
    """One command of the probe study.

    Attributes:
        words: of the command line, after ``unblind``.
        killed_by: pattern of a file below the results whose appearance ends the first attempt by
            SIGKILL, so that the second one continues; empty: it runs through.
        workers: whether the command takes ``--workers``; the attempts use two and one.
    """

    words: tuple[str, ...]
    killed_by: str = ""
    workers: bool = False


#: How a base is made.
BASE_STEPS = (
    Step(("base", "questions"), "rebuilt-base/questions/*.parquet", workers=True),
    Step(("demos", "--set-of", "pretraining"), "rebuilt-base/demos/parts/*", workers=True),
    Step(("demos", "--set-of", "warm-up"), workers=True),
    Step(("base", "tower"), "rebuilt-base/tower/checkpoint.safetensors", workers=True),
    Step(("base", "vlm"), "rebuilt-base/vlm/checkpoint.safetensors", workers=True),
    Step(("base", "robot"), "rebuilt-base/robot/round-1/checkpoint.safetensors", workers=True),
    Step(("base", "warm-up"), "rebuilt-base/warm-up/checkpoint.safetensors"),
)
#: How runs are made from a base; those of all methods are trained, and all are rolled out.
RUN_STEPS = (
    Step(("demos",), "demos/parts/*", workers=True),
    Step(("replay",), workers=True),
    Step(("features", "low")),
    Step(("features", "teacher")),
    *(
        Step(("train", "--run", run), f"training/{run}/0/checkpoint.safetensors")
        for run in ("default", "freeze", "align")
    ),
    *(
        Step(("rollout", "--run", run), f"rollouts/{run}/0/.*.journal", workers=True)
        for run in ("default", "freeze", "align", "base", "oracle", "random", "noop")
    ),
    *(
        Step(("think", "--run", run), f"think/{run}/0/.*.journal", workers=True)
        for run in ("default", "freeze", "align", "base", "oracle", "always_left")
    ),
    Step(("base", "held-out"), workers=True),
    Step(("think-answers", "--frames")),
    Step(("probe-pictures",)),
    Step(("probe-teacher",)),
    Step(("probe-references",)),
    *(
        Step((asked, "--run", run))
        for asked in ("answers", "probe")
        for run in ("default", "freeze", "align", "base", "vlm")
    ),
    *(Step(("drift", "--run", run)) for run in ("default", "freeze", "align")),
    *(Step(("gradients", "--run", run)) for run in ("default", "freeze", "align")),
    Step(("landscape",)),
    Step(("frames",)),
    *(Step(("attention", "--run", run)) for run in ("default", "freeze", "align", "base")),
    *(
        Step(
            ("rollout", "--run", run, "--knockout"),
            f"knockout-rollouts/{run}/0/.*.journal",
            workers=True,
        )
        for run in ("default", "freeze", "align", "base")
    ),
    *(Step(("collapse", "--run", run)) for run in ("default", "freeze", "align", "base", "vlm")),
    *(
        Step(("think-answers", "--run", run))
        for run in ("default", "freeze", "align", "base", "vlm")
    ),
)


@dataclass(frozen=True)
class Tree:
    """A commit's files, and where its probe study goes.

    Attributes:
        root: work tree of the commit.
        results: folder of the results.
        traces: folder for what was executed; None: nothing is written down.
    """

    root: Path
    results: Path
    traces: Path | None = None


def settings(tree: Tree, rebuild_base: bool) -> dict[str, Any]:
    """Return the probe study's configuration: the commit's own mini, counts cut.

    Args:
        tree: the commit's.
        rebuild_base: whether the base is made, too; else it is the published one.
    """
    changed = _with_counts(read(tree.root / MINI))
    return changed | {"results": str(tree.results), "rebuild_base": rebuild_base}


def _with_counts(value: Any, key: str = "") -> Any:
    """Return plain values with those of `COUNTS` in the place of a commit's own."""
    if isinstance(value, dict):
        below = {name: f"{key}.{name}" if key else name for name in value}
        return {
            name: COUNTS.get(below[name], _with_counts(item, below[name]))
            for name, item in value.items()
        }
    return [_with_counts(item, key) for item in value] if isinstance(value, list) else value


def run(tree: Tree, steps: Sequence[Step], rebuild_base: bool) -> Iterator[Step]:
    """Run the steps one after the other; yield each when it has ended.

    Where it is written down what was executed, commands are also killed and continued.

    Raises:
        UnblindError: a command fails; the end of what it said is quoted.
    """
    config = tree.results / "probe.yaml"
    write_text(config, yaml.safe_dump(settings(tree, rebuild_base)))
    if not rebuild_base:
        _call(tree, ("base", "pull"))
    for step in steps:
        words = (*step.words, "--config", str(config))
        if tree.traces is not None and step.killed_by:
            _killed(tree, (*words, *_workers(step, 2)), step.killed_by)
        _call(tree, (*words, *_workers(step, 1)))
        yield step


def _workers(step: Step, count: int) -> tuple[str, ...]:
    return ("--workers", str(count)) if step.workers else ()


def _killed(tree: Tree, words: Sequence[str], pattern: str) -> None:
    """Start a command and kill it, with all its workers, once a file is there."""
    with _started(tree, words) as process:
        while process.poll() is None and not any(tree.results.glob(pattern)):
            time.sleep(_POLL_S)


def _call(tree: Tree, words: Sequence[str]) -> None:
    with _started(tree, words) as process:
        process.wait()
    if process.returncode != 0:
        *_, last = ["it said nothing", *_log(tree).read_text("utf-8").strip().splitlines()]
        raise UnblindError(
            f"unblind {' '.join(words)} failed in {tree.root}: {last}", "fix that code first"
        )


@contextlib.contextmanager
def _started(tree: Tree, words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running command; if it still runs in the end, it is killed with all its workers."""
    traced = [] if tree.traces is None else ["-m", "coverage", "run"]
    with open(_log(tree), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, *traced, "-m", "unblind.cli", *words],
            cwd=tree.root,
            env={**os.environ, **_environment(tree)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _log(tree: Tree) -> Path:
    """Return the file of what the commands of a tree say."""
    return tree.results / "probe.log"


def _environment(tree: Tree) -> Mapping[str, str]:
    """Return the variables that make a command run a commit's code, one thread each."""
    own = {"PYTHONPATH": str(tree.root / "src"), "OMP_NUM_THREADS": "1"}
    if tree.traces is None:
        return own
    rules = tree.traces / "coverage.ini"
    write_text(
        rules,
        "[run]\nparallel = true\nconcurrency = multiprocessing, thread\nsigterm = true\n"
        f"data_file = {tree.traces / 'lines'}\nsource = {tree.root / 'src' / 'unblind'}\n",
    )
    return own | {"COVERAGE_RCFILE": str(rules)}
