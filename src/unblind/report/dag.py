"""The jobs behind a target, as Snakemake itself lists them in a dry run."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.study.store import PULLED_BASE

# Jobs of a group are indented.
_RULE = re.compile(r"^ *(?:local)?rule (\w+):$")
_WILDCARDS = re.compile(r"^ +wildcards: (.*)$")
_TOTAL = re.compile(r"^total +(\d+)$", re.MULTILINE)
#: Rules whose jobs are stages by another name than their own (`unblind.report.measured.stages`).
_STAGES = {
    "pull_base": "base",
    "train": "training of {run}",
    "rollout": "rollouts of {run}",
    "base_fetch": "base: fetch",
    "base_questions": "base: questions",
    "base_vlm": "base: vlm",
    "base_robot": "base: robot",
    "base_warm_up": "base: warm-up",
    "table1": "table 1",
    "settings_table": "tables 9 and 14",
}
_NO_JOB = "all"  # only names targets


@dataclass(frozen=True)
class Job:
    """A job that Snakemake would run.

    Attributes:
        rule: name of its rule.
        wildcards: their values by name, as (name, value) pairs.
    """

    rule: str
    wildcards: tuple[tuple[str, str], ...] = ()

    @property
    def stage(self) -> str:
        """The stage that it belongs to, as tables of costs name it."""
        values = dict(self.wildcards)
        if self.rule == "base_demos":
            return "base: warm-up demos" if values.get("which") else "base: demos"
        name = _STAGES.get(self.rule, self.rule.replace("_", " "))
        return name.format_map(values)


def stages(config: Config, target: str | None = None) -> Counter[str]:
    """Return how many jobs of each stage a target needs, from nothing.

    Args:
        config: the study.
        target: a result or a rule; None: everything.

    Raises:
        UnblindError: this is no checkout, or there is no such target.
    """
    return Counter(job.stage for job in jobs(config, target))


def jobs(config: Config, target: str | None = None) -> list[Job]:
    """Return all jobs that a target needs, those included whose results stand already.

    Args:
        config: the study.
        target: a result or a rule; None: everything.

    Raises:
        UnblindError: this is no checkout, or there is no such target.
    """
    if not Path("Snakefile").is_file():
        raise UnblindError("no Snakefile here", "run in the root of a checkout")
    with tempfile.TemporaryDirectory(prefix="unblind-costs-") as folder:
        # Results of a folder that is not there: nothing found on this machine changes the answer.
        moved = str(Path(folder, "results"))
        values = config.model_dump(mode="json") | {"results": moved}
        values["cluster"] = config.cluster.model_dump(mode="json")
        file = Path(folder, "config.yaml")
        file.write_text(json.dumps(values), encoding="utf-8")
        words = [] if target is None else [_moved(target, config.results, moved)]
        code, shown = _dry_run(words, file)
        shown = shown.replace(moved, config.results)
    if code:
        raise UnblindError(
            f"Snakemake lists no jobs: {_reason(shown)}", "name a file under results, or a rule"
        )
    return parse(shown)


def _moved(target: str, results: str, place: str) -> str:
    """Return a target with another folder of results; the pulled base stays where it is."""
    path = Path(os.path.normpath(target))
    if path.is_relative_to(results) and not path.is_relative_to(PULLED_BASE):
        return str(Path(place, path.relative_to(results)))
    return target


def _dry_run(targets: list[str], config: Path) -> tuple[int, str]:
    """Return Snakemake's exit code and what it prints."""
    command = [sys.executable, "-m", "snakemake", *targets, "--dry-run", "--forceall", "--nocolor"]
    # A user's own default profile must not hand this to a cluster.
    environment = {k: v for k, v in os.environ.items() if k != "SNAKEMAKE_PROFILE"}
    done = subprocess.run(
        [*command, "--configfile", str(config)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def _reason(shown: str) -> str:
    """Return the first line of the error in what Snakemake printed."""
    lines = [line.strip() for line in shown.splitlines() if line.strip()] or ["no reason given"]
    names = [i for i, line in enumerate(lines) if line.split()[0].rstrip(":").endswith("Exception")]
    said = lines[names[0] + 1 :] if names else lines[-1:]
    return (said or lines)[0].partition(" (if you use")[0][:300]


def parse(shown: str) -> list[Job]:
    """Return the jobs in the text of a dry run.

    Raises:
        UnblindError: they are not as many as the text says itself.
    """
    found: list[Job] = []
    for line in shown.splitlines():
        if match := _RULE.match(line):
            found.append(Job(match[1]))
        elif found and (match := _WILDCARDS.match(line)):
            pairs = (pair.partition("=") for pair in match[1].split(", "))
            found[-1] = Job(found[-1].rule, tuple((name, value) for name, _, value in pairs))
    total = _TOTAL.search(shown)
    if total is None or int(total[1]) != len(found):
        count = total[1] if total else "no"
        raise UnblindError(
            f"{len(found)} jobs read, {count} listed: Snakemake prints a dry run in another way",
            "make setup: the workflow is written for Snakemake 9.27",
        )
    return [job for job in found if job.rule != _NO_JOB]
