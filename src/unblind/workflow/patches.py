"""Patches of Snakemake, and what is looked up inside it: each says what, why and until when.

They were written against Snakemake 9.27, the least version that the Snakefile accepts, and are
tested with the version in ``requirements.lock``.
"""

import contextlib
import functools
import inspect
import os
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job
from snakemake.settings.types import ExecMode

from unblind.errors import UnblindError
from unblind.files import check_writable

Result = TypeVar("Result")


def one_line(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return the function's result, or stop Snakemake with its one-line error.

    Raises:
        WorkflowError: the function raised an `UnblindError`.
    """
    try:
        return function(*arguments)
    except UnblindError as error:
        raise WorkflowError(str(error)) from None


def command_line() -> Namespace | None:
    """Return Snakemake's parsed command line, or None if no person started this Snakemake.

    What: it is looked up in the call stack. Why: the workflow gets these settings only after the
    Snakefile has been read, and the Snakefile must check them. Until: Snakemake hands its settings
    to the Snakefile.
    """
    frame = inspect.currentframe()
    while frame and not hasattr(frame.f_locals.get("args"), "rerun_triggers"):
        frame = frame.f_back
    options = frame and frame.f_locals["args"]
    return options if options and options.mode == ExecMode.DEFAULT else None


def keep_failures_incomplete() -> None:
    """Make Snakemake run a failed job again, and keep what the job had finished.

    What: `Job.postprocess` marks a failed job as started instead. Why: by itself Snakemake records
    it as finished, under the settings that it should have had, and puts back the ``update`` outputs
    from before (its issue 3808): the next call would take outdated results for current ones.
    Until: that issue is closed.
    """
    original = Job.postprocess
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    async def postprocess(job: Job, *arguments: Any, error: bool = False, **options: Any) -> None:
        if not error:
            return await original(job, *arguments, **options)
        # On a full disk the mark that was set when the job started remains.
        with contextlib.suppress(OSError):
            job.dag.workflow.persistence.started(job)

    Job.postprocess = postprocess


def explain_read_only(results: str) -> None:
    """Say what to do where nothing can be written.

    What: before `Job.check_protected_output` the folder of results is tried. Why: Snakemake only
    names write-protected files, and the check runs before ``onstart``. Until: never, it is ours.

    Args:
        results: the folder of results.
    """
    original = Job.check_protected_output
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    async def check_protected_output(job: Job) -> None:
        one_line(check_writable, results)
        await original(job)

    Job.check_protected_output = check_protected_output


def forget_future_times(*folders: Path | str) -> None:
    """Give files from the future the present time.

    What: their times are set. Why: after a clock was set back, Snakemake would refuse each new
    result as older than its inputs; whether something changed is decided by checksums anyway.
    Until: Snakemake ignores times where checksums agree.
    """
    now = time.time()
    paths = [path for folder in folders for path in Path(folder).rglob("*")]
    for path in paths:
        # Files of another call come and go; where nothing may be written, nothing is made.
        with contextlib.suppress(OSError):
            if path.stat().st_mtime > now:
                os.utime(path, (now, now))


def check_profile(options: Namespace | None) -> None:
    """Stop unless profiles/default is in force: without it finished work would be run again.

    Args:
        options: from `command_line`.

    Raises:
        WorkflowError: it is not in force.
    """
    if options is None:
        return
    triggers = {str(trigger) for trigger in options.rerun_triggers}
    needed = {"mtime", "params", "input", "software-env"}
    if triggers != needed or options.max_checksum_file_size < 10**12:
        raise WorkflowError(
            "profiles/default is not in force: start snakemake in the repository's root, without "
            "--workflow-profile, --rerun-triggers and --max-checksum-file-size"
        )


def check_report(options: Namespace | None, pages: list[str]) -> None:
    """Stop before a report of pages that are not there: Snakemake only names the first of them.

    Args:
        options: from `command_line`.
        pages: what the report shows.

    Raises:
        WorkflowError: one of them is missing.
    """
    if options is None or not options.report:
        return
    if options.targets or options.report_after_run:
        return
    missing = [page for page in pages if not Path(page).exists()]
    if missing:
        raise WorkflowError(
            f"the report shows every page, {missing[0]} is missing (run: snakemake --cores all)"
        )
