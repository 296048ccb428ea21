"""What was run in a study, as the sidecars of its artifacts tell."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from unblind import carried, places
from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.lineage.artifacts import Artifact, study
from unblind.lineage.sidecars import Sidecar, load
from unblind.provenance import sidecar_path
from unblind.store import PULLED_BASE


@dataclass(frozen=True)
class Kind:
    """A rule of the workflow and what it makes.

    Attributes:
        pattern: its artifacts, relative to the folder of results.
        rule: its name in ``workflow/rules``.
        command: what it calls, after ``unblind``.
        title: what it does.
    """

    pattern: str
    rule: str
    command: str
    title: str


#: The first pattern that fits counts.
KINDS = (
    Kind(
        "rebuilt-base/questions/*",
        "base_questions",
        "base questions",
        "Draw pictures with questions and answers",
    ),
    Kind(
        "rebuilt-base/demos/*",
        "base_demos",
        "demos --set-of pretraining",
        "Collect demonstrations for pretraining",
    ),
    Kind(
        "rebuilt-base/warm-up-demos/*",
        "base_demos",
        "demos --set-of warm-up",
        "Collect demonstrations for the warm-up",
    ),
    Kind(
        "rebuilt-base/vlm/*",
        "base_vlm",
        "base vlm",
        "Pretrain the model on pictures with questions",
    ),
    Kind(
        "rebuilt-base/robot/*",
        "base_robot",
        "base robot",
        "Pretrain the model on demonstrations",
    ),
    Kind("rebuilt-base/*", "base_warm_up", "base warm-up", "Warm the base up and question it"),
    Kind("published-base/*", "base_fetch", "base fetch", "Fetch a published checkpoint"),
    Kind("base/*", "base_warm_up", "base warm-up", "Warm the base up and question it"),
    Kind("*/manifest.json", "demos", "demos", "Collect the planner's demonstrations"),
    Kind("*replay.parquet", "replay", "replay", "Replay demonstrations open loop"),
    Kind(
        "features/low.npy",
        "features_low",
        "features low",
        "Compute the features of the tower's frozen part",
    ),
    Kind(
        "features/pictures.npy",
        "pictures",
        "features pictures",
        "Write the demonstrations' pictures at the model's size",
    ),
    Kind("features/*", "features_teacher", "features teacher", "Compute the teacher's features"),
    Kind("training/*", "train", "train", "Fine-tune a run"),
    Kind("rollouts/*", "rollout", "rollout", "Evaluate a run in closed loop"),
    Kind("table1.*", "table1", "table1", "Render Table 1"),
    Kind("table9.*", "settings_table", "hyperparameters 9", "Render Table 9"),
    Kind("table14.*", "settings_table", "hyperparameters 14", "Render Table 14"),
    Kind("costs.*", "costs", "costs --page", "Render the page of costs"),
    Kind("audit.*", "audit", "audit", "Judge the published claims"),
)


@dataclass(frozen=True)
class Step:
    """One call of a command that made artifacts.

    Attributes:
        kind: its rule.
        place: the artifacts' folder, relative to the folder of results.
        made: artifacts with their sidecars, sorted by path.
        is_own: it belongs to this study; False for the making of a base that was pulled.
    """

    kind: Kind
    place: str
    made: tuple[tuple[Artifact, Sidecar], ...]
    is_own: bool

    @property
    def facts(self) -> Sidecar:
        """The first sidecar: inputs, settings, code and seed are the same in all of them."""
        return self.made[0][1]

    @property
    def command(self) -> str:
        """The command line, without the configuration file."""
        words = f"unblind {self.kind.command}"
        if self.kind.rule in ("train", "rollout"):
            _, run, seed = self.place.split("/")
            words += f" --run {run} --seed {seed}"
        return words

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
        return round(sum(costs) if self.kind.rule == "rollout" else max(costs), 3)

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
    found: dict[tuple, list[tuple[Artifact, Sidecar]]] = {}
    for artifact in study(config, paper):
        # Who made a pulled base may not be known; then it is an input and no more.
        known = artifact.origin is not None or sidecar_path(artifact.path).is_file()
        if artifact.is_there() and known:
            place, meta = _place(config, artifact.path), _load(artifact)
            kind = next(one for one in KINDS if fnmatchcase(place.as_posix(), one.pattern))
            key = (kind, place.parent.as_posix(), meta.config_hash, meta.code_hash, meta.seed)
            key += (tuple(meta.inputs.items()), meta.commit)
            found.setdefault(key, []).append((artifact, meta))
    return [
        Step(kind, folder, tuple(made), kind.pattern != "base/*")
        for (kind, folder, *_), made in found.items()
    ]


def copied(config: Config) -> dict[Path, Path]:
    """Return the results that are gone and whose copies were pulled with the trained runs."""
    own = (places.demos(config) / places.MANIFEST, carried.own_replay(config))
    copies = {path: carried.folder(config) / path.name for path in own}
    return {p: copy for p, copy in copies.items() if copy.is_file() and not p.is_file()}


def _place(config: Config, path: Path) -> Path:
    """Return an artifact's path relative to the results, among which a pulled base counts."""
    if not config.rebuild_base and path.is_relative_to(PULLED_BASE):
        return Path("base", path.name)
    return path.relative_to(config.results)


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
