"""The reliability suite: disturbs studies and writes what happened to docs/reliability.md.

    make test-reliability                               everything, about 35 minutes on two cores
    .venv/bin/python tests/reliability/reliability.py --short            about 20 minutes
    .venv/bin/python tests/reliability/reliability.py --only full_disk   one case, no page

An interrupted call goes on where it stopped: cases that went well count as long as the checkout
stays as it is, others are run again. `--fresh` starts anew. The exit code is 1 if one went wrong.
"""

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import config_fuzz
import fault_cases as faults
import kill_chains as kills
import leftovers
import project_trees as trees
import reliability_page as page
import store_faults
import yaml
from findings import Finding
from project_trees import ROOT, Tree

from unblind.config import digest, schema
from unblind.config.files import read
from unblind.files import sha256, write_json
from unblind.study.provenance import describe_machine

PLACE = ROOT / ".cache" / "reliability"
#: What else the undisturbed studies are made from.
_STUDY = (".dvcignore", *(f"tests/{n}.py" for n in ("toy_study", "synthetic")))
_STUDY += ("tests/reliability/project_trees.py",)
#: Undisturbed studies, with which cases are compared.
STUDIES = ("reference", "toy")
SEED = 0
KILLS = 10
CONFIGURATIONS = 100
#: Wall seconds on two cores, told before each case; others take about 15.
EXPECTED_S = {
    "reference": 120,
    "kills_start": 360,
    "kills_end": 360,
    "kills_recorded": 330,
    "kills_random": 240,
    "two_calls": 160,
    "full_disk": 240,
    "half_pull": 40,
}


class Suite:
    """Cases, and the two undisturbed studies that they are compared with."""

    def __init__(self, short: bool) -> None:
        self.short = short
        self.state: dict[str, Any] = {}

    def case(self, name: str) -> Tree:
        """Return a new copy of the finished toy study for one case."""
        return self.toy.copy(PLACE / name)

    @property
    def toy(self) -> Tree:
        """The finished toy study."""
        return Tree(PLACE / "toy", path=(ROOT / "tests",))

    @property
    def wanted(self) -> dict[str, str]:
        """Results of the undisturbed smallest study."""
        return trees.contents(PLACE / "reference" / "results")

    @property
    def wanted_toy(self) -> dict[str, str]:
        """Results of the undisturbed toy study."""
        return trees.contents(self.toy.results)

    # ---- undisturbed studies --------------------------------------------------------------------

    def reference(self) -> dict[str, Any]:
        """Run the smallest study undisturbed."""
        return self._first(trees.smoke_tree(PLACE / "reference"))

    def make_toy(self) -> dict[str, Any]:
        """Run the toy study undisturbed."""
        return self._first(trees.toy_tree(PLACE / "toy"))

    def _first(self, tree: Tree) -> dict[str, Any]:
        begin, process = time.monotonic(), tree.start(*tree.build())
        if process.wait(trees.PATIENCE_S):
            raise RuntimeError(tree.said()[-3000:])
        seconds = time.monotonic() - begin
        files = [path for path in tree.results.rglob("*") if path.is_file()]
        return {
            "seconds": round(seconds, 1),
            "jobs": tree.said().count("Finished jobid: "),
            "files": len(files),
            "bytes": sum(path.stat().st_size for path in files),
        }

    # ---- cases --------------------------------------------------------------------------------

    def kills_at_steps(self, moment: str) -> dict[str, Any]:
        """Kill at each step's first or last moment."""
        tree = trees.smoke_tree(PLACE / f"kills_{moment}")
        chain, steps = kills.at_steps(tree, self.wanted, moment)
        return vars(chain) | {"steps": len(steps), "problems": page.problems(chain)}

    def kills_recorded(self) -> dict[str, Any]:
        """Kill when a job was just recorded."""
        chain = kills.at_records(trees.smoke_tree(PLACE / "kills_recorded"), self.wanted)
        return vars(chain) | {"problems": page.problems(chain)}

    def kills_random(self) -> dict[str, Any]:
        """Kill at random moments."""
        n = 3 if self.short else KILLS
        tree = trees.smoke_tree(PLACE / "kills_random")
        files = self.state["reference"]["files"]
        chain, shares = kills.at_random(tree, self.wanted, n, SEED, files)
        missed = [] if chain.kills == n else [f"{chain.kills} kills instead of {n}"]
        return vars(chain) | {"shares": shares, "problems": page.problems(chain) + missed}

    def full_disk(self) -> dict[str, Any]:
        """Fill the disk at three moments of one study."""
        total = self.state["reference"]["bytes"]
        sizes = [int(share * total) for share in (0.1, 0.4, 0.8)]
        tree = trees.smoke_tree(PLACE / "full_disk")
        return vars(faults.full_disk(tree, self.wanted, sizes))

    def two_calls(self) -> dict[str, Any]:
        """Two calls at once."""
        return vars(faults.two_calls(trees.smoke_tree(PLACE / "two_calls"), self.wanted))

    def full_checkout(self) -> dict[str, Any]:
        """Fill the disk of the whole checkout."""
        return vars(faults.full_checkout(self.toy, self.wanted_toy, PLACE / "full_checkout"))

    def half_pull(self) -> dict[str, Any]:
        """Kill pulls."""
        n = 3 if self.short else 10
        return vars(store_faults.half_pull(self.case("half_pull"), self.wanted_toy, n, SEED))

    def on_toy(self, fault: Callable[..., Finding]) -> dict[str, Any]:
        """Run a case on a copy of the toy study."""
        return vars(fault(self.case(fault.__name__), self.wanted_toy))

    def configurations(self) -> dict[str, Any]:
        """Fuzz the configuration; every 20th also through Snakemake."""
        place, known = PLACE / "configurations", schema()
        place.mkdir(exist_ok=True)
        text = yaml.safe_dump(read(ROOT / trees.SMOKE), sort_keys=False)
        verdicts, problems, through = [], [], 0
        for i, mutation in enumerate(config_fuzz.mutations(text, CONFIGURATIONS, SEED)):
            verdict = config_fuzz.judge(mutation, place / f"case-{i}.yaml", known)
            verdicts.append(verdict.outcome)
            if not verdict.good:
                problems.append(f"{mutation.kind} {mutation.key}: {verdict.outcome} {verdict.said}")
            if i % 20 == 13 and verdict.outcome == "one error":
                through += 1
                problems += self._refused(place / f"case-{i}.yaml")
        counts = {word: verdicts.count(word) for word in sorted(set(verdicts))}
        return {"counts": counts, "through_snakemake": through, "problems": problems}

    def _refused(self, config: Path) -> list[str]:
        done = self.toy.run(trees.TABLE, "-n", "--configfile", trees.SMOKE, str(config))
        whole = "error" in done.text.lower() and "Traceback" not in done.text
        return [] if done.code == 1 and whole else [f"{config.name}: {done.text[-500:]}"]

    def times(self) -> dict[str, Any]:
        """Measure what a person waits for."""
        before = os.times()
        dry = [self.toy.run(trees.TABLE, "-n", "--configfile", trees.SMOKE) for _ in range(3)]
        after = os.times()
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        helps = [self.toy.run("--help", module="unblind.cli") for _ in range(3)]
        problems = [d.text[-500:] for d in dry if "Nothing to be done" not in d.text]
        return {
            "dry_cpu_s": round(cpu / 3, 2),
            "dry_s": [round(done.seconds, 2) for done in dry],
            "help_s": [round(done.seconds, 2) for done in helps],
            "problems": problems,
        }

    def cases(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Return all cases by name, in their order."""
        ends = ("end",) if self.short else ("start", "end")
        chains = {f"kills_{m}": lambda m=m: self.kills_at_steps(m) for m in ends}
        if not self.short:
            chains["kills_recorded"] = self.kills_recorded
        simple = (faults.failing_job, faults.orphans, faults.read_only, faults.altered_record)
        simple += (faults.clock_back, faults.clock_behind)
        simple += (store_faults.corrupt_blob, store_faults.corrupt_cache)
        toys = {one.__name__: lambda one=one: self.on_toy(one) for one in simple}
        return {
            "reference": self.reference,
            "toy": self.make_toy,
            "times": self.times,
            "configurations": self.configurations,
            **toys,
            "half_pull": self.half_pull,
            "full_checkout": self.full_checkout,
            **chains,
            "kills_random": self.kills_random,
            "two_calls": self.two_calls,
            "full_disk": self.full_disk,
        }


def stamp(*names: str) -> str:
    """Return a digest of files and folders of the checkout."""
    places = [place for name in names for place in ((ROOT / name), *(ROOT / name).rglob("*"))]
    files = sorted(p for p in places if p.is_file() and "__pycache__" not in p.parts)
    return digest([(path.relative_to(ROOT).as_posix(), sha256(path)) for path in files])


def known(state: Path, short: bool) -> dict[str, Any]:
    """Return what earlier calls found with the same files; delete what they left otherwise."""
    study = stamp("src", "workflow", "profiles", "paper", "Snakefile", ".dvc/config", *_STUDY)
    stamps = {"study": study, "suite": stamp("tests") + str(short)}
    found = json.loads(state.read_text()) if state.is_file() else {}
    before = found.get("stamps", {})
    if before == stamps:
        return {name: one for name, one in found.items() if not one.get("problems")}
    if before.get("study") == study:
        return {"stamps": stamps} | {name: found[name] for name in STUDIES if name in found}
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    return {"stamps": stamps}


def run(suite: Suite, names: list[str], state: Path) -> None:
    """Run the cases that are not done yet; `state` keeps what is."""
    cases = suite.cases()
    left = [name for name in names if name not in suite.state]
    expected = sum(map(_expected, left))
    print(
        f"reliability: {len(left)} cases to do, about {math.ceil(expected / 60)} minutes",
        flush=True,
    )
    for number, name in enumerate(left, 1):
        print(f"{number}/{len(left)} {name}: about {_expected(name)} s ...", flush=True)
        found = suite.state[name] = measured(name, cases[name])
        write_json(state, suite.state)
        if name not in STUDIES and not found.get("problems"):
            shutil.rmtree(PLACE / name, ignore_errors=True)
        word = "FAILED" if found.get("problems") else "skipped" if found.get("skipped") else "ok"
        print(f"    {word}, {found['wall_s']:.0f} s", flush=True)
        for problem in found.get("problems", []):
            print(f"    {problem}", flush=True)


def measured(name: str, case: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a case and return what it found and took; one that breaks off is a problem of its own.

    An undisturbed study that fails is an error: without it nothing can be compared.
    """
    begin, before = time.monotonic(), os.times()
    try:
        found = case()
    except Exception as error:
        if name in STUDIES:
            raise
        leftovers.clear(PLACE / name)
        found = {"problems": [f"broke off: {type(error).__name__}: {error}"]}
    after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    return found | {"wall_s": round(time.monotonic() - begin, 1), "cpu_s": round(cpu, 1)}


def _expected(name: str) -> int:
    return EXPECTED_S.get(name, 15)


def _undisturbed(names: list[str]) -> list[str]:
    """Return which undisturbed studies the cases need."""
    real = [n for n in names if n.startswith("kills") or n in ("two_calls", "full_disk")]
    return ["reference"] * bool(real) + ["toy"] * (len(real) < len(names))


def main() -> None:
    """Run the suite from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="fewer kills; writes no page")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases; writes no page")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier calls found")
    words = parser.parse_args()
    with leftovers.alone(PLACE):
        sys.exit(study(words))


def study(words: argparse.Namespace) -> bool:
    """Run what the command line wants; True if a case went wrong."""
    suite = Suite(words.short)
    names = words.only or list(suite.cases())
    names = [*(n for n in _undisturbed(names) if n not in names), *names]
    state = PLACE / "state.json"
    leftovers.clear(PLACE)
    if words.fresh:
        shutil.rmtree(PLACE, ignore_errors=True)
    suite.state = known(state, words.short)
    run(suite, names, state)
    failed = [name for name in names if suite.state[name].get("problems")]
    if not (words.short or words.only):
        page.write(ROOT / "docs" / "reliability.md", suite.state, describe_machine())
        print("docs/reliability.md written", flush=True)
    print(f"reliability: {len(names) - len(failed)} of {len(names)} cases as they should be")
    return bool(failed)


if __name__ == "__main__":
    main()
