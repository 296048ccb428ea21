"""The jobs that Snakemake would run, from the events of its own log in a dry run.

Snakemake's printed text is for people and changes with its version and its options. The events
behind it (`snakemake_interface_logger_plugins.common.LogEvent`) are the interface for programs. The
dry run is a process of its own, for Snakemake changes the logging and the signals of its process.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.study.store import PULLED_BASE

#: The rule that only names targets.
_ALL = "all"


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
    def run(self) -> str | None:
        """The run that it trains or evaluates, if it does."""
        return dict(self.wildcards).get("run")


def pending(config: Config) -> list[Job]:
    """Return the jobs whose results are missing or stale.

    Raises:
        UnblindError: this is no checkout, or the workflow cannot be read.
    """
    return _jobs(_values(config), _ALL)


def jobs(config: Config, target: str) -> list[Job]:
    """Return all jobs that a target needs, those included whose results stand already.

    Args:
        config: the study.
        target: a result or a rule.

    Raises:
        UnblindError: this is no checkout, or there is no such target.
    """
    with tempfile.TemporaryDirectory(prefix="unblind-jobs-") as folder:
        # Results of a folder that is not there: nothing found on this machine changes the answer.
        moved = str(Path(folder, "results"))
        values = _values(config) | {"results": moved}
        try:
            return _jobs(values, _moved(target, config.results, moved), "--forceall")
        except UnblindError as error:
            cause = error.cause.replace(moved, config.results)
            raise UnblindError(cause, error.remedy) from None


def _values(config: Config) -> dict[str, Any]:
    """Return the whole configuration; what concerns the cluster alone is no part of its dump."""
    return config.model_dump(mode="json") | {"cluster": config.cluster.model_dump(mode="json")}


def _moved(target: str, results: str, folder: str) -> str:
    """Return a target in another folder of results; the pulled base stays where it is."""
    path = Path(os.path.normpath(target))
    if path.is_relative_to(results) and not path.is_relative_to(PULLED_BASE):
        return str(Path(folder, path.relative_to(results)))
    return target


def _jobs(values: Mapping[str, Any], target: str, *options: str) -> list[Job]:
    if not Path("Snakefile").is_file():
        raise UnblindError("no Snakefile here", "run in the root of a checkout")
    with tempfile.TemporaryDirectory(prefix="unblind-jobs-") as folder:
        settings, events = Path(folder, "config.json"), Path(folder, "events.json")
        settings.write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(events), target, "--dry-run", *options]
        # A user's own default profile must not hand this to a cluster.
        environment = {k: v for k, v in os.environ.items() if k != "SNAKEMAKE_PROFILE"}
        done = subprocess.run(
            [*command, "--quiet", "all", "--configfile", str(settings)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        listed = json.loads(events.read_text(encoding="utf-8")) if events.is_file() else {}
    if done.returncode != 0 or not listed:
        lines = (listed.get("errors") or [done.stderr])[0].strip().splitlines()
        raise UnblindError(
            f"Snakemake lists no jobs: {_reason(lines)}", "name a file under results, or a rule"
        )
    found = [Job(rule, tuple(map(tuple, wildcards))) for rule, wildcards in listed["jobs"]]
    return [job for job in found if job.rule != _ALL]


def _reason(lines: list[str]) -> str:
    """Return the error of a message whose first line may only name its kind and place."""
    said = lines[1:] if len(lines) > 1 and lines[0].endswith(":") else lines
    return (said or ["no reason given"])[0].partition(" (if you use")[0].strip()[:300]


class _Listener(logging.Filter):
    """Keeps what Snakemake's logger is told; its own handlers still print."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[tuple[str, list[tuple[str, str]]]] = []
        self.errors: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep jobs and errors; let every record pass."""
        from snakemake_interface_logger_plugins.common import LogEvent

        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.jobs.append((record.rule_name, list(record.wildcards.items())))
        elif event == LogEvent.ERROR:
            self.errors.append(record.getMessage())
        return True


def main(events: str, *words: str) -> None:
    """Run Snakemake's command line in this process, and write its jobs and errors to a file."""
    from snakemake.cli import main as snakemake
    from snakemake.logging import logger

    listener = _Listener()
    logger.addFilter(listener)
    try:
        snakemake(list(words))
    finally:
        with contextlib.suppress(OSError):
            content = json.dumps({"jobs": listener.jobs, "errors": listener.errors})
            Path(events).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
