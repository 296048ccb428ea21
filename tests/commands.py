"""The command line as a user runs it: in its own process, sometimes killed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
SMOKE = str(ROOT / "workflow" / "config" / "smoke.yaml")
_PATIENCE_S = 400  # for a crowded machine; a minute at most on a free one


def start(*words: object, **variables: str) -> subprocess.Popen:
    """Start `unblind WORDS`; the keywords become environment variables."""
    return subprocess.Popen(
        [sys.executable, "-m", "unblind.cli", *map(str, words)],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: object, **variables: str) -> subprocess.CompletedProcess:
    """Run `unblind WORDS` to its end."""
    process = start(*words, **variables)
    out, err = process.communicate(timeout=_PATIENCE_S)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def kill_when(ready: Callable[[psutil.Process], object], process: subprocess.Popen) -> None:
    """Send SIGKILL to the command once it is ready for that; assert that no worker outlives it."""
    seen, end = psutil.Process(process.pid), time.monotonic() + _PATIENCE_S
    while not ready(seen):
        assert process.poll() is None, f"ended before the kill: {process.stderr.read()}"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)
    workers = seen.children(recursive=True)
    assert workers
    process.kill()
    process.communicate(timeout=10)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


def problem(done: subprocess.CompletedProcess) -> str:
    """Return the one error line of a command that failed as it should."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    *_, last = lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [last]
    return last
