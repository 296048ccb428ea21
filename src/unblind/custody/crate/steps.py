"""What was run in a study, as the sidecars of its artifacts tell."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from unblind.config import Config, digest
from unblind.custody import carried
from unblind.custody.artifacts import Artifact, study
from unblind.custody.sidecars import Sidecar, load
from unblind.errors import UnblindError
from unblind.study.jobs import Job
from unblind.study.provenance import sidecar_path

#: Stages that fetch what other stages made elsewhere.
_MADE_ELSEWHERE = {"pull": "warm_up", "pull_vlm": "vlm_copy"}


@dataclass(frozen=True)
class Step:
    """One call of a command that made artifacts.

    Attributes:
        job: its stage; of a pulled base, the stage that made it elsewhere.
        made: artifacts with their sidecars, sorted by path.
        is_own: it belongs to this study; False for the making of a base that was pulled.
    """

    job: Job
    made: tuple[tuple[Artifact, Sidecar], ...]
    is_own: bool

    @property
    def facts(self) -> Sidecar:
        """The first sidecar: inputs, settings, code and seed are the same in all of them."""
        return self.made[0][1]

    @property
    def started(self) -> datetime:
        """When the first artifact was begun."""
        return min(datetime.fromisoformat(meta.started) for _, meta in self.made)

    @property
    def ended(self) -> datetime:
        """When the last artifact was finished."""
        metas = [meta for _, meta in self.made]
        return max(
            datetime.fromisoformat(meta.started) + timedelta(seconds=meta.wall_s) for meta in metas
        )

    @property
    def cpu_s(self) -> float:
        """CPU-seconds of the call with its workers.

        Records are measured one by one, the files of any other step all together.
        """
        costs = [meta.cpu_s for _, meta in self.made]
        return round(sum(costs) if self.job.stage.group == "rollouts" else max(costs), 3)

    @property
    def peak_memory_mib(self) -> float:
        """Largest resident memory in MiB."""
        return max(meta.peak_memory_mib for _, meta in self.made)


def read_steps(config: Config, paper: Path) -> list[Step]:
    """Return what made the artifacts of a study that are there, each after what it reads.

    Args:
        config: the study.
        paper: configuration of the published sizes.

    Raises:
        UnblindError: a sidecar is missing or malformed, or an artifact is of other settings.
    """
    groups: dict[tuple, list[tuple[Artifact, Sidecar]]] = {}
    for artifact in study(config, paper):
        # Who made a pulled base may not be known; then it is an input and no more.
        known = artifact.origin is not None or sidecar_path(artifact.path).is_file()
        if artifact.is_there() and known:
            meta = _load(artifact)
            key = (artifact.job.name, artifact.path.parent, meta.config_hash, meta.code_hash)
            key += (meta.seed, tuple(meta.inputs.items()), meta.commit)
            groups.setdefault(key, []).append((artifact, meta))
    return [
        Step(_maker(made[0][0].job), tuple(made), name not in _MADE_ELSEWHERE)
        for (name, *_), made in groups.items()
    ]


def _maker(job: Job) -> Job:
    """Return the job that made results: a pulled base was warmed up elsewhere."""
    return replace(job, name=_MADE_ELSEWHERE.get(job.name, job.name))


def copied(config: Config) -> dict[Path, Path]:
    """Return the results that are gone and whose copies were pulled with the trained runs."""
    own = (carried.own_manifest(config), carried.own_replay(config))
    copies = {path: carried.folder(config) / path.name for path in own}
    return {p: copy for p, copy in copies.items() if copy.is_file() and not p.is_file()}


def _load(artifact: Artifact) -> Sidecar:
    """Return an artifact's sidecar; its time must be one, its settings those of the study.

    Raises:
        UnblindError: it is missing or malformed, or the artifact is of other settings.
    """
    path, origin = artifact.path, artifact.origin
    meta = load(path)
    if origin is not None and meta.config_hash != digest(origin.config):
        raise UnblindError(
            f"{path} was made with other settings",
            "name its configuration with --config, or make it again: unblind verify",
        )
    try:
        if datetime.fromisoformat(meta.started).tzinfo:
            return meta
    except ValueError:
        pass
    raise UnblindError(
        f"the sidecar {sidecar_path(path)} is malformed at 'started'",
        f"delete {path} and pull or make it again",
    )
