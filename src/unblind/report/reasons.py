"""Why a run is as good as it is: alignment, gradients, drift, probe and cost, where recorded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unblind.config import Config, digest
from unblind.report import drift, probe_rates, probes, records
from unblind.report.stats import Estimate, seed_spread
from unblind.study import jobs, provenance
from unblind.study.jobs import Job

#: What the cost of a training is told relative to.
BASELINE = "default"
_GRADIENTS = ("batch", "n", "similarity", "cosine")
_LOG = "training.jsonl"


@dataclass(frozen=True)
class Reasons:
    """What is recorded of a run beside its success; None where nothing is.

    Attributes:
        site: of the first layer that the run aligns, or that its study would; drift and probe are
            told there. Empty without either.
        alignment: mean cosine of its projected visual tokens with the teacher's.
        conflict: mean cosine of the gradients of alignment and action.
        drift: linear CKA of its visual tokens with those of the base, held-out pictures.
        probe: share of the concepts that a linear probe names right.
        cost: CPU-seconds of its trainings over those of `BASELINE`.
        paths: the records.
    """

    site: str = ""
    alignment: Estimate | None = None
    conflict: Estimate | None = None
    drift: Estimate | None = None
    probe: Estimate | None = None
    cost: float | None = None
    paths: tuple[Path, ...] = ()


def load(config: Config, run: str, results: Path) -> Reasons:
    """Return what is recorded of a trained run, all its seeds together.

    Args:
        config: the study.
        run: its name.
        results: folder with the folders ``gradients``, ``drift``, ``probe`` and ``training``.

    Raises:
        UnblindError: a record is corrupt or of another configuration.
    """
    frame, paths = _gradients(config, run, results / "gradients")
    followed = drift.load_run(config, run, results / "drift")
    probed = probes.load_model(config, run, results / "probe")
    site, cka, read = "", None, None
    if followed:
        site = drift.aligned_site(config.of(run), followed.sites)
        cka = followed.measure("cka", drift.PICTURES[0], followed.steps[-1], site)
    if probed:
        site = drift.aligned_site(config.of(run), probed.sites)
        read = probe_rates.rates(probed, probes.CONCEPTS)[site]
    paths += tuple(path for one in (followed, probed) if one for path in one.paths)
    return Reasons(
        site,
        _over_batches(frame, "similarity"),
        _over_batches(frame, "cosine"),
        cka,
        read,
        _relative_cost(config, run, results / "training"),
        paths,
    )


def _gradients(
    config: Config, run: str, folder: Path
) -> tuple[pd.DataFrame | None, tuple[Path, ...]]:
    """Return the batches of all seeds, and the records; None unless all are there."""
    listed = jobs.of_run(config, "gradients", run)
    paths = tuple(Path(folder, run, job.outputs[0].name) for job in listed)
    if not paths or not all(path.is_file() for path in paths):
        return None, ()
    settings = jobs.settings(config, "gradients", run)
    return pd.concat([records.load(path, _GRADIENTS, settings)[0] for path in paths]), paths


def _over_batches(frame: pd.DataFrame | None, column: str) -> Estimate | None:
    """Return a column's mean with Student's interval over batches, seeds averaged first."""
    if frame is None or frame[column].isna().all():
        return None
    spread = seed_spread(frame.groupby("batch")[column].mean().tolist())
    half = spread.half or 0.0
    frames = int(frame.groupby("batch")["n"].first().sum())
    return Estimate(spread.mean, spread.mean - half, spread.mean + half, frames)


def _relative_cost(config: Config, run: str, folder: Path) -> float | None:
    """Return what a run's trainings took over what Default's with the same seeds took.

    None unless both are complete, of one kind of machine, and were made without interruption: a
    sidecar does not count what an interrupted call has left.
    """
    seeds = config.of(run).seeds
    own, other = (_trainings(config, name, seeds, folder) for name in (run, BASELINE))
    if not own or not other or len({json.dumps(s["hardware"]) for s in (*own, *other)}) > 1:
        return None
    first, second = (sum(sidecar["cpu_s"] for sidecar in some) for some in (own, other))
    return first / second if second else None


def _trainings(
    config: Config, run: str, seeds: Sequence[int], folder: Path
) -> list[Mapping[str, Any]]:
    """Return the sidecars of a run's trainings, empty unless all are there and tell their cost."""
    if run not in config.runs:
        return []
    found = []
    for job in (Job(config, "training", run, seed) for seed in seeds):
        adapter = Path(folder, run, str(job.seed_of_run), job.outputs[0].name)
        if not provenance.sidecar_path(adapter).is_file():
            return []
        found.append(provenance.read(adapter))
        if not _is_whole(job, found[-1], adapter.parent / _LOG):
            return []
    return found


def _is_whole(job: Job, sidecar: Mapping[str, Any], log: Path) -> bool:
    """Tell whether a sidecar counts the training that the job's settings ask for, all of it."""
    if sidecar.get("config_hash") != digest(job.settings):
        return False
    if not log.is_file():
        return True
    try:
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return sum(line.get("cpu_s", 0.0) for line in lines) <= sidecar["cpu_s"]
    except (ValueError, TypeError, AttributeError):
        return False
