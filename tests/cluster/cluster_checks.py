"""`unblind cluster-check` in its own process."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(results, *words):
    return subprocess.Popen(
        [
            *("env", "--default-signal=INT"),  # which shells ignore for what runs in the background
            sys.executable,
            "-m",
            "unblind.cli",
            "cluster-check",
            "--set",
            f"results={results}",
            *words,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check(results, *words):
    """Return exit code, findings by name as (ok, text), and standard error."""
    process = start(results, *words)
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    lines = [line for line in out.splitlines() if line]
    found = {line[5:].partition(":")[0]: (line.startswith("ok"), line) for line in lines}
    return process.returncode, found, err


def settled(node):
    """Return whether all jobs end within ten seconds."""
    end = time.monotonic() + 10
    while node.active() and time.monotonic() < end:
        time.sleep(0.2)
    return node.active() == []
