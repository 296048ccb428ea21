"""Studies that are handed to SLURM, and fakes of their steps that misbehave."""

import dataclasses
import sys
from pathlib import Path

import toy_study

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reliability"))

import project_trees as trees  # noqa: E402

PROFILES = ("slurm", "slurm-generic")
#: Ask often: there is one node, and no one else.
_QUICK = ("--seconds-between-status-checks", "2")
_QUICK_OPTIONS = {
    "slurm": (*_QUICK, "--slurm-init-seconds-before-status-checks", "2"),
    "slurm-generic": _QUICK,
}
#: Snakemake ends with the tests, also when they are killed, and hears SIGINT, also when the tests
#: were started in the background, where shells make it ignored.
TIED = ("env", "--default-signal=INT", "setpriv", "--pdeathsig", "KILL")
#: Two rules, one group: demonstrations and their replay.
REPLAY = "results/replay.parquet"
#: A fake step that tells what it finds, then does what the test says in `{body}`.
DEMOS = """
import os
import time
from pathlib import Path

from synthetic import *
from unblind.errors import UnblindError


def collect(config, out, workers, which):
    print("GPU", os.environ.get("CUDA_VISIBLE_DEVICES"), "TMPDIR", os.environ.get("TMPDIR"))
    {body}
    write_demos(config, out)
"""


def toy(folder: Path) -> trees.Tree:
    """Return a study whose simulator and learning are fakes, with a published base."""
    return trees.Tree(toy_study.make(folder), path=(ROOT / "tests",), prefix=TIED)


def smoke(folder: Path) -> trees.Tree:
    """Return the real study at the smallest scale."""
    return dataclasses.replace(trees.smoke_tree(folder), prefix=TIED)


def misbehave(tree: trees.Tree, body: str) -> None:
    """Replace the making of demonstrations."""
    text = DEMOS.format(body=body.replace("\n", "\n    "))
    (tree.folder / "src" / "unblind" / "sim" / "demos.py").write_text(text)


def words(profile: str, *more: str, target: str = REPLAY) -> tuple[str, ...]:
    """Return what Snakemake is called with."""
    return (target, "--profile", f"profiles/{profile}", *_QUICK_OPTIONS[profile], *more)


def with_cluster(tree: trees.Tree, settings: str) -> trees.Tree:
    """Return the study with other settings of the section `cluster`, as flow-style YAML."""
    (tree.folder / "cluster.yaml").write_text(f"cluster: {{{settings}}}\n")
    return dataclasses.replace(tree, configs=(*tree.configs, "cluster.yaml"))


def run(
    tree: trees.Tree, profile: str, *more: str, target: str = REPLAY, **variables: str
) -> trees.Done:
    """Build a target through SLURM; the keywords become environment variables."""
    configs = ("--configfile", *tree.configs)
    return tree.run(*words(profile, *more, target=target), *configs, **variables)


def start(tree: trees.Tree, profile: str, *more: str):
    """Begin to build a target through SLURM."""
    configs = ("--configfile", *tree.configs)
    return tree.start(*words(profile, *more), *configs)
