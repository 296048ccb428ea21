"""Faults of disks, files, clocks and processes, each in a tree of its own.

Every case disturbs a study, reads what the user was told, sets the cause right as the remedy says,
runs the same command again and compares all results with an undisturbed study's.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import project_trees as trees
import psutil
from findings import Finding, messages
from leftovers import wait_gone, wait_until
from project_trees import Done, Tree

DAY_S = 86400
_LABEL = "runs: {oracle: {label: The planner}}\n"

# ---- disks -----------------------------------------------------------------------------------


def can_mount() -> bool:
    """Tell whether this process may mount a small disk: root may, but not in every container."""
    if os.geteuid() or not shutil.which("mount"):
        return False
    with tempfile.TemporaryDirectory() as place:
        tried = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True)
        return not tried.returncode and not subprocess.run(["umount", place]).returncode


@contextlib.contextmanager
def disk(place: Path, size: int) -> Iterator[Callable[[int], None]]:
    """Mount an empty disk of ``size`` bytes; yields a function that changes its size."""
    place.mkdir(parents=True, exist_ok=True)

    def resize(size: int) -> None:
        _mount("-o", f"remount,size={size}", str(place))

    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield resize
    finally:
        subprocess.run(["umount", str(place)], check=True)


def full_disk(tree: Tree, wanted: dict[str, str], sizes: list[int]) -> Finding:
    """Results on a disk that is too small, three times in one study, then large enough."""
    found = Finding(
        "results on a disk of " + ", ".join(f"{size / 1e6:.1f}" for size in sizes) + " MB in turn"
    )
    if not can_mount():
        found.skipped = "no right to mount a small disk"
        return found
    with disk(tree.results, sizes[0]) as resize:
        for size in sizes:
            resize(size)
            before = trees.finished(tree.results)
            found.disturbed(tree.make(), "disk full while writing", "free space")
            found.expect(not trees.lost(before, tree.results), "lost finished artifacts")
            left = trees.damaged(tree.results)
            found.expect(not left, f"sidecars vouch for other bytes: {left}")
            temporary = [name for name in trees.debris(tree.results) if name.endswith(".tmp")]
            found.expect(not temporary, f"half-written files stayed: {temporary}")
        resize(10**10)
        found.recovered(tree, wanted, trees.finished(tree.results))
    found.then = "went on after each enlargement"
    return found


def full_checkout(toy: Tree, wanted: dict[str, str], folder: Path) -> Finding:
    """The whole checkout, Snakemake's own notes included, on a disk without room."""
    found = Finding("the whole checkout on a disk with 100 KB left")
    if not can_mount():
        found.skipped = "no right to mount a small disk"
        return found
    with disk(folder, 10**9) as resize:
        tree = toy.copy(folder)
        tree.forget_results()
        resize(_used(folder) + 100_000)
        done = tree.make()
        found.codes.append(done.code)
        found.told += messages(done.text) or [done.text.strip().splitlines()[-1]]
        found.expect(done.code != 0, "did not notice")
        found.expect("No space left" in done.text or "disk full" in done.text, done.text[-1500:])
        resize(10**9)
        found.recovered(tree, wanted, trees.finished(tree.results))
    found.then = "went on when there was room"
    return found


def read_only(tree: Tree, wanted: dict[str, str]) -> Finding:
    """Results that may not be written: nothing to do is fine, a new table is refused."""
    found = Finding("results mounted read-only")
    if not can_mount():
        found.skipped = "no right to mount a folder read-only"
        return found
    (tree.folder / "label.yaml").write_text(_LABEL)
    changed = Tree(tree.folder, (*tree.configs, "label.yaml"), tree.path)
    _mount("--bind", str(tree.results), str(tree.results))
    _mount("-o", "remount,ro,bind", str(tree.results))
    try:
        found.expect(tree.make().code == 0, "an up-to-date study could not be looked at")
        found.disturbed(changed.make(), "cannot write into results (make it writable")
        found.same(tree, wanted)
    finally:
        subprocess.run(["umount", str(tree.results)], check=True)
    found.recovered(tree, wanted, {})
    found.then = "up to date: exit code 0; written again when it was allowed"
    return found


# ---- clocks ----------------------------------------------------------------------------------


def clock_back(tree: Tree, wanted: dict[str, str]) -> Finding:
    """The clock goes back by a day between two calls: all that stands is from tomorrow."""
    found = Finding("clock set back by a day half-way (all files get times of tomorrow)")
    _half(tree)
    before = trees.finished(tree.results)
    for path in tree.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            os.utime(path, (stat.st_atime + DAY_S, stat.st_mtime + DAY_S))
    found.recovered(tree, wanted, before)
    found.expect(tree.jobs() == {}, "not up to date afterwards")
    found.then = "no error: contents decide, not times; no finished job was repeated"
    return found


def clock_behind(tree: Tree, wanted: dict[str, str]) -> Finding:
    """The second half runs under a clock that is a day behind that of the disk."""
    found = Finding("half-way the processes' clock goes back by a day, the disk's stays (faketime)")
    faketime = shutil.which("faketime", path=os.defpath)
    if not faketime:
        found.skipped = "faketime is not installed (Debian package: faketime)"
        return found
    _half(tree)
    before = trees.finished(tree.results)
    late = Tree(tree.folder, tree.configs, tree.path, (faketime, "-m", "-f", "-1d"))
    done = late.run(*late.build(), NO_FAKE_STAT="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
    found.codes.append(done.code)
    found.expect(done.code == 0, done.text[-2000:])
    found.recovered(tree, wanted, before)
    found.expect(tree.jobs() == {}, "not up to date afterwards")
    found.then = "no error, nothing repeated"
    return found


# ---- jobs ------------------------------------------------------------------------------------


def failing_job(tree: Tree, wanted: dict[str, str]) -> Finding:
    """Settings change, the job fails half-way: its old results must not pass for new ones."""
    found = Finding("a job that fails after a changed setting, half of its records written")
    (tree.folder / "short.yaml").write_text("rollout: {max_steps: 70}\n")
    changed = Tree(tree.folder, (*tree.configs, "short.yaml"), tree.path)
    obstacle = tree.results / "rollouts" / "noop" / "0" / "plate.parquet.meta.json"
    kept = obstacle.read_bytes()
    obstacle.unlink()
    obstacle.mkdir()
    found.disturbed(changed.make(), "cannot write results/rollouts/noop/0/plate")
    obstacle.rmdir()
    now = trees.finished(tree.results).items()
    before = {name: told for name, told in now if b'"max_steps": 70' in told}
    found.expect(before, "the failing job had finished nothing")
    jobs = changed.jobs()
    found.expect(jobs.get("rollout"), f"the failed job passes for finished: {jobs}")
    done = changed.make()
    found.expect(done.code == 0, done.text[-2000:])
    found.expect(not trees.lost(before, tree.results), "finished records were made again")
    obstacle.write_bytes(kept)
    found.then = "the next call ran the job again and kept the records that it had finished"
    return found


def altered_record(tree: Tree, wanted: dict[str, str]) -> Finding:
    """A bit flips in a record, its time unchanged; the table is rendered anew."""
    found = Finding("a flipped bit in a finished record, its time unchanged")
    record = tree.results / "rollouts" / "oracle" / "0" / "carrot.parquet"
    data, stat = record.read_bytes(), record.stat()
    record.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    os.utime(record, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    done = tree.run(*tree.build("--forcerun", "table1"))
    found.disturbed(done, "carrot.parquet")
    record.unlink()  # the remedy
    done = tree.run(*tree.build("--forcerun", "table1"))
    found.expect(done.code == 0, done.text[-2000:])
    found.same(tree, wanted)
    found.then = "no table until the record was made again; that one record only"
    return found


def orphans(tree: Tree, wanted: dict[str, str]) -> Finding:
    """Only Snakemake is killed: its job lives on while the next call makes the same thing."""
    found = Finding("`kill -9` of Snakemake alone; its jobs live on beside the next call")
    tree.forget_results()
    stops = tree.folder / "stops"
    stops.mkdir()
    for step in ("demos --workers 1", "base pull", "features low"):
        (stops / step).touch()  # goes on undisturbed
    process = tree.start(*tree.build(), out="killed.txt", UNBLIND_STOP=f"start:{stops}")
    wait_until(
        lambda: len(list(stops.iterdir())) >= 4 or process.poll() is not None, trees.PATIENCE_S
    )
    jobs = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    before = trees.finished(tree.results)
    second = tree.start(*tree.build(), out="second.txt")
    wait_until(
        lambda: "Execute" in tree.said("second.txt") or second.poll() is not None,
        trees.PATIENCE_S,
    )
    os.killpg(process.pid, signal.SIGCONT)
    found.codes.append(second.wait(trees.PATIENCE_S))
    found.expect(second.returncode == 0, tree.said("second.txt")[-2000:])
    wait_gone(jobs, trees.PATIENCE_S)
    found.same(tree, wanted)
    gone = trees.lost(before, tree.results)
    found.expect(not gone, f"finished, but lost or made again: {gone}")
    found.then = "same bytes"
    return found


def two_calls(tree: Tree, wanted: dict[str, str]) -> Finding:
    """Two calls of the same study at once, from nothing to the table."""
    found = Finding("two Snakemake calls at once, from nothing to the table")
    calls = [tree.start(*tree.build(), out=f"call-{i}.txt") for i in range(2)]
    for i, call in enumerate(calls):
        code = call.wait(trees.PATIENCE_S)
        text = tree.said(f"call-{i}.txt")
        if code:
            found.disturbed(Done(code, text, 0.0), "another call of Snakemake", "wait for its end")
        else:
            found.codes.append(code)
    found.expect(0 in found.codes, "neither call made the table")
    found.same(tree, wanted)
    found.recovered(tree, wanted, trees.finished(tree.results))
    found.then = "one call made everything, the other was refused"
    return found


# ---- what cases share --------------------------------------------------------------------------


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def _half(tree: Tree) -> None:
    """Run a fresh study half-way: base and demonstrations stand."""
    tree.forget_results()
    wanted = "results/features/low.npy"
    done = tree.run(wanted, "--cores", "2", "--configfile", *tree.configs)
    if done.code:
        raise RuntimeError(done.text)


def _used(folder: Path) -> int:
    stat = os.statvfs(folder)
    return (stat.f_blocks - stat.f_bfree) * stat.f_frsize
