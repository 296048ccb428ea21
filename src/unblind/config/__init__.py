"""The configuration of a whole study: one source for loading, checking and the schema.

Values stand in ``workflow/config/*.yaml`` and nowhere else: no field has a default, so that a
file always says everything. ``workflow/config/schema.json`` is generated from these classes.
"""

import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from unblind.config.files import read, replace
from unblind.config.sections import (
    METHODS,
    ActionLoss,
    Alignment,
    Augmentation,
    Base,
    Demos,
    ExecutedNoise,
    FileName,
    Gates,
    Model,
    Name,
    PretrainingDemos,
    Questions,
    Render,
    Replay,
    Rollout,
    Run,
    Schedule,
    Section,
    Seed,
    Table1,
    Training,
)
from unblind.config_cluster import Cluster
from unblind.errors import UnblindError, near
from unblind.teachers.registry import TEACHERS, Vit

__all__ = [
    "METHODS",
    "ActionLoss",
    "Alignment",
    "Augmentation",
    "Base",
    "Config",
    "DemoSet",
    "Demos",
    "ExecutedNoise",
    "Gates",
    "Model",
    "PretrainingDemos",
    "Questions",
    "Render",
    "Replay",
    "Rollout",
    "Run",
    "Schedule",
    "Stage",
    "Table1",
    "Training",
    "check",
    "digest",
    "load",
    "schema",
]

Stage = Literal[
    "demos",
    "pretraining_demos",
    "warm_up_demos",
    "questions",
    "vlm",
    "robot",
    "warm_up",
    "features_low",
    "features_teacher",
    "pictures",
    "training",
    "replay",
    "rollout",
    "table1",
]
DemoSet = Literal["training", "pretraining", "warm-up"]

_SCENE = ("catalog", "catalog_missing", "fidelity", "render")
#: How adapters are trained, in the warm-up too. What decides no more than the last digits or the
#: speed is left out: device, gpus, gradient_checkpointing, checkpoint_steps.
_RECIPE = ("recipe", "precision", "augmentation", "betas", "clip", "last_rate")
#: What each stage's result depends on beside its input files, in pydantic's form of a selection.
_PARTS: Mapping[Stage, dict[str, Any]] = {
    "demos": dict.fromkeys((*_SCENE, "seed", "demos"), True),
    "pretraining_demos": {
        **dict.fromkeys((*_SCENE, "seed", "demos"), True),
        "base": {"demos"},
    },
    "warm_up_demos": {
        **dict.fromkeys((*_SCENE, "seed", "demos"), True),
        "base": {"warm_up_episodes"},
    },
    "questions": {"seed": True, "base": {"questions": {"images", "held_out"}}},
    "vlm": {
        "seed": True,
        "base": {
            **dict.fromkeys(("model", "vlm", "loss", "jitter"), True),
            "questions": {"turns"},
        },
    },
    "robot": {
        "seed": True,
        "demos": {"noop_filter"},
        "base": {
            **dict.fromkeys(("robot", "robot_questions", "loss", "jitter"), True),
            "questions": {"turns"},
        },
    },
    "warm_up": {
        "seed": True,
        "demos": {"noop_filter"},
        "base": {"warm_up", "loss", "unnorm_key"},
        "training": {"rank", "alpha", *_RECIPE},
    },
    "features_low": {"demos": {"noop_filter"}},
    "features_teacher": {
        "demos": {"noop_filter"},
        "training": {"align": {"teacher", "teacher_weights", "interpolate"}},
    },
    "pictures": {"demos": {"noop_filter"}, "base": {"model": {"image_size"}}},
    "training": {
        "demos": {"noop_filter"},
        "training": dict.fromkeys(
            ("schedule", "rank", "alpha", "loss", "snapshots", "align", *_RECIPE), True
        ),
    },
    "replay": dict.fromkeys((*_SCENE, "seed", "demos", "replay"), True),
    "rollout": {
        **dict.fromkeys(_SCENE, True),
        "rollout": {"episodes", "in_distribution_episodes", "max_steps"},
    },
    "table1": dict.fromkeys(("scale", "seed", "seeds", "runs", "gates", "table1", "rollout"), True),
}
#: How a published model is evaluated besides; mini's own evaluation knows one way.
_PUBLISHED_ROLLOUT = {
    "base": {"unnorm_key"},
    "training": {"precision"},
    "rollout": {"temperature"},
}


#: Teachers that can look at changing pictures beside a published model.
_VITS = [name for name, row in TEACHERS.items() if isinstance(row, Vit)]
#: Keys that no longer exist, and the keys that replaced them.
OLD_KEYS: Mapping[str, str] = {
    "training.align.coefficient": "training.align.lambda",
    "openvla.base": "base.source",
    "openvla.unnorm_key": "base.unnorm_key",
    "openvla.teacher": "training.align.teacher_weights",
    "openvla.temperature": "rollout.temperature",
    **{
        f"openvla.{key}": f"training.{key}"
        for key in (*_RECIPE, "gradient_checkpointing", "checkpoint_steps", "device", "gpus")
    },
    "openvla": "base.source",
}


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
    training: Training = Field(description="How runs are fine-tuned.")
    replay: Replay = Field(description="Replay of demonstrations.")
    rollout: Rollout = Field(description="How policies are evaluated.")
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        description="Evaluation seeds; each draws its own episode ids, the same for all runs."
    )
    runs: dict[Name, Run] = Field(description="Policies under evaluation by name.")
    gates: Gates = Field(description="Marks to reach before a table is worth reading.")
    table1: Table1 = Field(description="Table 1 (success rates by condition).")
    # Decides no result: it stands in no dump, thus in no hash and no sidecar.
    cluster: Cluster = Field(exclude=True, description="The batch system.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, values in (("seeds", self.seeds), ("table1.rows", self.table1.rows)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key} names a value twice: {values}")
        known = [*self.runs, *METHODS]
        for row in self.table1.rows:
            if row not in known:
                raise ValueError(f"table1.rows names no run or method: '{row}'{near(row, known)}")
        if problem := self._misfit():
            raise ValueError(problem)
        return self

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
            if base.unnorm_key is not None or self.rollout.temperature is not None:
                return "base.unnorm_key and rollout.temperature are of published models: set null"
        elif any((part.loss.action_width or part.loss.location_width) for part in (base, training)):
            return "with base.source, action_width and location_width must be 0: targets are hard"
        elif training.align.teacher not in _VITS:
            return (
                f"with base.source, training.align.teacher must be a vision transformer "
                f"({', '.join(_VITS)}), not '{training.align.teacher}'"
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

    def cluster_entry(self, rule: str, run: str | None = None) -> str:
        """Return under which name the section `cluster` says what a rule's job may use.

        Args:
            rule: name of the rule.
            run: the run that is evaluated, if the rule is ``rollout``.

        Raises:
            UnblindError: there is no such run.
        """
        scripted = run is not None and self.run(run).policy != "vla"
        return "rollout_scripted" if rule == "rollout" and scripted else rule

    def part(self, stage: Stage, run: str | None = None) -> dict[str, Any]:
        """Return the plain values that a stage's result depends on, and no other.

        Args:
            stage: a step of the study.
            run: the run's name, needed for ``rollout`` and ``training``.
        """
        values = self.model_dump(mode="json", include=_PARTS[stage])
        if stage in ("rollout", "training"):
            values["run"] = self.run(run or "").model_dump(
                mode="json", include={"policy", "method"}
            )
        if stage == "training" and self.run(run or "").method != "align":
            del values["training"]["align"]
        if stage == "rollout" and self.is_published(run or ""):
            for section, keys in self.model_dump(mode="json", include=_PUBLISHED_ROLLOUT).items():
                values[section] = values.get(section, {}) | keys
        if stage == "features_teacher" and self.training.align.teacher_weights is None:
            del values["training"]["align"]["teacher_weights"]
        if self.catalog == "builtin":  # which is always whole
            values.pop("catalog_missing", None)
        return values

    def is_published(self, run: str) -> bool:
        """Return whether a run's policy is a published model, or trained on one.

        Raises:
            UnblindError: there is no such run.
        """
        return self.base.source is not None and self.run(run).policy == "vla"


def check(values: Mapping[str, Any], origin: str) -> Config:
    """Return checked values; ``origin`` says in error messages where they come from.

    Raises:
        UnblindError: a key is unknown, missing or no longer in use, or a value is wrong.
    """
    stated = [old for old in OLD_KEYS if _states(values, old)]
    renamed = [
        f"'{old}' is now '{OLD_KEYS[old]}'"
        for old in stated
        if not any(longer.startswith(f"{old}.") for longer in stated)
    ]
    if renamed:
        raise UnblindError(f"bad configuration {origin}: {'; '.join(renamed)}", "rename the key")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors())
        raise UnblindError(
            f"bad configuration {origin}: {problems}", "see workflow/config/schema.json"
        ) from None


def _states(values: Any, key: str) -> bool:
    """Return whether nested values have a dotted key."""
    for name in key.split("."):
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True


def load(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Load and check a YAML file.

    Args:
        path: a complete configuration such as ``workflow/config/mini.yaml``.
        overrides: values by dotted key (``{"demos.successes": 8}``) that replace the file's.

    Raises:
        UnblindError: the file is missing or no YAML mapping, a key is unknown or missing, or a
            value is wrong; the message names key, file and near matches.
    """
    values = read(Path(path))
    for key, value in (overrides or {}).items():
        replace(values, key, value)
    return check(values, str(path))


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `Config`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def digest(values: Any) -> str:
    """Return the SHA-256 of plain values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


#: Values in messages are cut short: a few lines of YAML can stand for gigabytes.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 2


def _problem(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown key '{key}'{near(str(detail['loc'][-1]), _keys_at(detail['loc'][:-1]))}"
    if detail["type"] == "missing":
        return f"missing key '{key}'"
    message = detail["msg"].removeprefix("Value error, ")
    got = "" if isinstance(detail["input"], dict) else f" (got {_SHORT.repr(detail['input'])})"
    return f"'{key}': {message}{got}" if key else message


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """Return the keys that the section at ``location`` knows."""
    model: Any = Config
    for part in location:
        model = Run if model is Config and part == "runs" else _section(model, part)
    return [field.alias or name for name, field in model.model_fields.items()]


def _section(model: Any, part: Any) -> Any:
    if isinstance(part, int):
        return get_args(model)[0]  # a place in a list
    field = model.model_fields.get(part)
    if field is None:
        return model
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    return kinds[0] if type(None) in get_args(field.annotation) else field.annotation
