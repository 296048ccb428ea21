"""Proving that changed code makes the same results: two commits run the probe study.

A proof is refused where a result differs, or where a changed line of the modules behind it never
ran. What is proved is entered into the ledger (`unblind.study.code`).
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind import files
from unblind.errors import UnblindError
from unblind.machine import processor
from unblind.study import code, lines, probe
from unblind.study.code import Proof
from unblind.study.probe import Step, Tree

_SIDECAR = ".meta.json"
#: Files that are no results: they hold times, stamps of the code, or what a kill left.
_BESIDE = (_SIDECAR, ".log", ".jsonl", ".yaml", ".lock", "settings.json", "origin.json")
_NAMED = 3


@dataclass(frozen=True)
class Verdict:
    """What came of comparing the artifacts that the same code made with the same settings.

    Attributes:
        results: which ones, such as ``training/align/0``.
        proof: the row for the ledger; None where there is none.
        reason: why there is none: the hash is the same anyway, or what differs.
        refused: whether the code changed and could not be proved.
    """

    results: str
    proof: Proof | None
    reason: str
    refused: bool


def prove(
    commit: str, root: Path, ledger: Path, steps: Sequence[Step], rebuild_base: bool
) -> Iterator[Verdict]:
    """Compare HEAD with a commit, enter what is proved into the ledger, and yield each verdict.

    Args:
        commit: the older one.
        root: of the checkout; what is not committed is refused.
        ledger: file to add to.
        steps: of the probe study.
        rebuild_base: whether they make the base, too.

    Raises:
        UnblindError: there is no such commit, sources differ from HEAD, or a command fails.
    """
    old_commit, new_commit = _commit(root, commit), _commit(root, "HEAD")
    if _git(root, "status", "--porcelain", "--", "src", "workflow"):
        raise UnblindError("sources are changed and not committed", "commit them, then prove")
    with _trees(root, old_commit, new_commit) as (old, new):
        _run_both(old, new, steps, rebuild_base)
        stamp = {
            "new_commit": new_commit,
            "old_commit": old_commit,
            "machine": processor.kind(),
            "lock": files.sha256(root / "requirements.lock"),
        }
        verdicts = list(_verdicts(old, new, old_commit, stamp))
    code.write(ledger, [verdict.proof for verdict in verdicts if verdict.proof])
    yield from verdicts


@contextlib.contextmanager
def _trees(root: Path, old: str, new: str) -> Iterator[tuple[Tree, Tree]]:
    """Yield work trees of two commits, gone in the end."""
    with tempfile.TemporaryDirectory(prefix="unblind-prove-") as name:
        folder = Path(name)
        try:
            for kind, commit in (("old", old), ("new", new)):
                _git(root, "worktree", "add", "--detach", "--quiet", str(folder / kind), commit)
            yield (
                Tree(folder / "old", folder / "old-results"),
                Tree(folder / "new", folder / "new-results", folder / "traces"),
            )
        finally:
            for kind in ("old", "new"):
                shutil.rmtree(folder / kind, ignore_errors=True)
            _git(root, "worktree", "prune")


def _run_both(old: Tree, new: Tree, steps: Sequence[Step], rebuild_base: bool) -> None:
    """Run the probe study in both trees at once, one thread each."""

    def work(tree: Tree) -> None:
        for step in probe.run(tree, steps, rebuild_base):
            print(f"{tree.root.name}: {' '.join(step.words)}", flush=True)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, tree) for tree in (old, new)]:
            done.result()


@dataclass(frozen=True)
class _Made:
    """An artifact of the new tree: its name below the results, and its sidecar."""

    name: str
    meta: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        return self.meta["source_hash"], code.settings_digest(self.meta["config"])


def _verdicts(old: Tree, new: Tree, commit: str, stamp: dict[str, str]) -> Iterator[Verdict]:
    groups: dict[tuple[str, str], list[_Made]] = {}
    for path in sorted(new.results.rglob(f"*{_SIDECAR}")):
        name = path.relative_to(new.results).as_posix().removesuffix(_SIDECAR)
        made = _Made(name, json.loads(path.read_text(encoding="utf-8")))
        groups.setdefault(made.key, []).append(made)
    unseen = _never_ran(new, commit)
    for (own, settings), group in groups.items():
        results = _label([made.name for made in group])
        before = [_meta(old.results, made.name) for made in group]
        known = {meta["code_hash"] if meta else "" for meta in before}
        reason = _difference(old, new, group, before) or _unseen(unseen, group)
        if known == {own}:
            yield Verdict(results, None, "the same code", refused=False)
        elif reason:
            yield Verdict(results, None, reason, refused=True)
        else:
            older = code.ledger().get((*known, settings))
            oldest = older.old if older else known.pop()
            row = Proof(own, oldest, settings, results, _digest(new, group), **stamp)
            yield Verdict(results, row, "proved equal", refused=False)


def _difference(
    old: Tree, new: Tree, group: list[_Made], before: list[dict[str, Any] | None]
) -> str:
    """Return how results or their settings differ, empty if they do not."""
    for made, meta in zip(group, before, strict=True):
        if meta is None:
            return f"{made.name} is new"
        if meta["config_hash"] != made.meta["config_hash"]:
            return f"settings of {made.name} differ"
        if meta["code_hash"] != before[0]["code_hash"]:
            return f"{made.name} is of other code than {group[0].name}"
        names = {path.name for tree in (old, new) for path in _files(tree.results / made.name)}
        folder = Path(made.name).parent
        for name in sorted(names):
            first, second = (tree.results / folder / name for tree in (old, new))
            if not (first.is_file() and second.is_file()):
                return f"{folder / name} is in one of the two alone"
            if first.read_bytes() != second.read_bytes():
                return f"{folder / name} differs"
    return ""


def _files(artifact: Path) -> list[Path]:
    """Return an artifact and the files next to it that have no sidecar of their own."""
    beside = [
        path
        for path in artifact.parent.glob("*")
        if path.is_file()
        and not path.name.endswith(_BESIDE)
        and not path.name.startswith(".")
        and not path.with_name(path.name + _SIDECAR).is_file()
    ]
    return sorted([artifact, *beside])


def _digest(tree: Tree, group: list[_Made]) -> str:
    """Return the SHA-256 over names and contents of the files of artifacts."""
    total = hashlib.sha256()
    paths = {path for made in group for path in _files(tree.results / made.name)}
    for path in sorted(paths):
        total.update(path.relative_to(tree.results).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(files.sha256(path)))
    return total.hexdigest()


def _meta(results: Path, name: str) -> dict[str, Any] | None:
    path = results / f"{name}{_SIDECAR}"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _never_ran(tree: Tree, commit: str) -> dict[str, list[int]]:
    """Return file below ``src/unblind`` -> changed lines that never ran (line 0: a data file)."""
    from coverage import CoverageData

    executed: dict[str, set[int]] = {}
    for path in sorted(tree.traces.glob("lines.*")):
        data = CoverageData(str(path))
        data.read()
        for name in data.measured_files():
            executed.setdefault(name, set()).update(data.lines(name) or ())
    missing: dict[str, list[int]] = {}
    for name, touched in lines.changed(tree.root, commit).items():
        file = tree.root / name
        if file.suffix == ".py":
            source = file.read_text(encoding="utf-8")
            unseen = lines.never_ran(source, touched, executed.get(str(file), ()))
        else:
            unseen = [0]
        if unseen:
            missing[name.removeprefix("src/unblind/")] = unseen
    return missing


def _unseen(missing: dict[str, list[int]], group: list[_Made]) -> str:
    """Return which changed lines of the modules behind artifacts never ran, empty if all did."""
    modules = [module.split(".")[1:] for module in group[0].meta["code"]]
    places = ["/".join(parts) for parts in modules]
    named = [
        f"{name}:{line}" if line else name
        for name, unseen in missing.items()
        for line in unseen
        if any(
            name == f"{prefix}.py" or name.startswith(f"{prefix}/") or not prefix
            for prefix in places
        )
    ]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"never ran: {', '.join(named[:_NAMED])}{more}" if named else ""


def _label(names: list[str]) -> str:
    """Return one name for artifacts: that of the only one, or of the folder of all."""
    if len(names) == 1:
        return names[0]
    folders = {Path(name).parent.as_posix() for name in names}
    return f"{min(folders)} ({len(names)} files)"


def _commit(root: Path, name: str) -> str:
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except UnblindError:
        raise UnblindError(f"no commit {name}", "name one of this repository") from None


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
    if done.returncode:
        raise UnblindError(f"git {words[0]} failed: {done.stderr.strip()}", "see: git status")
    return done.stdout.strip()
