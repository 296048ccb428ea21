"""A real SLURM of one node on this machine, for tests: munged, slurmctld and slurmd of Debian.

    with slurm_node.running() as node:
        subprocess.run(["sbatch", "--wrap", "hostname"])
        node.active()

    .venv/bin/python tests/slurm_node.py COMMAND ...        runs a command beside it

A keeper process of its own holds the daemons. It ends them, all jobs, and the link in /etc/slurm
as soon as the process that asked for the node closes its end of a pipe, thus also if it is killed.
Partitions: `main` (the default, no limit) and `gpu` (at most 60 minutes) on the same node, whose
GPUs are there in name only. There is no accounting: `sacct` and `sacctmgr` fail, as on many small
clusters.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Where SLURM's commands look for their configuration; in jobs, no variable could name it.
LINK = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun")
PACKAGES = "slurm-wlm munge"
_LOCK = Path(tempfile.gettempdir(), "unblind-slurm.lock")
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
_START_S, _STOP_S, _QUEUE_S = 30, 10, 1200
_CONF = """
ClusterName=unblind
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
KillWait=2
PropagateResourceLimits=NONE
SchedulerParameters=sched_interval=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE
PartitionName=gpu Nodes=ALL MaxTime=60
"""


@dataclass(frozen=True)
class Node:
    """The running SLURM.

    Attributes:
        folder: its configuration, state and daemons' logs.
    """

    folder: Path

    def jobs(self) -> list[dict[str, str]]:
        """Return id, name, state and working folder of all jobs that SLURM remembers."""
        words = ["squeue", "--noheader", "--states=all", "--format=%i\t%j\t%T\t%Z"]
        lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        keys = ("id", "name", "state", "folder")
        return [dict(zip(keys, line.split("\t"), strict=True)) for line in lines.splitlines()]

    def active(self) -> list[str]:
        """Return the ids of jobs that wait, run or are being ended."""
        alive = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING"}
        return [job["id"] for job in self.jobs() if job["state"] in alive]

    def show(self, job: str) -> dict[str, str]:
        """Return what `scontrol show job` tells of a job."""
        words = ["scontrol", "show", "job", "--oneliner", job]
        line = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return dict(word.split("=", 1) for word in line.split() if "=" in word)

    def log(self) -> str:
        """Return the end of the daemons' logs."""
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("*.log")))


def unwanted() -> str | None:
    """Return why tests that take a real node are skipped, or None.

    Raises:
        RuntimeError: the variable UNBLIND_SLURM is "must", and no node can be started.
    """
    asked = os.environ.get("UNBLIND_SLURM")
    if not asked:
        return "takes minutes and a real SLURM: make test-slurm"
    reason = missing()
    if reason and asked == "must":
        raise RuntimeError(reason)
    return reason


def missing() -> str | None:
    """Return why no node can be started here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if absent:
        return f"no {absent[0]} (Debian, as root: apt-get install {PACKAGES})"
    if os.geteuid() != 0:
        return "only root may start SLURM's daemons"
    if LINK.exists() and not _is_ours(LINK):
        return f"this machine has a SLURM of its own: {LINK}"
    return None


@contextlib.contextmanager
def running(
    cpus: int = 4, memory_mb: int = 12000, gpus: int = 1, hide: Path | None = None
) -> Iterator[Node]:
    """Start a node; when the block is left, daemons, jobs and configuration are gone.

    Args:
        cpus: processors that SLURM believes in.
        memory_mb: memory that SLURM believes in.
        gpus: GPUs that SLURM believes in; each of them is /dev/null.
        hide: a folder that is empty on the compute node, as without a shared file system.

    Raises:
        RuntimeError: a daemon did not start; the message tells its log.
        TimeoutError: another process keeps the machine's one node for too long.
    """
    with _only_one(), tempfile.TemporaryDirectory(prefix="unblind-slurm-") as folder:
        wanted = {"folder": folder, "cpus": cpus, "memory_mb": memory_mb, "gpus": gpus}
        wanted["hide"] = None if hide is None else str(hide.resolve())
        keeper = subprocess.Popen(
            [sys.executable, __file__, "--keep", json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said = keeper.stdout.readline().strip()
            if said != "ready":
                raise RuntimeError(f"SLURM did not start: {said}\n{Node(Path(folder)).log()}")
            yield Node(Path(folder))
        finally:
            keeper.stdin.close()
            keeper.wait(timeout=3 * _STOP_S)


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Wait until no other process has a node: its configuration has one place on a machine."""
    with open(_LOCK, "w") as lock:
        end = time.monotonic() + _QUEUE_S
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > end:
                raise TimeoutError(f"another process holds {_LOCK}")
            time.sleep(0.5)
        yield


def _is_ours(link: Path) -> bool:
    return link.is_symlink() and link.readlink().parent.name.startswith("unblind-slurm-")


# ---- the keeper ------------------------------------------------------------------------------


def _keep(folder: Path, hide: str | None, **sizes: int) -> None:
    """Hold the daemons until the pipe that is our standard input closes or a signal comes."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_CHILD_SUBREAPER, 1)  # jobs outlive their daemon: inherit, end and reap them
    os.environ["PATH"] = _PATH
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        _write_configuration(folder, **sizes)
        said = _start(folder, hide, libc)
        print(said, flush=True)
        if said == "ready":
            sys.stdin.read()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _end_all()
        if _is_ours(LINK):
            LINK.unlink()
        shutil.rmtree(folder, ignore_errors=True)  # again, in case that the asker was killed


def _write_configuration(folder: Path, **sizes: int) -> None:
    text = _CONF.format(folder=folder, host=socket.gethostname().split(".")[0], **sizes)
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text(f"Name=gpu Count={sizes['gpus']} File=/dev/null\n")
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n" * sizes["gpus"])
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)  # munged refuses sockets that others cannot reach
    LINK.parent.mkdir(exist_ok=True)
    LINK.unlink(missing_ok=True)
    LINK.symlink_to(folder / "slurm.conf")


def _start(folder: Path, hide: str | None, libc: ctypes.CDLL) -> str:
    """Start the daemons as our children; return "ready", or what went wrong."""
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key"]
    munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    slurmctld = ["slurmctld", "-D", "-c", "-i", "-f", f"{folder}/slurm.conf"]
    host = socket.gethostname().split(".")[0]
    slurmd = ["slurmd", "-D", "-N", host, "-f", f"{folder}/slurm.conf"]
    if hide is not None:
        script = f"mount -t tmpfs none {shlex.quote(hide)} && exec {shlex.join(slurmd)}"
        slurmd = ["unshare", "--mount", "sh", "-c", script]
    for name, command in (("munged", munged), ("slurmctld", slurmctld), ("slurmd", slurmd)):
        with open(folder / f"{name}.output.log", "w") as output:
            subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: libc.prctl(_SET_PDEATHSIG, signal.SIGKILL),
            )
        if name == "munged" and not _wait_for((folder / "munge.socket").exists):
            return "munged gave no socket"
    return "ready" if _wait_for(_is_idle) else "the node does not become idle"


def _wait_for(done) -> bool:
    end = time.monotonic() + _START_S
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _is_idle() -> bool:
    words = ["sinfo", "--noheader", "--format=%T"]
    return "idle" in subprocess.run(words, capture_output=True, text=True).stdout.split()


def _end_all() -> None:
    """Kill every process that came from this one, and wait for it."""
    end = time.monotonic() + _STOP_S
    while children := psutil.Process().children(recursive=True):
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() > end:
            break
        time.sleep(0.05)


if __name__ == "__main__":
    if sys.argv[1] == "--keep":
        asked = json.loads(sys.argv[2])
        _keep(Path(asked.pop("folder")), asked.pop("hide"), **asked)
    elif reason := missing():
        sys.exit(f"error: {reason}")
    else:
        with running():
            code = subprocess.run(sys.argv[1:]).returncode
        sys.exit(code)
