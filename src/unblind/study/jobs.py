"""The stages of one study as jobs: which there are, what each reads and writes, and its settings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.sim.conditions import CONDITIONS
from unblind.study.stages import BASES, STAGES, Input, Stage

_ROLLOUTS = ("rollout", "published_rollout")
_TRAININGS = ("training", "published_training")


@dataclass(frozen=True)
class Job:
    """A stage of a study; of a run and a seed, if it is a stage of runs.

    Attributes:
        config: the study.
        name: of the stage (`stages.STAGES`).
        run: name of the run.
        seed_of_run: its seed.
    """

    config: Config
    name: str
    run: str | None = None
    seed_of_run: int | None = None

    @property
    def stage(self) -> Stage:
        """Its row of the table."""
        return STAGES[self.name]

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules whose content decides its results."""
        return self.stage.modules

    @property
    def settings(self) -> dict[str, Any]:
        """The plain settings that its results depend on, and no others."""
        return settings(self.config, self.name, self.run)

    @property
    def seed(self) -> int | None:
        """The seed of its results, if they have one."""
        if not self.stage.seeded:
            return None
        return self.config.seed if self.stage.per == "study" else self.seed_of_run

    @property
    def outputs(self) -> list[Path]:
        """The files with a sidecar that it makes."""
        return self._paths(self.stage.outputs)

    @property
    def beside(self) -> list[Path]:
        """The files without a sidecar that it makes."""
        is_aligned = self.run is not None and self.config.run(self.run).method == "align"
        aligned = self.stage.aligned_beside if is_aligned else ()
        return self._paths((*self.stage.beside, *aligned))

    @property
    def inputs(self) -> list[Path]:
        """The results that it reads, in the order of the table."""
        return [path for needed in self.stage.inputs for path in self._files(needed)]

    def _files(self, needed: Input) -> Iterator[Path]:
        if self.run is not None and not needed.when(self.config.run(self.run)):
            return
        for job in self._sources(needed.stage):
            paths = [*job.outputs, *job.beside]
            if not needed.files:
                yield from job.outputs
            for name in needed.files:
                yield from (path for path in paths if path.name == name)

    def _sources(self, name: str) -> list["Job"]:
        """Return the jobs whose results the stage ``name`` stands for, as this job sees them."""
        config = self.config
        if name == "base":
            return [Job(config, base_stage(config))]
        if name == "rollout":
            return [job for run in table_rows(config) for job in rollouts(config, run)]
        if name == "training":
            return [job for job in trainings(config, self.run) if job.seed_of_run == self.seed]
        return [Job(config, name)] if STAGES[name].when(config) else []

    def _paths(self, patterns: tuple[str, ...]) -> list[Path]:
        known = {
            "results": self.config.results,
            "run": self.run,
            "seed": self.seed_of_run,
            "teacher": self.config.training.align.teacher,
        }
        return [Path(path.format(**known)) for path in each_condition(patterns)]


def each_condition(patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield file patterns, those with ``{condition}`` once for each condition."""
    for pattern in patterns:
        if "{condition}" in pattern:
            for condition in CONDITIONS:
                yield pattern.replace("{condition}", condition.name)
        else:
            yield pattern


def settings(config: Config, name: str, run: str | None = None) -> dict[str, Any]:
    """Return the plain settings that a stage's results depend on, and no others.

    Args:
        config: the study.
        name: of the stage.
        run: the run's name, needed for stages of runs.
    """
    selection = STAGES[name].settings
    if selection is None:
        raise ValueError(f"the stage {name} writes down settings of its own")
    values = config.model_dump(mode="json", include=None if selection is True else selection)
    if STAGES[name].per != "study":
        values["run"] = config.run(run or "").model_dump(mode="json", include={"policy", "method"})
    if "training" in values and run and config.run(run).method != "align":
        del values["training"]["align"]
    if selection is not True and config.catalog == "builtin":  # which is always whole
        values.pop("catalog_missing", None)
    return values | _published_settings(config, name, run)


def base_stage(config: Config) -> str:
    """Return the name of the stage that makes the model which methods start from."""
    return next(name for name in BASES if STAGES[name].when(config))


def table_rows(config: Config) -> list[str]:
    """Return the runs that Table 1 needs."""
    return [row for row in config.table1.rows if row in config.runs]


def trainings(config: Config, run: str) -> list[Job]:
    """Return the trainings of a run, one for each seed; none for a run without a method."""
    if config.run(run).method is None:
        return []
    name = next(name for name in _TRAININGS if STAGES[name].when(config))
    return [Job(config, name, run, seed) for seed in config.seeds]


def rollout_stage(config: Config, run: str) -> str:
    """Return the name of the stage that evaluates a run."""
    if config.run(run).policy != "vla":
        return "rollout_scripted"
    return next(name for name in _ROLLOUTS if STAGES[name].when(config))


def rollouts(config: Config, run: str) -> list[Job]:
    """Return the evaluations of a run, one for each seed."""
    return [Job(config, rollout_stage(config, run), run, seed) for seed in config.seeds]


def of_study(config: Config) -> Iterator[Job]:
    """Yield all jobs of a study but those of runs that nothing is left of, in the table's order.

    Runs beside the rows of Table 1 count as far as their results are there. A model, and features
    for its training, are made only if a run needs them.
    """
    needed = table_rows(config)
    methods = {config.runs[run].method for run in needed} - {None}
    has_model = any(run.policy == "vla" for run in config.runs.values())
    for name, stage in STAGES.items():
        if not stage.when(config) or (stage.group == "base" and not has_model):
            continue
        if stage.group == "features" and not methods:
            continue
        if name == "features_teacher" and "align" not in methods:
            continue
        yield from _jobs(config, name) if stage.per != "study" else [Job(config, name)]


def _jobs(config: Config, name: str) -> Iterator[Job]:
    """Yield the jobs of a stage of runs."""
    needed = table_rows(config)
    for run in config.runs:
        for job in (*trainings(config, run), *rollouts(config, run)):
            if job.name != name:
                continue
            if run in needed or any(path.is_file() for path in job.outputs):
                yield job


def path(config: Config, name: str) -> Path:
    """Return the first result of a stage that is run once for a study."""
    return Job(config, name).outputs[0]


def required(paths: list[Path], name: str) -> list[Path]:
    """Return the paths after checking that there is a file at each.

    Raises:
        UnblindError: one is missing; the stage ``name`` makes it.
    """
    for missing in (path for path in paths if not path.is_file()):
        raise UnblindError(f"{missing} is missing", f"run: unblind {STAGES[name].command}")
    return paths


def _published_settings(config: Config, name: str, run: str | None) -> dict[str, Any]:
    """Return what the published model's stages depend on beside."""
    if config.openvla is None:
        return {}
    method = config.runs[run].method if run else None
    extra: dict[str, Any] = {}
    if own := config.openvla.part(name.removeprefix("published_"), method):
        extra["openvla"] = own
    if name == "pictures":
        extra["image_size"] = config.base.model.image_size
    return extra
