"""What the records on models' knowledge say of a claim: VL-Think, probes, attention, classes.

They are read and compared by the functions behind Tables 2 and 3 and Figures 4 and 5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unblind.audit.measure import Effect, clustered_effect
from unblind.audit.verdicts import POINTS
from unblind.config import Config
from unblind.custody.stored import Origin, Stored
from unblind.errors import UnblindError
from unblind.report import attention, by_model, collapse, probes, thinking
from unblind.report.by_model import Measured
from unblind.report.comparisons import Comparison, Layer
from unblind.report.probes import CONCEPTS, Probed
from unblind.report.stats import Estimate, clustered_rate
from unblind.study import jobs, provenance
from unblind.study.jobs import Job
from unblind.study.rows.names import JUDGED
from unblind.study.stages import STAGES

#: What the records of each of `JUDGED` stages are called.
_CALLED = dict(
    zip(
        JUDGED,
        ("VL-Think", "answers about VL-Think", *["linear probes"] * 2, "attention", "classes"),
        strict=True,
    )
)
#: The stage and the unit of each quantity that figures compare.
QUANTITIES: Mapping[str, tuple[str, str]] = {
    "target_lift": ("attention", "in lift"),
    "entropy": ("attention", POINTS),
    "sink": ("attention", POINTS),
    "silhouette": ("collapse", "in silhouette"),
    "overlap": ("collapse", POINTS),
}
#: What claims call the study's teacher, which is no run.
TEACHER = "teacher"
#: The map of attention that the paper's figure shows.
_PROMPT, _VARIANT = "question", "divided"
#: The tokens whose classes the paper's figure means to show.
_TOKENS = "object"


@dataclass(frozen=True)
class File:
    """A record behind a claim.

    Attributes:
        path: the file.
        origin: whether it was made here.
        meta: its sidecar.
    """

    path: Path
    origin: Origin
    meta: Mapping[str, Any]

    @property
    def commit(self) -> str:
        """The commit it was made at, and whether the checkout differed from it."""
        return commit_of(self.meta)


def commit_of(meta: Mapping[str, Any]) -> str:
    """Return from a sidecar the commit, and whether the checkout differed from it."""
    commit = str(meta.get("commit"))
    return f"{commit} (with changes)" if meta.get("dirty") else commit


@dataclass(frozen=True)
class Known:
    """All records of one kind of one run, seeds together.

    Attributes:
        content: as the page's own function loads it.
        files: the records.
    """

    content: Any
    files: tuple[File, ...]


@dataclass(frozen=True)
class Knowledge:
    """The records of a study that exist and can be read.

    Attributes:
        paths: by stage and run, or reference of the probes, where its records lie; absent where
            the study has no such.
        known: by the same, those that are all there.
        refused: by the same, which record must not be believed, and what is wrong with it.
        present: records that are there, also where others of a run are not, but not refused.
    """

    paths: Mapping[tuple[str, str], Sequence[Path]] = field(default_factory=dict)
    known: Mapping[tuple[str, str], Known] = field(default_factory=dict)
    refused: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    present: Sequence[Path] = ()

    @property
    def files(self) -> list[File]:
        """All records, in order."""
        return [file for known in self.known.values() for file in known.files]


def read(config: Config) -> Knowledge:
    """Read the records of all runs; one that must not be believed affects no other."""
    stored, known, refused = Stored(), {}, {}
    listed = {key: _paths(config, *key) for key in _listed(config)}
    listed = {key: paths for key, paths in listed.items() if paths}
    for (stage, run), paths in listed.items():
        if not all(path.is_file() for path in paths):
            continue
        try:
            content = _LOADERS[stage](config, run)
        except UnblindError as error:
            path = next((p for p in paths if p.as_posix() in error.cause), paths[0]).as_posix()
            refused[stage, run] = (path, error.cause.removeprefix(f"the record {path} "))
        else:
            files = (File(path, stored.origin(path), provenance.read(path)) for path in paths)
            known[stage, run] = Known(content, tuple(files))
    wrong = {path for path, _ in refused.values()}
    there = [path for paths in listed.values() for path in paths if path.is_file()]
    present = [path for path in there if path.as_posix() not in wrong]
    return Knowledge(listed, known, refused, present)


def _paths(config: Config, stage: str, run: str) -> list[Path]:
    if stage == "probe_teacher":
        return list(Job(config, stage).outputs) if STAGES[stage].when(config) else []
    listed = jobs.of_run(config, stage, run)
    return [path for job in listed for path in job.outputs[: JUDGED[stage]]]


def missing(config: Config, knowledge: Knowledge, stage: str, run: str) -> str:
    """Return why a run has no records of a kind that could be believed."""
    if (stage, run) in knowledge.refused:
        path, why = knowledge.refused[stage, run]
        return f"{path} is refused: {why}"
    if stage != "probe_teacher" and run not in config.runs:
        return f"the configuration has no run '{run}'"
    paths = knowledge.paths.get((stage, run), ())
    lacking = [path for path in paths if not path.is_file()]
    if not lacking:
        return f"this study records no {_CALLED[stage]} of '{run}'"
    return f"{len(lacking)} of {len(paths)} records: {lacking[0].as_posix()} is not there"


# ---- Table 2 and Table 3 ------------------------------------------------------------------------


def stages(config: Config, measure: str, runs: Sequence[str]) -> list[str]:
    """Return the stage whose records tell of each of these runs, for a table's measure.

    A VLM does not act: it, and a policy that is compared with it, are judged by their answers.
    """
    if measure == "probe":
        return ["probe_teacher" if run == TEACHER else "probe" for run in runs]
    asked = any(run in config.runs and config.runs[run].policy == "vlm" for run in runs)
    return ["think_answers" if asked else "think"] * len(runs)


def value(
    config: Config, measure: str, known: Known, columns: Sequence[str], level: float
) -> Estimate:
    """Return a rate of Table 2 or 3, as its page has it.

    Args:
        config: names the probes' site.
        measure: of the paper's table.
        known: of the run.
        columns: of Table 2.
        level: of the interval.
    """
    if measure == "probe":
        model: Probed = known.content
        some = probes.at(model, CONCEPTS, config.probe.site)
        values, groups = some[CONCEPTS.column], probes.groups(some)
    else:
        rows = thinking.as_published(known.content[1])
        some = rows[rows["column"].isin(columns)]
        values, groups = some["right"], thinking.groups(some)
    rate = clustered_rate(values.to_numpy(dtype=float), *groups, level=level)
    return Estimate(*rate, len(some))


def effect(
    config: Config,
    measure: str,
    both: tuple[Known, Known],
    columns: Sequence[str],
    level: float,
    family: int,
) -> Effect:
    """Return how much more the first of two runs knows, by Table 2's or 3's measure.

    Args:
        config, measure, columns: as for `value`.
        both: the first's records and the second's.
        level: of intervals and tests.
        family: tests that Holm's correction runs over.

    Raises:
        UnblindError: they were measured of other pictures.
    """
    if measure == "probe":
        first, second = (known.content for known in both)
        pairs = probes.pairs(first, second, CONCEPTS, config.probe.site)
        return clustered_effect(pairs, probes.groups(pairs), level, family)
    shared = (thinking.as_published(known.content[1]) for known in both)
    pairs = thinking.pairs(*(rows[rows["column"].isin(columns)] for rows in shared), "right")
    return clustered_effect(pairs, thinking.groups(pairs), level, family)


# ---- Figure 4 and Figure 5 ----------------------------------------------------------------------


def compared(
    config: Config, claim: Comparison, both: tuple[Known, Known], level: float, family: int
) -> Effect | None:
    """Return how much higher a figure's quantity is in the first of two models.

    None if the quantity is known of no item. Arguments as for `effect`.

    Raises:
        UnblindError: they were measured of other frames.
    """
    stage, _ = QUANTITIES[claim.quantity]
    page = {"attention": attention, "collapse": collapse}[stage]
    first, second = models = tuple(known.content for known in both)
    by_model.check_same(models, page.ITEMS, stage)
    own, other = (_shown(config, claim, model) for model in (first, second))
    pairs = own.assign(first=own[claim.quantity], second=other[claim.quantity])
    pairs = pairs[pairs["first"].notna() & pairs["second"].notna()]
    if pairs.empty:
        return None
    groups = by_model.groups(pairs, page.STRATA, page.CLUSTERS)
    return clustered_effect(pairs, groups, level, family)


def _shown(config: Config, claim: Comparison, model: Measured) -> Any:
    """Return a model's rows of what the figure shows, at the claim's layer."""
    layer = _layer(config, claim.layer)
    if QUANTITIES[claim.quantity][0] == "collapse":
        return collapse.of(model.frame, _TOKENS, layer)
    rows = attention.of_map(model.frame, _PROMPT, _VARIANT)
    return rows[rows["layer"] == layer]


def _layer(config: Config, name: Layer) -> int:
    if name == "aligned":
        return config.training.align.layers[0]
    layers = config.collapse.layers
    return {"early": layers[0], "middle": layers[len(layers) // 2], "late": layers[-1]}[name]


# ---- reading ------------------------------------------------------------------------------------


def _listed(config: Config) -> list[tuple[str, str]]:
    of_runs = [stage for stage in JUDGED if stage != "probe_teacher"]
    return [*((stage, run) for stage in of_runs for run in config.runs), ("probe_teacher", TEACHER)]


def _folder(config: Config, name: str) -> Path:
    return Path(config.results, name)


_LOADERS: Mapping[str, Callable[[Config, str], Any]] = {
    "think": lambda c, run: thinking.acted(c, "think", run, _folder(c, "think")),
    "think_answers": lambda c, run: thinking.answered(c, run, _folder(c, "think-answers")),
    "probe": lambda c, run: probes.load_model(c, run, _folder(c, "probe")),
    "probe_teacher": lambda c, name: probes.load_teacher(c, None, _folder(c, "probe")),
    "attention": lambda c, run: by_model.load_model(
        c, "attention", run, attention.ITEMS, attention.VALUES
    ),
    "collapse": lambda c, run: by_model.load_model(
        c, "collapse", run, collapse.ITEMS, collapse.VALUES
    ),
}
