# What all rules share: checks at parse time, and how a rule calls the command line.

import atexit
import contextlib
import functools
import inspect
import json
import os
import shlex
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job
from snakemake.settings.types import ExecMode
from snakemake.utils import validate

from unblind import carried, locks, places
from unblind.base import bring_along, pointer_file
from unblind.cluster import attempts, failures
from unblind.cluster.check import before_run
from unblind.config import check
from unblind.config_files import arguments, merged
from unblind.costs.page import CODE as COSTS_CODE
from unblind.errors import UnblindError
from unblind.files import check_writable
from unblind.provenance import CODE, rollout_code
from unblind.report.hyperparameters import load_settings, settings as settings_shown
from unblind.sim.conditions import CONDITIONS
from unblind.sim.released_files import check as check_assets
from unblind.study.code import code_hash, source_hash
from unblind.store import BASE_FILES, PULLED_BASE, base_dir, pointer_path


def snakemake_options():
    """Return Snakemake's parsed command line, or None if it was not started by a person.

    It is looked up in the call stack: the workflow object gets these settings after parsing only.
    """
    frame = inspect.currentframe()
    while frame and not hasattr(frame.f_locals.get("args"), "rerun_triggers"):
        frame = frame.f_back
    options = frame and frame.f_locals["args"]
    return options if options and options.mode == ExecMode.DEFAULT else None


def check_profile(options):
    """Stop unless profiles/default is in force: without it finished work would be re-run."""
    if options is None:
        return
    triggers = {str(trigger) for trigger in options.rerun_triggers}
    wanted = {"mtime", "params", "input", "software-env"}
    if triggers != wanted or options.max_checksum_file_size < 10**12:
        raise WorkflowError(
            "profiles/default is not in force: start snakemake in the repository's root, without "
            "--workflow-profile, --rerun-triggers and --max-checksum-file-size"
        )


def check_report(options, wanted):
    """Stop before a report of pages that are not there: Snakemake only names the first of them."""
    if options is None or not options.report:
        return
    if options.targets or options.report_after_run:
        return
    missing = [page for page in wanted if not Path(page).exists()]
    if missing:
        raise WorkflowError(
            f"the report shows every page, {missing[0]} is missing (run: snakemake --cores all)"
        )


def on_cluster(options):
    """Tell whether this call hands jobs to SLURM."""
    return (
        options is not None
        and not options.dryrun
        and options.executor in failures.EXECUTORS
    )


def cluster_ceilings(options):
    """Return the most that jobs of each rule get; nothing is known of it without a cluster.

    Stop before anything is submitted if SLURM lacks what the configuration asks for.
    """
    if not on_cluster(options):
        return {}
    one_line(before_run, STUDY, options.executor)
    return one_line(attempts.ceilings, STUDY)


def keep_failures_incomplete():
    """Make Snakemake run a failed job again, and keep what the job had finished.

    By itself it records a failed job as finished, under the settings that the job should have had,
    and puts back the `update` outputs from before (Snakemake 9.27; its issue 3808): the next call
    would take outdated results for current ones.
    """
    original = Job.postprocess
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    async def postprocess(job, *arguments, error=False, **options):
        if not error:
            return await original(job, *arguments, **options)
        # On a full disk the mark that was set when the job started remains.
        with contextlib.suppress(OSError):
            job.dag.workflow.persistence.started(job)

    Job.postprocess = postprocess


def explain_read_only_results():
    """Say what to do where nothing can be written: Snakemake only names write-protected files."""
    original = Job.check_protected_output
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    async def check_protected_output(job):
        one_line(check_writable, RESULTS)
        await original(job)

    Job.check_protected_output = check_protected_output


def forget_future_times(*folders):
    """Give files from the future the present time.

    After a clock was set back, Snakemake would refuse each new result as older than its inputs.
    Whether something changed is decided by checksums anyway.
    """
    now = time.time()
    paths = [path for folder in folders for path in Path(folder).rglob("*")]
    for path in paths:
        # Files of another call come and go; where nothing may be written, nothing is made.
        with contextlib.suppress(OSError):
            if path.stat().st_mtime > now:
                os.utime(path, (now, now))


def one_line(function, *arguments):
    """Return the function's result, or stop with its one-line error."""
    try:
        return function(*arguments)
    except UnblindError as error:
        raise WorkflowError(str(error)) from None


def asked(name):
    """Return what a job of a rule may use; another attempt may use more, a scripted run less."""
    cluster, ceiling = STUDY.cluster, attempts.Ceiling()

    def entry(wildcards):
        return STUDY.cluster_entry(name, wildcards.get("run"))

    def limits(wildcards, attempt):
        found = entry(wildcards)
        return CEILINGS.get(found, ceiling).of(cluster.job(found), attempt)

    def gpus(wildcards):
        return cluster.job(entry(wildcards)).gpus

    # What is None is not asked for.
    return {
        "runtime": lambda wildcards, attempt: limits(wildcards, attempt)[0],
        "mem_mb": lambda wildcards, attempt: limits(wildcards, attempt)[1],
        "gpu": gpus,
        "gpu_model": lambda wildcards: cluster.gpu_type if gpus(wildcards) else None,
        "slurm_partition": lambda wildcards: cluster.partition_of(entry(wildcards)),
        "slurm_account": lambda wildcards: cluster.account,
    }


def group_of(name):
    """Return with which jobs one of a rule is submitted."""
    return lambda wildcards: STUDY.cluster.job(
        STUDY.cluster_entry(name, wildcards.get("run"))
    ).group


def settings(stage, run=None):
    """Return what a stage's result depends on; a rule's parameter, so a change re-runs it."""
    part = STUDY.part(stage, run)
    if part.get("catalog_missing") == "skip":
        part["lacking"] = lacking()
    return json.dumps(part, sort_keys=True)


@functools.cache
def lacking():
    """Return which files of the catalog are missing or changed: episodes depend on it."""
    _, missing, changed = one_line(check_assets, STUDY.catalog)
    return missing + changed


def base_demos_part(wildcards):
    """Return how the settings of a base's demonstrations are called."""
    return "warm_up_demos" if wildcards.which else "pretraining_demos"


def shown_settings(number):
    """Return the settings that a table of hyper-parameters shows."""
    return json.dumps(settings_shown(STUDY, load_settings()[number]), sort_keys=True)


def pages(name, kinds, title, caption):
    """Return a rendered page's files, shown with a caption by `snakemake --report`."""
    place = {"caption": f"../report/{caption}.rst", "category": "Tables and audit"}
    show = functools.partial(report, **place)
    paths = {kind: f"{RESULTS}/{name}.{kind}" for kind in kinds}
    return [show(paths[kind], labels={"page": title, "format": kind}) for kind in kinds]


def model_files(folder):
    """Return the files of a model."""
    return [f"{folder}/{name}" for name in BASE_FILES]


def policy_files(wildcards):
    """Return the files of a run's model: none for a scripted policy, the base, base and adapter."""
    run = STUDY.run(wildcards.run)
    if run.policy != "vla":
        return []
    names = [*places.ADAPTER_FILES, "run.json"] if run.method else []
    if run.method and STUDY.openvla is not None:
        names.append(places.STATISTICS)
    folder = f"{RESULTS}/training/{wildcards.run}/{wildcards.seed}"
    return BASE + [f"{folder}/{name}" for name in names]


def is_published(run):
    """Return whether a run's policy is the published model or trained on it: it needs a GPU."""
    return STUDY.openvla is not None and STUDY.run(run).policy == "vla"


def code(stage, part=None, run=None):
    """Return the hash of the code that decides a result; a rule's parameter, as `settings` are.

    `part` names the settings where they are not called as the stage.
    """
    return code_of(CODE[stage], part or stage, run)


def code_of(modules, part, run=None):
    """Return the hash of modules, or of older ones that they are proved equal to."""
    known = functools.partial(code_hash, *modules, config=STUDY.part(part, run))
    return one_line(known)


def rollout_modules(run):
    """Return the modules that decide a run's rollouts."""
    if is_published(run):
        return CODE["openvla_rollout"]
    return rollout_code(STUDY.run(run).policy)


# A second call is refused as long as this one works. Snakemake's own lock would outlive `kill -9`.
LOCK = contextlib.ExitStack()
atexit.register(LOCK.close)


onstart:
    busy = f"another call of Snakemake writes into {RESULTS}"
    one_line(LOCK.enter_context, locks.alone(f"{RESULTS}/study", busy))


# Snakemake's scheduler fails without PATH, for instance under `env -i`.
os.environ.setdefault("PATH", os.defpath)

check_profile(snakemake_options())
keep_failures_incomplete()
explain_read_only_results()
FILES = ["workflow/config/mini.yaml", *workflow.overwrite_configfiles]
config["runs"] = one_line(merged, FILES, config).get("runs")
STUDY = one_line(check, config, "of the workflow")
validate(config, "../config/schema.json")
CEILINGS = cluster_ceilings(snakemake_options())

RESULTS = STUDY.results
SLURM_LOGS = failures.logs(RESULTS) if on_cluster(snakemake_options()) else None
BASE = (
    model_files(base_dir(STUDY))
    if STUDY.openvla is None
    else [str(places.openvla_base(STUDY))]
)
forget_future_times(RESULTS, pointer_path(PULLED_BASE).parent, "paper")

# `step X ...` in a rule runs `unblind X ... --config FILE [--set KEY=VALUE ...]` with the Python
# that runs Snakemake (so that an empty PATH does no harm), and first prints that very command.
OPTIONS = shlex.join(
    arguments(
        FILES,
        {key: value for key, value in config.items() if key != "cluster"},
    )
)
# A SLURM job's temporary files have a folder of their own on its node, gone when the job ends.
SCRATCH = """
  if [ -n "${SLURM_JOB_ID:-}" ]; then
    mkdir -p "<folder>"
    TMPDIR=$(mktemp -d "<folder>/unblind-$SLURM_JOB_ID-XXXXXX")
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
  fi""".replace("<folder>", STUDY.cluster.scratch) if STUDY.cluster.scratch else ""
STEP = """
set -euo pipefail
export OMP_NUM_THREADS=1
step() {
  set -- <python> -m unblind.cli "$@" <options>
  printf '%q ' "$@"; echo<scratch>
  "$@"
}
"""
for name, text in {
    "<python>": shlex.quote(sys.executable),
    "<options>": OPTIONS,
    "<scratch>": SCRATCH,
}.items():
    STEP = STEP.replace(name, text)
# Snakemake fills in names in braces: double them.
shell.prefix(STEP.replace("{", "{{").replace("}", "}}"))


wildcard_constraints:
    run="|".join(STUDY.runs),
    seed="[0-9]+",


onerror:
    if SLURM_LOGS is not None:
        print(failures.silent(RESULTS, SLURM_LOGS), file=sys.stderr)
