"""Faults of the store: flipped bits, damaged caches, pulls that end half-way."""

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import project_trees as trees
from findings import Finding
from project_trees import Tree


def corrupt_blob(tree: Tree, wanted: dict[str, str]) -> Finding:
    """One flipped bit in the store, in each of the base's files and in their list."""
    found = Finding("one flipped bit in the store: each file of the base, and their list")
    shutil.rmtree(tree.results / "base", ignore_errors=True)
    shutil.rmtree(tree.folder / ".dvc" / "cache", ignore_errors=True)
    blobs = sorted((tree.folder / "dvcstore" / "files").rglob("*/*/*"))
    for blob in blobs:
        kept, mode = blob.read_bytes(), blob.stat().st_mode
        blob.chmod(0o644)
        blob.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        done = tree.pull()
        found.disturbed(done, "is corrupt", "git checkout -- dvcstore")
        found.expect(not (tree.results / "base").exists(), "a part of the base was put in place")
        shutil.rmtree(tree.folder / ".dvc" / "cache", ignore_errors=True)
        blob.write_bytes(kept)
        blob.chmod(mode)
    found.told = [re.sub(r"[0-9a-f]{30}(\.dir)?", "...", one) for one in found.told[:1]]
    found.expect(tree.pull().code == 0, "the base could not be pulled again")
    found.same(tree, wanted)
    found.then = f"{len(blobs)} bits, each found; after the remedy the base came whole"
    return found


def corrupt_cache(tree: Tree, wanted: dict[str, str]) -> Finding:
    """DVC's own copies cut in half, as a crash may leave them."""
    found = Finding("DVC's cache: the copy of the model cut in half")
    shutil.rmtree(tree.results / "base", ignore_errors=True)
    cache = tree.folder / ".dvc" / "cache" / "files"
    largest = max(cache.rglob("*/*/*"), key=lambda path: path.stat().st_size)
    _cut(largest)
    done = tree.pull()
    if done.code:
        found.disturbed(done, "differs from its pointer", "delete .dvc/cache")
        shutil.rmtree(tree.folder / ".dvc" / "cache")  # the remedy
        shutil.rmtree(tree.results / "base")
    found.expect(tree.pull().code == 0, "the base could not be pulled again")
    found.same(tree, wanted)
    found.then = "after the remedy the base came whole" if done.code else "mended by itself"
    return found


def half_pull(tree: Tree, wanted: dict[str, str], n: int, seed: int) -> Finding:
    """`kill -9` of a pull, at random moments and when its first file appears; then half a file."""
    found = Finding("", then="each came whole")
    _forget_base(tree)
    length = tree.pull().seconds
    appears = [_file_in(tree.folder / ".dvc" / "cache"), _file_in(tree.results / "base")]
    waits = np.random.default_rng(seed).uniform(0.3, 1.0, size=n - n // 2)
    moments = [appears[i % 2] for i in range(n // 2)] + [_after(length * w) for w in waits]
    kills, half = 0, 0
    for ready in moments:
        _forget_base(tree)
        begin = time.monotonic()
        process = tree.start("base", "pull", module="unblind.cli")
        kills += trees.kill_when(process, lambda r=ready, b=begin: r(time.monotonic() - b))
        half += 0 < len(list((tree.results / "base").glob("*"))) < len(_files(wanted))
        again = tree.pull()
        found.expect(again.code == 0, f"did not go on: {again.text[-500:]}")
        different = trees.differences(_files(trees.contents(tree.results)), _files(wanted))
        found.expect(not different, f"other bytes: {different}")
    _cut(tree.results / "base" / "model.safetensors")
    tree.forget_results(keep=("base", "base.dvc"))
    found.disturbed(tree.make(), "is not what results/base.dvc names", "move results/base away")
    shutil.rmtree(tree.results / "base")  # the remedy
    found.recovered(tree, wanted, {})
    found.fault = f"{kills} pulls killed, {half} of them half-way; then a base file cut in half"
    return found


def _forget_base(tree: Tree) -> None:
    """Make the tree as it is before its first pull."""
    shutil.rmtree(tree.results / "base", ignore_errors=True)
    shutil.rmtree(tree.folder / ".dvc" / "cache", ignore_errors=True)


def _file_in(folder: Path) -> Callable[[float], bool]:
    return lambda elapsed: any(names for _, _, names in os.walk(folder))


def _after(seconds: float) -> Callable[[float], bool]:
    return lambda elapsed: elapsed >= seconds


def _files(found: dict[str, str]) -> dict[str, str]:
    """Return the files of the base among results."""
    return {name: one for name, one in found.items() if name.startswith("base/")}


def _cut(path: Path) -> None:
    """Leave the first half of a file."""
    mode, data = path.stat().st_mode, path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[: len(data) // 2])
    path.chmod(mode)
