"""`kill -9` of a whole study, again and again in one tree, each time resumed by the same command.

A chain disturbs one passage of the graph many times: what an earlier kill has left behind meets
the next one too. After each resumption everything that was finished must still be there, not made
again; at the end all results must have the bytes of a study that nobody disturbed.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import project_trees as trees
from project_trees import Tree

#: More kills than this means that a study makes no progress.
_TOO_MANY = 100


@dataclass
class Chain:
    """What a chain of kills came to.

    Attributes:
        kills: calls that were killed.
        lost: finished artifacts that a kill or the resumption lost or repeated.
        different: results that differ from the undisturbed study's.
        left: half-written files that stayed behind.
        kept: finished artifacts at each kill.
        problem: what the last call printed if it failed.
    """

    kills: int = 0
    lost: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether the chain ended as an undisturbed study does."""
        return not (self.lost or self.different or self.problem)


def chain(tree: Tree, wanted: dict[str, str], moments: Iterator, **variables: str) -> Chain:
    """Start the study, kill it at each of the moments, and at last let it end.

    Args:
        tree: with nothing in it yet.
        wanted: results of the undisturbed study (`project_trees.contents`).
        moments: functions that are called with the time since the call's start and its output so
            far, and tell whether to kill. After the last one the study runs to its end.
        variables: of the environment of killed calls.
    """
    found = Chain()
    for ready in moments:
        before = trees.finished(tree.results)
        process = tree.start(*tree.build(), **variables)
        begin = time.monotonic()
        killed = trees.kill_when(process, lambda r=ready, b=begin: r(time.monotonic() - b, tree))
        found.lost += trees.lost(before, tree.results)
        if not killed:
            break
        found.kills += 1
        found.kept.append(len(trees.finished(tree.results)))
        if found.kills > _TOO_MANY:
            raise RuntimeError("no progress: " + tree.said()[-2000:])
    before = trees.finished(tree.results)
    done = tree.make()
    found.problem = done.text[-3000:] if done.code else ""
    found.lost += trees.lost(before, tree.results)
    found.different = trees.differences(trees.contents(tree.results), wanted)
    found.left = trees.debris(tree.results)
    return found


def at_steps(tree: Tree, wanted: dict[str, str], moment: str) -> tuple[Chain, list[str]]:
    """Kill the study when each step has just started, or has just ended, for Snakemake unnoticed.

    Args:
        tree: with nothing in it yet.
        wanted: results of the undisturbed study.
        moment: "start" or "end".

    Returns:
        The chain, and the steps that were killed.
    """
    stops = tree.folder / "stops"
    shutil.rmtree(stops, ignore_errors=True)
    stops.mkdir()

    def moments() -> Iterator[Callable[[float, Tree], bool]]:
        while True:
            known = len(list(stops.iterdir()))
            yield lambda elapsed, tree, known=known: len(list(stops.iterdir())) > known

    found = chain(tree, wanted, moments(), UNBLIND_STOP=f"{moment}:{stops}")
    return found, sorted(place.name for place in stops.iterdir())


def at_records(tree: Tree, wanted: dict[str, str]) -> Chain:
    """Kill the study each time when Snakemake has just recorded a job as finished."""

    def moments() -> Iterator[Callable[[float, Tree], bool]]:
        while True:
            yield lambda elapsed, tree: "Finished jobid: " in tree.said()

    return chain(tree, wanted, moments())


def at_random(
    tree: Tree, wanted: dict[str, str], n: int, seed: int, files: int
) -> tuple[Chain, list[float]]:
    """Kill the study at random moments: so many files are there, and then some seconds more.

    How far a study is after a time depends on what else the machine does; so files count. The
    seconds let a kill hit what lies between two files.

    Args:
        tree: with nothing in it yet.
        wanted: results of the undisturbed study.
        n: kills.
        seed: of the moments.
        files: of the finished study.

    Returns:
        The chain, and the moments as shares of all files.
    """
    rng = np.random.default_rng(seed)
    shares, waits = np.sort(rng.uniform(high=0.95, size=n)), rng.uniform(high=3.0, size=n)
    moments = (_when(share * files, wait) for share, wait in zip(shares, waits, strict=True))
    return chain(tree, wanted, moments), [round(float(share), 3) for share in shares]


def _when(files: float, wait_s: float) -> Callable[[float, Tree], bool]:
    """Return a moment: a job runs and so many files are there since ``wait_s`` seconds."""
    since: list[float] = []

    def ready(elapsed: float, tree: Tree) -> bool:
        if not since and "Execute" in tree.said() and _files(tree) >= files:
            since.append(elapsed)
        return bool(since) and elapsed >= since[0] + wait_s

    return ready


def _files(tree: Tree) -> int:
    return sum(len(names) for _, _, names in os.walk(tree.results))  # folders come and go
