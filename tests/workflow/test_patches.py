"""Snakemake still has what is patched, and the patches do what they say."""

import asyncio
import os
import time
from argparse import Namespace
from types import SimpleNamespace

import pytest
from snakemake.api import SnakemakeApi  # noqa: F401  (it must be imported before its modules)
from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job

from unblind.errors import UnblindError
from unblind.workflow import patches


@pytest.fixture
def fresh(monkeypatch):
    """Snakemake's own methods, put back afterwards."""
    for name in ("postprocess", "check_protected_output"):
        method = getattr(Job, name)
        monkeypatch.setattr(Job, name, getattr(method, "__wrapped__", method))


def test_an_error_of_ours_stops_snakemake_in_one_line():
    def fail():
        raise UnblindError("cause", "remedy")

    with pytest.raises(WorkflowError, match=r"cause \(remedy\)"):
        patches.one_line(fail)


def test_a_failed_job_is_marked_as_started(fresh):
    patches.keep_failures_incomplete()
    patches.keep_failures_incomplete()  # the second time changes nothing
    started = []
    persistence = SimpleNamespace(started=started.append)
    job = SimpleNamespace(dag=SimpleNamespace(workflow=SimpleNamespace(persistence=persistence)))
    asyncio.run(Job.postprocess(job, error=True))
    assert started == [job]
    assert not hasattr(Job.postprocess.__wrapped__, "__wrapped__")


def test_a_full_disk_does_not_hide_a_failure(fresh):
    patches.keep_failures_incomplete()

    def full(job):
        raise OSError("disk full")

    workflow = SimpleNamespace(persistence=SimpleNamespace(started=full))
    asyncio.run(
        Job.postprocess(SimpleNamespace(dag=SimpleNamespace(workflow=workflow)), error=True)
    )


def test_files_from_the_future_get_the_present_time(tmp_path):
    late, early = tmp_path / "late", tmp_path / "early"
    for path, time_s in ((late, time.time() + 9000), (early, 1000.0)):
        path.touch()
        os.utime(path, (time_s, time_s))
    patches.forget_future_times(tmp_path, tmp_path / "absent")
    assert late.stat().st_mtime <= time.time()
    assert early.stat().st_mtime == 1000.0


def options(triggers, size=10**12, **more):
    return Namespace(rerun_triggers=triggers, max_checksum_file_size=size, **more)


def test_another_profile_is_refused():
    needed = ["mtime", "params", "input", "software-env"]
    patches.check_profile(None)
    patches.check_profile(options(needed))
    for other in (options(needed[1:]), options([*needed, "code"]), options(needed, 1)):
        with pytest.raises(WorkflowError, match="profiles/default is not in force"):
            patches.check_profile(other)


def test_a_report_needs_its_pages(tmp_path):
    page = tmp_path / "table1.md"
    asked = Namespace(report="out.html", targets=[], report_after_run=False)
    with pytest.raises(WorkflowError, match=r"table1\.md is missing"):
        patches.check_report(asked, [str(page)])
    page.touch()
    patches.check_report(asked, [str(page)])
    patches.check_report(None, ["absent"])
