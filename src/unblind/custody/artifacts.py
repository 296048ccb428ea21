"""Every artifact of a study: where it lies, and what it must be made from.

The graph's table says it (`unblind.study.stages`); tests compare it with what is written down.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unblind.config import Config, load
from unblind.costs import page
from unblind.custody import carried
from unblind.report import hyperparameters
from unblind.study import graph, jobs, record_names
from unblind.study.jobs import Job, Origin
from unblind.study.rows.names import JUDGED
from unblind.study.stage import Group


@dataclass(frozen=True)
class Artifact:
    """A file with a sidecar.

    Attributes:
        group: kind of result.
        path: the file.
        origin: what it must be made from; None for a pulled base, which is what its pointer
            names, whoever made it. Of its inputs only results are named, no sources.
        beside: files without a sidecar that belong to it.
        optional: results that it reads if they exist.
        scratch: whether nobody misses it once everything that reads it is there.
        job: what makes it.
    """

    group: Group
    path: Path
    origin: Origin | None
    beside: tuple[Path, ...] = ()
    optional: tuple[Path, ...] = ()
    scratch: bool = False
    job: Job | None = None

    def is_there(self) -> bool:
        """Tell whether there is such a file."""
        return self.path.is_file()


def study(config: Config, paper: Path) -> list[Artifact]:
    """Return all artifacts of a study, each after those that it is made from.

    Runs that are no rows of Table 1 count where their results exist.

    Args:
        config: the study.
        paper: configuration of the published sizes, which the page of costs shows.

    Raises:
        UnblindError: ``paper`` or the paper's tables of settings are malformed.
    """
    own = own_settings(config, paper)
    artifacts: list[Artifact] = []
    for job in graph.of_study(config):
        artifacts += _artifacts(job, own.get(job.name))
        if job.name == "replay":
            artifacts += _carried(config)
    records = tuple(artifact.path for artifact in artifacts if _is_judged(artifact))
    return [
        replace(artifact, optional=records) if artifact.group == "audit" else artifact
        for artifact in artifacts
    ]


def _is_judged(artifact: Artifact) -> bool:
    """Tell whether the audit reads a result if it is there."""
    if artifact.group == "rollouts":
        return record_names.condition_of(artifact.path.stem) == artifact.path.stem
    job = artifact.job
    if job is None or job.name not in JUDGED:
        return False
    if job.name == "probe_teacher":
        return job.run is None  # the study's own
    return artifact.path in job.outputs[: JUDGED[job.name]]


def own_settings(config: Config, paper: Path) -> dict[str, Any]:
    """Return the settings of stages that write down settings of their own, by name.

    Raises:
        UnblindError: ``paper`` or the paper's tables of settings are malformed.
    """
    tables = hyperparameters.load_settings()
    return {
        **{name: Job(config, name).told_settings for name in jobs.PICTURES},
        "costs": page.settings(config, load(paper)),
        **{f"table{n}": hyperparameters.settings(config, table) for n, table in tables.items()},
    }


def _artifacts(job: Job, own: Any) -> Iterator[Artifact]:
    """Yield what a job makes; ``own`` are settings that it writes down instead of its part."""
    stage, inputs = job.stage, tuple(_standing(job))
    if job.name in ("pull", "pull_vlm", "fetch"):
        origin = None
    elif own is not None or stage.settings is None:
        origin = Origin(own, stage.modules, inputs, job.seed)
    else:
        origin = replace(job.origin, inputs=inputs)
    scratch = stage.scratch or _is_adapter_of_ablation(job)
    for path in job.outputs:
        yield Artifact(stage.group, path, origin, tuple(job.beside), scratch=scratch, job=job)


def _is_adapter_of_ablation(job: Job) -> bool:
    """Tell whether a job trains a run of which records alone are kept: no row of Table 1."""
    return job.name == "training" and job.run not in job.config.table1.rows


def _standing(job: Job) -> Iterator[Path]:
    """Yield what a job reads; for tables, the copies that come with pulled runs count too."""
    if not job.stage.page:
        yield from job.inputs
        return
    yield from carried.substituted(job.config, job.inputs)


def _carried(config: Config) -> Iterator[Artifact]:
    """Yield the copies that come with pulled runs, where the study's own are absent."""
    for name in ("demos", "replay"):
        job = Job(config, name)
        (own,) = job.outputs
        copy = carried.folder(config) / own.name
        if copy.is_file() and not own.is_file():
            yield Artifact("training", copy, job.origin, scratch=True, job=job)
