"""A stage of one study as a job: what it reads and writes, its settings, and where things lie."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind import files
from unblind.config import Config, DemoSet, digest
from unblind.errors import UnblindError
from unblind.study.code import code_hash
from unblind.study.record_names import each_record
from unblind.study.rows.scope import has_own_teacher, teachers
from unblind.study.selection import needed_runs
from unblind.study.stage import Input, Stage
from unblind.study.stages import BASES, STAGES, rule_of
from unblind.teachers.registry import is_trained_here

#: The stage that makes each set of demonstrations.
DEMO_STAGES: Mapping[DemoSet, str] = {
    "training": "demos",
    "pretraining": "pretraining_demos",
    "warm-up": "warm_up_demos",
}

#: What decides a run's results beside the sections that its stages read.
_OF_RUN: Mapping[str, Any] = {
    "policy": True,
    "method": True,
    "answerer": {"family", "source"},
}

#: The stages that draw pictures with questions: how many for training, and how many held out. A set
#: has one of either at least.
PICTURES: Mapping[str, Callable[[Config], tuple[int, int]]] = {
    "questions": lambda config: (config.base.questions.images, config.base.questions.held_out),
    "held_out": lambda config: (1, config.base.questions.held_out),
    "contrastive_pictures": lambda config: (config.contrastive.images, 1),
}


@dataclass(frozen=True)
class Origin:
    """What an artifact is made from.

    Attributes:
        config: the plain settings that its content depends on.
        code: modules that make it.
        inputs: files that are read.
        seed: of the artifact, if it has one.
    """

    config: Any
    code: tuple[str, ...]
    inputs: tuple[Path, ...]
    seed: int | None = None

    def stamp(self) -> str:
        """Return a digest of all of it."""
        inputs = [files.sha256(path) for path in self.inputs]
        return digest([self.config, code_hash(*self.code, config=self.config), inputs, self.seed])


@dataclass(frozen=True)
class Job:
    """A stage of a study; of a run and a seed, if it is a stage of runs; of a run's teacher.

    Attributes:
        config: the study, as the run sees it (`Config.of`).
        name: of the stage (`stages.STAGES`).
        run: name of the run.
        seed_of_run: its seed.
    """

    config: Config
    name: str
    run: str | None = None
    seed_of_run: int | None = None

    def __post_init__(self) -> None:
        if self.run is not None:
            object.__setattr__(self, "config", self.config.of(self.run))

    @property
    def stage(self) -> Stage:
        """Its row of the table."""
        return STAGES[self.name]

    @property
    def rule(self) -> str:
        """The rule of the workflow that makes its results."""
        return rule_of(self.name)

    @property
    def settings(self) -> dict[str, Any]:
        """The plain settings that its results depend on, and no others."""
        return settings(self.config, self.name, self.run)

    @property
    def told_settings(self) -> dict[str, Any]:
        """The settings that its sidecars tell: those above, but pictures tell what they hold."""
        if self.name not in PICTURES:
            return self.settings
        images, held_out = PICTURES[self.name](self.config)
        told = {"images": images, "heldout": held_out, "catalog": "pretraining"}
        return told | {"seed": self.seed}

    @property
    def seed(self) -> int | None:
        """The seed of its results, if they have one."""
        if not self.stage.seeded:
            return None
        of_study = self.config.seed + self.stage.seed_offset
        return of_study if self.stage.per is None else self.seed_of_run

    @property
    def outputs(self) -> list[Path]:
        """The files with a sidecar that it makes."""
        return self._paths(self.stage.outputs)

    @property
    def beside(self) -> list[Path]:
        """The files without a sidecar that it makes."""
        run = None if self.run is None else self.config.run(self.run)
        files = (file for file in self.stage.beside if file.when(self.config, run))
        return self._paths(tuple(file.path for file in files))

    @property
    def inputs(self) -> list[Path]:
        """The results that it reads, in the order of the table."""
        return [path for _, paths in self.needed() for path in paths]

    @property
    def before(self) -> list[Path]:
        """Results that must be there before it runs, although it does not read them itself."""
        return [
            path
            for needed in self.stage.after
            for job in self._jobs(needed.stage)
            for path in job.files(needed)
        ]

    @property
    def origin(self) -> Origin:
        """What its results are made from."""
        return Origin(self.settings, self.stage.modules, tuple(self.inputs), self.seed)

    @property
    def call(self) -> str:
        """The command line that makes its results, without the configuration file."""
        words = f"unblind {self.stage.command}"
        if self.run is not None:
            words += f" --run {self.run}"
        return words if self.seed_of_run is None else f"{words} --seed {self.seed_of_run}"

    def needed(self) -> Iterator[tuple["Job", list[Path]]]:
        """Yield the jobs whose results it reads, each with the files that it reads."""
        for needed in self.stage.inputs:
            if self.run is None or needed.when(self.config.run(self.run)):
                for job in self._jobs(needed.stage):
                    if needed.of(self.config, job.run, job.seed_of_run):
                        yield job, job.files(needed)

    def files(self, needed: Input) -> list[Path]:
        """Return those of its files that another job reads."""
        named = {path.name: path for path in (*self.outputs, *self.beside)}
        return [named[name] for name in needed.files] if needed.files else self.outputs

    def _jobs(self, name: str) -> list["Job"]:
        """Return the jobs whose results the stage ``name`` refers to, as this job sees them."""
        config, stage = self.config, STAGES.get(name)
        if stage is None:
            return [Job(config, base_stage(config))]
        if not stage.when(config):
            return []
        if stage.per is None and stage.each_teacher and self.run is None:
            return [Job(config, name, run) for run in teachers(config).values()]
        if stage.per is None:
            own = stage.each_teacher and has_own_teacher(config, self.run or "")
            return [Job(config, name, self.run if own else None)]
        if self.run is None:
            return needed_of(config, name, self.name)
        is_one = stage.per.of(config.run(self.run))
        return [Job(config, name, self.run, self.seed_of_run)] if is_one else []

    def _paths(self, patterns: tuple[str, ...]) -> list[Path]:
        known = {
            "results": self.config.results,
            "run": self.run,
            "seed": self.seed_of_run,
            "teacher": self.config.training.align.teacher,
        }
        return [Path(path.format(**known)) for path in each_record(self.config, patterns)]


def teacher_weights(config: Config) -> str:
    """Return where a study's teacher has its weights from: see `unblind.teachers.loading`."""
    align = config.training.align
    if is_trained_here(align.teacher):
        return str(path(config, "contrastive").parent)
    return align.teacher_weights or ""


def settings(config: Config, name: str, run: str | None = None) -> dict[str, Any]:
    """Return the plain settings that a stage's results depend on, and no others.

    Args:
        config: the study.
        name: of the stage.
        run: the run's name, needed for stages of runs.
    """
    config, selection = config.of(run) if run else config, STAGES[name].settings
    if selection is None:
        raise ValueError(f"the stage {name} writes down settings of its own")
    values = config.model_dump(mode="json", include=None if selection is True else selection)
    if STAGES[name].per is not None:
        values["run"] = config.run(run or "").model_dump(mode="json", include=_OF_RUN)
    if name == "training" and run and config.run(run).method != "align":
        del values["training"]["align"]
    if selection is not True and config.catalog == "builtin":  # which is always whole
        values.pop("catalog_missing", None)
    return values


def base_stage(config: Config) -> str:
    """Return the name of the stage that makes the model which methods start from."""
    return next(name for name in BASES if STAGES[name].when(config))


def of_run(config: Config, name: str, run: str) -> list[Job]:
    """Return a stage's jobs of a run: one for each seed or one; none if it is not for such runs."""
    per, about = STAGES[name].per, config.run(run)
    if per is None or not per.of(about) or not STAGES[name].when(config):
        return []
    seeds = config.of(run).seeds
    seeds = seeds if per.each_seed(about) else seeds[:1]
    return [Job(config, name, run, seed) for seed in seeds]


def stage_of(config: Config, rule: str, run: str) -> str:
    """Return the name of the stage by which a rule of the workflow treats a run.

    Raises:
        UnblindError: the run is unknown, or none of the rule's stages is for such runs.
    """
    about = config.run(run)
    for name, stage in STAGES.items():
        if rule_of(name) == rule and stage.per is not None and stage.per.of(about):
            return name
    fitting = [
        other
        for other, values in config.runs.items()
        for name, stage in STAGES.items()
        if rule_of(name) == rule and stage.per is not None and stage.per.of(values)
    ]
    raise UnblindError(
        f"nothing to do for run '{run}': its policy is '{about.policy}' and its method "
        f"'{about.method or 'none'}'",
        f"runs for {rule}: {', '.join(fitting) or 'none'}",
    )


def rollout_stage(config: Config, run: str) -> str:
    """Return the name of the stage that evaluates a run whose policy is made here.

    Raises:
        UnblindError: the run is unknown, a model that does not act, or acts behind a socket.
    """
    if config.run(run).policy == "served":
        cause = f"run '{run}' acts behind a socket, and nothing of it is here"
        raise UnblindError(cause, f"unblind rollout --run {run} --policy-server ADDRESS asks it")
    return stage_of(config, "rollout", run)


def needed_of(config: Config, name: str, page: str | None = None) -> list[Job]:
    """Return the jobs of a stage that a page, or all pages of a study, need."""
    if STAGES[name].per is None:
        return [Job(config, name)]
    return [job for run in needed_runs(config, name, page) for job in of_run(config, name, run)]


def path(config: Config, name: str) -> Path:
    """Return the first result of a stage that is run once for a study."""
    return Job(config, name).outputs[0]


def rebuilt(config: Config) -> Path:
    """Return the folder of a base that is made here, with all its intermediate results."""
    return Path(config.results, "rebuilt-base")


def base_folder(config: Config) -> Path:
    """Return the folder of the base model: the pulled one, or the one made here."""
    return path(config, base_stage(config)).parent


def base_weights(config: Config) -> Path:
    """Return the file whose checksum names the base: weights, or the record of published ones."""
    outputs = Job(config, base_stage(config)).outputs
    return next((file for file in outputs if file.name == "model.safetensors"), outputs[0])


def demos_folder(config: Config, which: DemoSet = "training") -> Path:
    """Return the folder of a set of demonstrations."""
    return path(config, DEMO_STAGES[which]).parent


def record(config: Config) -> Path | None:
    """Return the record of the published model that methods start from; None: it is our own."""
    return None if config.base.source is None else base_weights(config)


def seen(config: Config) -> Path:
    """Return the file of what the model sees of the demonstrations: features or pictures."""
    return path(config, "features_low" if config.base.source is None else "pictures")


def run_folder(config: Config, run: str, seed: int) -> Path:
    """Return the folder of a trained run."""
    return Path(config.results, "training", run, str(seed))


def stopped_folder(config: Config, against: str) -> Path:
    """Return the folder of records, ``run/seed/condition.parquet``, of rollouts that end early.

    Args:
        config: the study.
        against: the run that they are compared with.
    """
    return Path(config.results, "stopped", against)
