"""A study as the rules of the workflow see it: files, commands, requests and origins by rule."""

import atexit
import contextlib
import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake.io import report
from snakemake.ioflags import update

from unblind import locks
from unblind.cluster import attempts, failures, requests
from unblind.cluster.check import before_run
from unblind.config import Config, check
from unblind.config.files import arguments, merged
from unblind.custody import carried
from unblind.custody.artifacts import own_settings
from unblind.errors import UnblindError
from unblind.sim.released_files import check as check_assets
from unblind.study import jobs, pulled_base, record_names, selection, unread
from unblind.study.code import code_hash
from unblind.study.jobs import Job
from unblind.study.rows import scope
from unblind.study.stage import Stage
from unblind.study.stages import STAGES, request_of, rule_of
from unblind.study.store import PULLED_BASE, pointer_path
from unblind.workflow import patches
from unblind.workflow.patches import one_line

#: Values of a job's wildcards by name, as Snakemake hands them over.
Wildcards = Any
_PAPER = Path("workflow/config/paper.yaml")
#: Shell commands before each job's own. `step X` runs `unblind X --config ...` with the Python that
#: runs Snakemake (an empty PATH does no harm), and first prints that very command; what a stage
#: fetches depends on no configuration.
_PREAMBLE = """
set -euo pipefail
export OMP_NUM_THREADS=1
unconfigured_step() {
  set -- {python} -m unblind.cli "$@"
  printf '%q ' "$@"; echo{scratch}
  "$@"
}
step() {
  unconfigured_step "$@" {options}
}
parallel_step() {
  step "$@" --workers "$threads"
}
"""
# A SLURM job's temporary files have a folder of their own on its node, gone when the job ends.
_SCRATCH = """
  if [ -n "${SLURM_JOB_ID:-}" ]; then
    mkdir -p "{folder}"
    TMPDIR=$(mktemp -d "{folder}/unblind-$SLURM_JOB_ID-XXXXXX")
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
  fi"""


def start(files: Sequence[str], changes: Mapping[str, Any]) -> "Study":
    """Check the configuration and this call of Snakemake; return the study.

    Args:
        files: the configuration files in the order in which they were named.
        changes: values of the option ``--config``.

    Raises:
        WorkflowError: the configuration is wrong, profiles/default is not in force, or SLURM lacks
            what the configuration asks for.
    """
    # Snakemake's scheduler fails without PATH, for instance under `env -i`.
    os.environ.setdefault("PATH", os.defpath)
    options = patches.command_line()
    patches.check_profile(options)
    patches.keep_failures_incomplete()
    values = one_line(merged, files, changes)
    study = Study(one_line(check, values, "of the workflow"), values, files)
    for file in files:
        one_line(unread.check, Path(file), study.config)
    one_line(requests.check_names, study.config)
    one_line(selection.pages, study.config)
    one_line(_refuse_parts, study.config)
    patches.explain_read_only(study.config.results)
    patches.forget_future_times(study.config.results, pointer_path(PULLED_BASE).parent, "paper")
    # Nothing of SLURM is known, or needed, where no job goes there.
    if options and not options.dryrun and options.executor in failures.EXECUTORS:
        one_line(before_run, study.config, options.executor)
        study.submit()
    if study.config.base.source is None:
        one_line(pulled_base.bring_along, study.config)
    return study


def _refuse_parts(config: Config) -> None:
    """Stop if rollouts may end early: the graph needs whole records.

    Raises:
        UnblindError: they may.
    """
    if config.rollout.stop_early:
        cause = "rollout.stop_early is set, and tables need whole records"
        raise UnblindError(cause, "set it to null here, and for a single call of unblind rollout")


class Study:
    """A study by the names of its rules.

    Attributes:
        config: the checked configuration.
        values: the same as plain values.
        rules: the names of the rules that this study has, in the order of the table.
    """

    def __init__(self, config: Config, values: Mapping[str, Any], files: Sequence[str]) -> None:
        self.config, self.values, self._files = config, values, files
        self._stages: dict[str, dict[str, Stage]] = {}
        for name, stage in STAGES.items():
            if stage.when(config):
                self._stages.setdefault(rule_of(name), {})[name] = stage
        self.rules = list(self._stages)
        self._ceilings: Mapping[str, attempts.Ceiling] = {}
        self._logs_before: set[Path] | None = None

    def submit(self) -> None:
        """Ask SLURM what its partitions give, and remember which logs are there.

        Raises:
            WorkflowError: it does not answer, or a partition is not there.
        """
        self._ceilings = one_line(attempts.ceilings, self.config)
        self._logs_before = failures.logs(self.config.results)

    def preamble(self) -> str:
        """Return the shell commands before each job's own, with braces doubled for Snakemake."""
        scratch = self.config.cluster.scratch
        options = {key: value for key, value in self.values.items() if key != "cluster"}
        text = _PREAMBLE
        for name, value in {
            "{python}": shlex.quote(sys.executable),
            "{options}": shlex.join(arguments(self._files, options)),
            "{scratch}": _SCRATCH.replace("{folder}", scratch) if scratch else "",
        }.items():
            text = text.replace(name, value)
        return text.replace("{", "{{").replace("}", "}}")

    def lock(self) -> None:
        """Refuse a second call for as long as this one works.

        Snakemake's own lock would outlive ``kill -9``.

        Raises:
            WorkflowError: another call is working.
        """
        stack = contextlib.ExitStack()
        atexit.register(stack.close)
        folder = self.config.results
        busy = f"another call of Snakemake writes into {folder}"
        one_line(stack.enter_context, locks.alone(f"{folder}/study", busy))

    def explain_silence(self) -> str:
        """Return one line on SLURM jobs that failed and left no log, nothing otherwise."""
        if self._logs_before is None:
            return ""
        return failures.silent(self.config.results, self._logs_before)

    # ---- what a rule is made of ----------------------------------------------------------------

    def inputs(self, rule: str) -> Callable[[Wildcards], list[str]]:
        """Return what finds the files that a rule's job reads: results and sources."""
        return functools.partial(self._inputs, rule)

    def outputs(self, rule: str) -> list[str]:
        """Return the files that a rule makes, with wildcards.

        Snakemake keeps existing files, commands decide what is outdated; pages are always rendered.
        """
        patterns = [
            path.replace("{results}", self.config.results).replace(
                "{teacher}", f"{{teacher,{'|'.join(map(re.escape, scope.teachers(self.config)))}}}"
            )
            for stage in self._stages[rule].values()
            for path in record_names.each_record(
                self.config, (*stage.outputs, *self._beside(stage))
            )
        ]
        patterns = list(dict.fromkeys(patterns))
        if page := self._first(rule).page:
            return [self._page(page, rule, path) for path in patterns]
        is_fetched = self._first(rule).is_local
        return patterns if is_fetched else [update(path) for path in patterns]

    def pages(self) -> list[str]:
        """Return all tables and pages of a study, what it is built for."""
        pages = [Job(self.config, name) for name in selection.pages(self.config)]
        return [str(path) for job in pages for path in job.outputs]

    def log(self, rule: str) -> str:
        """Return the file of what a rule's command says."""
        return f"{self.config.results}/logs/{self._file(rule)}.log"

    def benchmark(self, rule: str) -> str:
        """Return the file of what Snakemake measured of a rule's job."""
        return f"{self.config.results}/benchmarks/{self._file(rule)}.tsv"

    def threads(self, rule: str) -> int:
        """Return how many processes a rule's job has."""
        stage = self._first(rule)
        if stage.on_gpus:
            return self.config.training.gpus
        return min(stage.processes or self.config.rollout.workers, self.config.rollout.workers)

    def command(self, rule: str) -> Callable[[Wildcards], str]:
        """Return what writes the shell command of a rule's job, the preamble's function first.

        The number of processes is no part of it: another number re-runs no job.
        """
        stage = self._first(rule)
        step = "step" if stage.settings is not None or stage.page else "unconfigured_step"
        words = f"{step if stage.processes == 1 else 'parallel_step'} {stage.command}"
        if stage.each_teacher:
            runs = scope.teachers(self.config)
            return lambda wildcards: (
                f"{words} --run {shlex.quote(run)}" if (run := runs[wildcards.teacher]) else words
            )
        if stage.per is None:
            return lambda wildcards: words
        return lambda wildcards: (
            f"{words} --run {shlex.quote(wildcards.run)} --seed {wildcards.seed}"
        )

    def is_local(self, rule: str) -> bool:
        """Tell whether a rule runs where Snakemake runs: compute nodes often have no network."""
        return self._first(rule).is_local

    def group(self, rule: str) -> Callable[[Wildcards], str | None] | None:
        """Return what tells with which jobs one of a rule is submitted."""
        if self.is_local(rule):
            return None
        return lambda wildcards: self.config.cluster.job(self._request(rule, wildcards)).group

    def resources(self, rule: str) -> dict[str, Any]:
        """Return what a rule's job may use; another attempt may use more, a scripted run less."""
        if self.is_local(rule):
            return {"mem_mb": 4000, "runtime": 480, "gpu": 0}
        cluster = self.config.cluster

        def limits(wildcards: Wildcards, attempt: int) -> tuple[int, int]:
            name = self._request(rule, wildcards)
            ceiling = self._ceilings.get(name, attempts.Ceiling())
            return ceiling.of(cluster.job(name), attempt)

        def gpus(wildcards: Wildcards) -> int:
            return cluster.job(self._request(rule, wildcards)).gpus

        # What is None is not asked for.
        return {
            "runtime": lambda wildcards, attempt: limits(wildcards, attempt)[0],
            "mem_mb": lambda wildcards, attempt: limits(wildcards, attempt)[1],
            "gpu": gpus,
            "gpu_model": lambda wildcards: cluster.gpu_type if gpus(wildcards) else None,
            "slurm_partition": lambda wildcards: cluster.partition_of(
                self._request(rule, wildcards)
            ),
            "slurm_account": lambda wildcards: cluster.account,
        }

    def origin(self, rule: str) -> Callable[[Wildcards], str]:
        """Return what tells settings and code of a rule's results: a change re-runs the job."""
        return lambda wildcards: one_line(self._origin, rule, wildcards)

    def _beside(self, stage: Stage) -> list[str]:
        """Return what every job of a stage makes besides files with a sidecar."""
        runs = [run for run in self.config.runs.values() if run.method]
        return [
            file.path for file in stage.beside if all(file.when(self.config, run) for run in runs)
        ]

    # ---- how it is found out -------------------------------------------------------------------

    def _first(self, rule: str) -> Stage:
        return next(iter(self._stages[rule].values()))

    def _jobs(self, rule: str, wildcards: Wildcards) -> list[Job]:
        """Return the jobs of stages behind a rule's job; those of runs are one."""
        if self._first(rule).each_teacher:
            return [Job(self.config, rule, scope.teachers(self.config)[wildcards.teacher])]
        if self._first(rule).per is None:
            return [Job(self.config, name) for name in self._stages[rule]]
        name = one_line(jobs.stage_of, self.config, rule, wildcards.run)
        return [Job(self.config, name, wildcards.run, int(wildcards.seed))]

    def _inputs(self, rule: str, wildcards: Wildcards) -> list[str]:
        made = {path for job in self._jobs(rule, wildcards) for path in job.outputs}
        paths = [path for job in self._jobs(rule, wildcards) for path in self._read(job)]
        if rule == "pull":
            paths.append(one_line(pulled_base.pointer_file))
        return [str(path) for path in dict.fromkeys(paths) if path not in made]

    def _read(self, job: Job) -> list[Path]:
        """Return what a job reads and what must be there before it; tables may read copies."""
        results = [*job.inputs, *job.before]
        if job.stage.page:
            results = carried.substituted(self.config, results)
        return [*results, *map(Path, job.stage.sources)]

    def _request(self, rule: str, wildcards: Wildcards) -> str:
        return request_of(self._jobs(rule, wildcards)[0].name)

    def _file(self, rule: str) -> str:
        """Return the name of a rule's log: that of the rule, with its wildcards."""
        stage = self._first(rule)
        if stage.each_teacher:
            return f"{rule}-{{teacher}}"
        return rule if stage.per is None else f"{rule}-{{run}}-{{seed}}"

    def _page(self, page: str, rule: str, path: str) -> str:
        """Return a rendered page's file, shown with a caption by `snakemake --report`."""
        return report(
            path,
            caption=f"../report/{rule}.rst",
            category="Tables and audit",
            labels={"page": page, "format": path.rpartition(".")[2]},
        )

    def _origin(self, rule: str, wildcards: Wildcards) -> str:
        origins = [self._origin_of(job) for job in self._jobs(rule, wildcards)]
        return json.dumps(origins, sort_keys=True)

    def _origin_of(self, job: Job) -> dict[str, Any]:
        settings = self._own.get(job.name) if job.stage.settings is None else job.settings
        made_from = {"settings": settings, "code": code_hash(*job.stage.modules, config=settings)}
        if settings and settings.get("catalog_missing") == "skip":
            made_from["lacking"] = self._lacking
        return made_from

    @functools.cached_property
    def _own(self) -> dict[str, Any]:
        return own_settings(self.config, _PAPER)

    @functools.cached_property
    def _lacking(self) -> list[str]:
        """Files of the catalog that are missing or changed: episodes depend on them."""
        _, missing, changed = check_assets(self.config.catalog)
        return missing + changed
