"""The tiny job of `unblind cluster-check`: submitted, watched, and never left behind."""

import contextlib
import json
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unblind.cluster import requests, slurm
from unblind.config import Config
from unblind.files import explained
from unblind.machine.doctor import Check
from unblind.study.code import source_hash

#: What the job asks for: it starts Python and draws one picture.
MINUTES, MEMORY_MB = 10, 2000
#: Longest wait for a file of the job to be seen here, in seconds.
LATENCY_S = 30
_UNSEEN, _NO_WRITE = 21, 22
_EVERY_S = 0.5
#: Signals that end a program, besides the interrupt from the keyboard.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
#: Why a job may be pending for ever.
_HOPELESS = (
    "AccountNotAllowed",
    "BadConstraints",
    "InvalidAccount",
    "InvalidQOS",
    "PartitionDown",
    "PartitionInactive",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
)
#: Only the shell is needed to tell whether the files are shared.
_SCRIPT = """#!/bin/sh
[ "$(cat {folder}/login 2>/dev/null)" = {token} ] || exit {unseen}
exec > {folder}/output 2>&1 || exit {no_write}
echo {token} > {folder}/node || exit {no_write}
cd {here} && exec {probe}
"""


@dataclass(frozen=True)
class End:
    """How a job ended.

    Attributes:
        number: SLURM's number of it.
        state: SLURM's word; a job that is still pending or running was given up.
        code: exit code of its script.
        node: where it ran, "" if it did not.
        reason: why SLURM has it in this state.
        seconds: since it was submitted.
    """

    number: str
    state: str
    code: int
    node: str
    reason: str
    seconds: float

    @property
    def told(self) -> str:
        """The job and its state in words."""
        why = f", {self.reason}" if self.reason not in ("", "None") else ""
        return f"job {self.number} is {self.state}{why}"


def probe(config: Config, wait_s: float) -> Iterator[Check]:
    """Submit the job, wait for it, and yield what it found out.

    Args:
        config: the study.
        wait_s: seconds to wait, after which the job is cancelled.

    Raises:
        UnblindError: SLURM takes no job or does not answer, or nothing can be written here.
    """
    results = Path(config.results).absolute()
    with explained(results):
        results.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".cluster-check-", dir=results))
    try:
        token = secrets.token_hex(8)
        with explained(folder):
            (folder / "login").write_text(token, encoding="ascii")
        options = _options(config)
        with _submitted(options, _script(config, folder, token)) as number:
            limit = f"{wait_s:g} s for it, then cancel it"
            _say(f"job {number} submitted ({' '.join(options)}): wait at most {limit}")
            end = _wait(number, wait_s)
        yield from _findings(folder, token, end)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(config: Config) -> list[str]:
    """Return what is asked for: a GPU if any job of the study wants one."""
    asked, cluster = requests.jobs(config), config.cluster
    rule = max(asked, key=lambda name: asked[name].gpus)
    options = [f"--time={MINUTES}", f"--mem={MEMORY_MB}", "--ntasks=1", "--output=/dev/null"]
    if asked[rule].gpus:
        kind = f"{cluster.gpu_type}:" if cluster.gpu_type else ""
        options.append(f"--gpus={kind}1")
    if name := cluster.partition_of(rule):
        options.append(f"--partition={name}")
    return options + ([f"--account={cluster.account}"] if cluster.account else [])


def _script(config: Config, folder: Path, token: str) -> str:
    gpus = min(1, max(job.gpus for job in requests.jobs(config).values()))
    command = [sys.executable, "-m", "unblind.cli", "cluster-probe", "--out", f"{folder}/found"]
    command += ["--gpus", str(gpus), "--code", source_hash("unblind")]
    command += ["--scratch", config.cluster.scratch] if config.cluster.scratch else []
    return _SCRIPT.format(
        folder=shlex.quote(str(folder)),
        token=token,
        unseen=_UNSEEN,
        no_write=_NO_WRITE,
        here=shlex.quote(str(Path.cwd())),
        probe=shlex.join(command),
    )


@contextlib.contextmanager
def _submitted(options: list[str], script: str) -> Iterator[str]:
    """Submit a job and yield its number; when the block is left, it has ended or is cancelled.

    The job is cancelled by its name, which is known before SLURM has it.
    """
    name = f"unblind-check-{secrets.token_hex(4)}"
    with _interrupts():
        try:
            told = slurm.ask("sbatch", "--parsable", f"--job-name={name}", *options, text=script)
            yield told.strip().split(";")[0]
        finally:
            slurm.ask("scancel", "--quiet", f"--name={name}")


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Turn the signals that end a program into the interrupt from the keyboard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(number: str, wait_s: float) -> End:
    """Return how a job ended, or how it is when the time is over or waiting is of no use."""
    start, said = time.monotonic(), ""
    while True:
        told, seconds = slurm.job(number), time.monotonic() - start
        state, reason = told.get("JobState", "FORGOTTEN"), told.get("Reason", "")
        if state == "PENDING" and reason not in ("None", said):
            _say(f"job {number} is pending: {reason}")
            said = reason
        over = not told or state in slurm.ENDED or reason in _HOPELESS
        if over or seconds > wait_s:
            code = int(told.get("ExitCode", "0:0").split(":")[0])
            node = told.get("NodeList", "").replace("(null)", "")
            return End(number, state, code, node, reason, seconds)
        time.sleep(_EVERY_S)


def _findings(folder: Path, token: str, end: End) -> Iterator[Check]:
    """Yield what the job's end and the files that it left say."""
    if end.state not in slurm.ENDED and end.state != "FORGOTTEN":
        remedy = "fix what SLURM names, or wait longer with --wait SECONDS"
        yield Check("job", False, f"{end.told} after {end.seconds:.0f} s and cancelled", remedy)
        return
    latency = _seen(folder / "node", token) if end.code not in (_UNSEEN, _NO_WRITE) else None
    if latency is None and end.state not in ("COMPLETED", "FAILED", "FORGOTTEN"):
        remedy = f"scontrol show job {end.number}, or ask the administrators"
        yield Check("job", False, end.told, remedy)
        return
    yield Check("job", True, f"ran on {end.node} and was over after {end.seconds:.0f} s")
    yield _shared(folder, end, latency)
    if latency is None:
        return
    yield from _probed(folder, end)


def _seen(path: Path, token: str) -> float | None:
    """Return after how many seconds a file of the job is seen here; None: not in time."""
    start = time.monotonic()
    while True:
        with contextlib.suppress(OSError):
            if path.read_text(encoding="ascii", errors="replace").strip() == token:
                return time.monotonic() - start
        if time.monotonic() - start > LATENCY_S:
            return None
        time.sleep(_EVERY_S)


def _shared(folder: Path, end: End, latency: float | None) -> Check:
    shared = folder.parent
    if latency is not None:
        wait = f" (wait for it: latency-wait: {2 * latency:.0f})" if latency > 5 else ""
        return Check("shared fs", True, f"{shared} both ways, seen after {latency:.1f} s{wait}")
    cause = {
        _UNSEEN: f"{end.node} does not see what is written here in {shared}",
        _NO_WRITE: f"{end.node} cannot write to {shared}",
    }.get(end.code, f"what {end.node} writes to {shared} is not seen here")
    remedy = "put checkout and results on a file system that login and compute nodes share"
    return Check("shared fs", False, cause, remedy)


def _probed(folder: Path, end: End) -> Iterator[Check]:
    """Yield what the program on the compute node found, or why it did not start."""
    try:
        results = json.loads((folder / "found").read_text(encoding="utf-8"))
        yield from (Check(**result) for result in results)
    except (OSError, ValueError, TypeError):
        lines = (folder / "output").read_text(encoding="utf-8", errors="replace").split("\n")
        reason = ([line for line in lines if line.strip()] or [end.told])[-1]
        detail = f"{sys.executable} does not work on {end.node}: {reason.strip()[:300]}"
        remedy = "make setup with a Python that compute nodes have, in a folder that they see"
        yield Check("python", False, detail, remedy)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
