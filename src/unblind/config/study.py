"""The configuration of a whole study, and what its sections may not ask of each other."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from unblind.config.cluster import Cluster
from unblind.config.files import overlay
from unblind.config.kinds import ABLATIONS, METHODS, FileName, Name, Section, Seed
from unblind.config.knowledge import (
    Answers,
    Attention,
    Collapse,
    Drift,
    Frames,
    Gradients,
    Knockout,
    Landscape,
    Probe,
    Think,
)
from unblind.config.learning import (
    Base,
    Contrastive,
    Run,
    Training,
)
from unblind.config.problems import problem
from unblind.config.simulation import (
    Demos,
    Render,
    Replay,
    Rollout,
)
from unblind.config.tables import Defect, Gates, Table1
from unblind.errors import UnblindError, near
from unblind.teachers.registry import TEACHERS, Vit, is_trained_here

#: Teachers that can look at augmented pictures during the training of a published model.
_VITS = [name for name, row in TEACHERS.items() if isinstance(row, Vit)]
#: Policies that are no rows of Table 1.
_STILL = ("vlm", "answerer", "always_left")


class Config(Section):
    """The whole study."""

    scale: Literal["mini", "paper", "smoke", "twin"] = Field(
        description="Size: 'mini' for two cores, 'paper' as published, 'smoke' for tests."
    )
    seed: Seed = Field(description="Seed of demonstrations, replay and bootstrap.")
    results: FileName = Field(description="Folder of all build outputs.")
    catalog: FileName = Field(description="'builtin', or the folder of the authors' asset files.")
    catalog_missing: Literal["stop", "skip"] = Field(
        description="When the catalog's folder lacks files, or holds changed ones: 'stop' before "
        "anything is run, or 'skip' the episodes that need them; tables count those as not run."
    )
    fidelity: Literal["corrected", "released"] = Field(
        description="'released' reproduces the known defects of the authors' environments."
    )
    render: Render = Field(description="The camera picture.")
    demos: Demos = Field(description="How demonstrations are made.")
    rebuild_base: bool = Field(
        description="Make the base model here (hours) instead of pulling the published one."
    )
    base: Base = Field(description="How the base model is made.")
    contrastive: Contrastive = Field(description="The teacher that is trained here.")
    training: Training = Field(description="How runs are fine-tuned.")
    replay: Replay = Field(description="Replay of demonstrations.")
    rollout: Rollout = Field(description="How policies are evaluated.")
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        description="Evaluation seeds; each draws its own episode ids, the same for all runs."
    )
    runs: dict[Name, Run] = Field(description="Policies under evaluation by name.")
    think: Think = Field(description="VL-Think in the simulator.")
    answers: Answers = Field(description="Held-out questions to models.")
    drift: Drift = Field(description="Drift of visual tokens, and forgetting, during training.")
    gradients: Gradients = Field(description="Gradients of action and alignment.")
    landscape: Landscape = Field(description="Losses on the plane through base and two runs.")
    frames: Frames = Field(description="Frames with the place of every thing.")
    attention: Attention = Field(description="Attention to the picture (Figure 4).")
    knockout: Knockout = Field(description="Evaluation with the target hidden (Figure 4's page).")
    collapse: Collapse = Field(description="Separation of objects' classes (Figure 5).")
    probe: Probe = Field(description="Linear probes of visual tokens.")
    gates: Gates = Field(description="Marks to reach before a table is worth reading.")
    table1: Table1 = Field(description="Table 1 (success rates by condition).")
    ablations: dict[Literal[ABLATIONS], Annotated[list[Name], Field(min_length=1)]] = Field(
        description="Rows of the paper's Tables 4 to 8 and 10 to 13 beside Align, by the table's "
        "number: runs that are rows of the paper's table by name, and further ones."
    )
    defects: dict[Name, Defect] = Field(
        description="Studies of single defects of the release, for the page of what they cost."
    )
    pages: list[Name] | None = Field(
        description="Pages that the study is for, by the names of their stages; null: all that it "
        "can have."
    )
    # Decides no result: it is in no dump, so in no hash and no sidecar.
    cluster: Cluster = Field(exclude=True, description="The batch system.")

    @model_validator(mode="after")
    def _enough_pictures(self) -> Self:
        for key, count in {
            "answers.pictures": self.answers.pictures,
            "drift.pictures": self.drift.pictures,
            "drift.answered": self.drift.answered,
        }.items():
            if count > self.base.questions.held_out:
                raise ValueError(
                    f"{key} ({count}) is more than "
                    f"base.questions.held_out ({self.base.questions.held_out})"
                )
        return self

    @model_validator(mode="after")
    def _rows_are_trained_runs(self) -> Self:
        trained = [name for name, run in self.runs.items() if run.method]
        listed = {f"ablations.{number}": rows for number, rows in self.ablations.items()}
        for key, rows in (listed | {"drift.rows": self.drift.rows or []}).items():
            if unknown := [row for row in rows if row not in trained]:
                cause = f"{key} names no run with a method: '{unknown[0]}'"
                raise ValueError(f"{cause}{near(unknown[0], trained)}")
        return self

    @model_validator(mode="after")
    def _seeds_of_runs_are_the_studys(self) -> Self:
        for name, run in self.runs.items():
            if lacking := [seed for seed in run.seeds if seed not in self.seeds]:
                raise ValueError(f"runs.{name}.seeds names {lacking[0]}, no seed of the study")
        return self

    @model_validator(mode="after")
    def _think_fits(self) -> Self:
        if unknown := [row for row in self.think.rows or () if row not in self.table1.rows]:
            raise ValueError(
                f"think.rows names no row of Table 1: '{unknown[0]}'"
                f"{near(unknown[0], self.table1.rows)}"
            )
        if self.catalog == "builtin" and "released" in self.think.styles:
            raise ValueError("think.styles names 'released', and the built-in catalog has no such")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, values in (("seeds", self.seeds), ("table1.rows", self.table1.rows)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key} names a value twice: {values}")
        known = [*self.runs, *METHODS]
        for row in self.table1.rows:
            if row not in known:
                raise ValueError(f"table1.rows names no run or method: '{row}'{near(row, known)}")
            if row in self.runs and self.runs[row].policy in _STILL:
                policy = self.runs[row].policy
                raise ValueError(f"table1.rows names '{row}', whose policy '{policy}' does not act")
        if self.probe.site not in self.base.model.sites:
            raise ValueError(
                f"probe.site '{self.probe.site}' is no place of visual tokens: there are "
                f"{', '.join(self.base.model.sites)}"
            )
        asked: dict[str, tuple[str | None, bool]] = {}
        for name in (None, *self.runs):
            own = self if name is None else self._of(name)
            if problem := own._misfit() or own._shared_otherwise(self, asked):
                raise ValueError(problem if name is None else f"runs.{name}.training: {problem}")
        return self

    def of(self, run: str) -> Self:
        """Return the study as a run sees it: with its own seeds and values of sections.

        Raises:
            UnblindError: there is no such run.
        """
        self.run(run)
        return self._of(run)

    def _of(self, run: str) -> Self:
        own = self.runs[run]
        values: dict[str, Any] = {"seeds": own.seeds} if own.seeds else {}
        for name, kind, changes in (
            ("training", Training, own.training),
            ("rollout", Rollout, own.rollout),
        ):
            if not changes:
                continue
            section = overlay(getattr(self, name).model_dump(mode="json"), changes)
            try:
                values[name] = kind.model_validate(section)
            except ValidationError as error:
                problems = "; ".join(problem(detail, kind) for detail in error.errors())
                raise ValueError(f"runs.{run}.{name}: {problems}") from None
        return self.model_copy(update=values) if values else self

    def _shared_otherwise(
        self, study: Self, asked: dict[str, tuple[str | None, bool]]
    ) -> str | None:
        """Return what a run may not have for itself, since it shares it with others.

        Args:
            study: as it is without the run's own values.
            asked: how each teacher is asked in the runs before; this run's is added.
        """
        for key in ("device", "gpus", "precision"):
            if getattr(self.training, key) != getattr(study.training, key):
                return f"'{key}' is the same for all runs of a study"
        align = self.training.align
        how = (align.teacher_weights, align.interpolate)
        if asked.setdefault(align.teacher, how) != how:
            keys = "'align.teacher_weights' and 'align.interpolate'"
            return f"{keys} are the same for all runs with the teacher '{align.teacher}'"
        return None

    def _misfit(self) -> str | None:
        """Return what the model that methods start from cannot do, or None."""
        base, training = self.base, self.training
        for key, schedule in (
            ("training.schedule", training.schedule),
            ("base.warm_up", base.warm_up),
        ):
            if schedule.batch < 2:
                return f"{key}.batch ({schedule.batch}) must be at least 2: a batch has two parts"
            if schedule.batch % training.gpus:
                return (
                    f"{key}.batch ({schedule.batch}) cannot be shared by "
                    f"training.gpus ({training.gpus})"
                )
        if base.source is None:
            if (training.precision, training.augmentation) != ("float32", None):
                return (
                    "without base.source, training.precision must be 'float32' and "
                    "training.augmentation null: features of unchanged pictures are stored"
                )
            if base.unnorm_key is not None:
                return "base.unnorm_key is of published models: set null"
            return self._teacher_misfit()
        if any(
            (section.loss.action_width or section.loss.location_width)
            for section in (base, training)
        ):
            return "with base.source, action_width and location_width must be 0: targets are hard"
        if training.align.teacher not in _VITS:
            return (
                f"with base.source, training.align.teacher must be a vision transformer "
                f"({', '.join(_VITS)}), not '{training.align.teacher}'"
            )
        return None

    def _teacher_misfit(self) -> str | None:
        """Return what the teacher of a model of our own may not be, or None."""
        align = self.training.align
        if is_trained_here(align.teacher) and align.teacher_weights is not None:
            return (
                f"the teacher '{align.teacher}' is trained here (section contrastive): "
                "align.teacher_weights must be null"
            )
        return None

    def run(self, name: str) -> Run:
        """Return the run called ``name``.

        Raises:
            UnblindError: there is no such run.
        """
        if name not in self.runs:
            raise UnblindError(
                f"unknown run '{name}'{near(name, self.runs)}", f"runs: {', '.join(self.runs)}"
            )
        return self.runs[name]

    def is_published(self, run: str) -> bool:
        """Return whether a run's policy is a published model, or trained on one.

        Raises:
            UnblindError: there is no such run.
        """
        return self.base.source is not None and self.run(run).policy == "vla"
