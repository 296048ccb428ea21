"""The configuration of a whole study: one source for loading, checking and the schema.

Values stand in ``workflow/config/*.yaml`` and nowhere else: no field has a default, so that a
file always says everything. ``workflow/config/schema.json`` is generated from these classes.
"""

import difflib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unblind.errors import UnblindError

Stage = Literal[
    "demos",
    "pretraining_demos",
    "warm_up_demos",
    "questions",
    "vlm",
    "robot",
    "warm_up",
    "features",
    "training",
    "replay",
    "rollout",
    "table1",
]
DemoSet = Literal["training", "pretraining", "warm-up"]
METHODS = ("default", "freeze", "align")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    """Base of all sections: unknown keys are errors, values cannot change, no silent casts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Render(_Section):
    """The camera picture that demonstrations store and policies see."""

    width: int = Field(ge=16, le=4096, description="Width in pixels (the paper: 640).")
    height: int = Field(ge=12, le=4096, description="Height in pixels (the paper: 480).")
    shader: Literal["minimal", "default"] = Field(
        description="Shader pack: 'minimal' draws no shadows, 'default' is the paper's."
    )

    @model_validator(mode="after")
    def _four_to_three(self) -> Self:
        if 3 * self.width != 4 * self.height:
            raise ValueError(
                f"{self.width} x {self.height} is not 4:3 as the camera's intrinsics are"
            )
        return self


class ExecutedNoise(_Section):
    """Noise added to executed actions while the clean correction is stored as the label."""

    xyz_m: float = Field(ge=0, description="Standard deviation of the translation noise in m.")
    rot_rad: float = Field(ge=0, description="Standard deviation of the rotation noise in rad.")
    probability: float = Field(ge=0, le=1, description="Share of the steps that get noise.")


class Demos(_Section):
    """The planner's demonstrations."""

    successes: Count = Field(
        description="Successful training episodes, dealt in order over the 256 pairs of 16 objects "
        "and 16 tables: each pair gets successes // 256, the first successes % 256 one more. The "
        "paper has 1,400."
    )
    held_out_per_object: int = Field(
        ge=0, description="Successful held-out episodes for each of the 16 training objects."
    )
    attempts_per_slot: Count = Field(
        description="Attempts (with fresh episode ids) before one wanted success is given up."
    )
    noop_filter: Literal["released", "merge", "none"] = Field(
        description="'released' drops small steps, 'merge' sums them, 'none' keeps every step."
    )
    euler: Literal["corrected", "released"] = Field(
        description="Rotation encoding: 'corrected' matches the controller (intrinsic XYZ), "
        "'released' is the authors' extrinsic xyz."
    )
    executed_noise: ExecutedNoise = Field(
        description="Noise on executed actions; 0 switches it off."
    )
    shard_episodes: Count = Field(description="Episodes in one Parquet shard.")


class PretrainingDemos(_Section):
    """The broad demonstrations of robot pretraining."""

    successes: Count = Field(description="Successful episodes.")
    attempts_per_slot: Count = Field(description="Attempts before one success is given up.")
    executed_noise: ExecutedNoise = Field(
        description="Noise on the executed actions of every second episode."
    )
    shard_episodes: Count = Field(description="Episodes in one Parquet shard.")


class Model(_Section):
    """Sizes of the vision-language-action model (see `unblind.vla.prismatic.PrismaticConfig`)."""

    towers: Annotated[list[str], Field(min_length=1, max_length=2)] = Field(
        description="Vision towers, names of `unblind.vla.towers.TOWERS`."
    )
    image_size: Count = Field(description="Side of the square picture in pixels (paper: 224).")
    frozen_blocks: int = Field(
        ge=0, description="First blocks of a convolutional tower that are never trained."
    )
    projector_width: Count = Field(description="Hidden units of the projector.")
    hidden_size: Count = Field(description="Width of the decoder (paper: 4096).")
    layers: Count = Field(description="Decoder blocks (paper: 32).")
    heads: Count = Field(description="Attention heads (paper: 32).")
    intermediate_size: Count = Field(description="Units of a block's MLP (paper: 11008).")
    position_scale: float = Field(
        ge=0, description="Amplitude of the sine positions added to visual tokens (paper: none)."
    )


class Schedule(_Section):
    """One stage of training."""

    steps: Count = Field(description="Optimiser steps.")
    batch: Count = Field(description="Pictures a step.")
    rate: float = Field(gt=0, description="Highest learning rate of AdamW.")
    warm_up: Count = Field(description="Steps of rising rate before the cosine decay.")
    weight_decay: float = Field(ge=0, description="Of AdamW.")


class ActionLoss(_Section):
    """How labels become targets of the cross-entropy."""

    action_width: float = Field(
        ge=0, description="Standard deviation of soft targets in action bins; 0: hard targets."
    )
    location_width: float = Field(ge=0, description="The same in location bins.")
    gripper_reach: float = Field(
        ge=0, description="Weight of the gripper's token on the four frames before it closes."
    )
    gripper_lift: float = Field(
        ge=0, description="Its weight on the closing frame and the six after it."
    )
    still_motion: float = Field(
        ge=0, description="Weight of the motion tokens where the label stands still."
    )


class Questions(_Section):
    """Generated pictures with questions."""

    images: Count = Field(description="Training pictures.")
    held_out: Count = Field(description="Pictures held out for the gate.")
    turns: Count = Field(description="Questions asked of a picture at a time.")


class Base(_Section):
    """How the base model is made; nothing of it is run unless ``rebuild_base`` is set."""

    demos: PretrainingDemos = Field(description="Demonstrations of robot pretraining.")
    warm_up_episodes: Count = Field(
        description="Demonstrations of the warm-up that precedes every method (the paper: 140)."
    )
    model: Model = Field(description="Sizes of the model.")
    questions: Questions = Field(description="Pictures and questions of VLM pretraining.")
    vlm: Schedule = Field(description="Pretraining on pictures with questions.")
    robot: Schedule = Field(description="Robot pretraining.")
    robot_questions: int = Field(
        ge=0, description="Questions about a robot's picture beside its action."
    )
    robot_pictures_with_questions: int = Field(
        ge=0, description="Generated pictures among a step's pictures in robot pretraining."
    )
    warm_up: Schedule = Field(description="Warm-up: LoRA on few demonstrations, then merged.")
    loss: ActionLoss = Field(description="Targets and weights of the loss.")
    jitter: float = Field(
        ge=0, lt=1, description="Largest relative change of brightness, contrast and colours."
    )


class Alignment(_Section):
    """The method Align (paper, section 5 and table 9)."""

    teacher: Name = Field(description="Frozen teacher, a name of `unblind.teachers.TEACHERS`.")
    interpolate: bool = Field(
        description="Meet a grid that the teacher cannot give by interpolating its features."
    )
    layers: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Decoder layers whose visual tokens are aligned (paper: 16 of 32)."
    )
    coefficient: float = Field(ge=0, description="Weight of the alignment (paper: 0.2).")
    projector: Name = Field(description="Projector to the teacher's width (paper: 'mlp').")
    projector_width: Count = Field(description="Its hidden units (paper: 2048).")
    frozen: bool = Field(description="Whether it keeps its random weights (paper: true).")
    loss: Name = Field(description="Distance to the teacher (paper: 'cosine').")


class Training(_Section):
    """Fine-tuning of a run: LoRA on the base, the same data in the same order for every run."""

    schedule: Schedule = Field(description="Steps and rates (paper: 60000 steps of 8, 5e-4).")
    rank: Count = Field(description="Rank of the adapters (paper: 32).")
    alpha: Count = Field(description="Their scale times the rank (paper: 16).")
    loss: ActionLoss = Field(description="Targets and weights of the action loss.")
    snapshots: int = Field(
        ge=0, description="Adapters kept on the way, at equal distances, for plots of drift."
    )
    align: Alignment = Field(description="What the method Align adds.")


class Replay(_Section):
    """Open-loop replay of stored demonstrations: the ceiling of any policy."""

    episodes: Count = Field(description="Stored training episodes that are replayed.")


class Rollout(_Section):
    """Closed-loop evaluation."""

    workers: Count = Field(description="Worker processes; results do not depend on it.")
    scenes: Count = Field(description="Scenes held by one worker; results do not depend on it.")
    episodes: Count = Field(description="Episodes for each condition and seed (the paper: 128).")
    max_steps: Count = Field(description="Control steps of an episode (the paper: 80).")


class Run(_Section):
    """One policy under evaluation: a row of a table."""

    policy: Literal["oracle", "random", "noop", "vla"] = Field(
        description="'oracle' is the planner, 'random' and 'noop' are floors, 'vla' is a model."
    )
    label: str = Field(min_length=1, description="The row's name in tables.")
    method: Literal["default", "freeze", "align"] | None = Field(
        description="The paper's training method; null for scripted policies."
    )


class Gates(_Section):
    """Marks that a trained policy and its base should reach before a table is worth reading."""

    action: Literal["stop", "warn"] = Field(
        description="When a floor is missed: 'stop' renders no table, 'warn' says so in it."
    )
    in_distribution_floor: Share = Field(
        description="Success of the row 'default' in distribution that must be reached."
    )
    in_distribution_goal: Share = Field(description="Success in distribution that is wished for.")
    questions_floor: Share = Field(
        description="Accuracy on each kind of held-out questions that the base must reach."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.in_distribution_goal < self.in_distribution_floor:
            raise ValueError("in_distribution_goal lies below in_distribution_floor")
        return self


class Table1(_Section):
    """Rows of the success-rate table."""

    rows: Annotated[list[Name], Field(min_length=1)] = Field(
        description="Runs in printing order; a method that has no run is printed as 'not run'."
    )


class Config(_Section):
    """The whole study."""

    scale: Literal["mini", "paper", "smoke"] = Field(
        description="Size: 'mini' for two cores, 'paper' as published, 'smoke' for tests."
    )
    seed: Seed = Field(description="Seed of demonstrations, replay and bootstrap.")
    results: str = Field(min_length=1, description="Folder of all build outputs.")
    catalog: str = Field(
        min_length=1, description="'builtin', or the folder of the authors' asset files."
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, values in (("seeds", self.seeds), ("table1.rows", self.table1.rows)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key} names a value twice: {values}")
        known = [*self.runs, *METHODS]
        for row in self.table1.rows:
            if row not in known:
                raise ValueError(f"table1.rows names no run or method: '{row}'{_near(row, known)}")
        return self

    def run(self, name: str) -> Run:
        """Return the run called ``name``.

        Raises:
            UnblindError: there is no such run.
        """
        if name not in self.runs:
            raise UnblindError(
                f"unknown run '{name}'{_near(name, self.runs)}", f"runs: {', '.join(self.runs)}"
            )
        return self.runs[name]

    def part(self, stage: Stage, run: str | None = None) -> dict[str, Any]:
        """Return the plain values that a stage's result depends on, and no other.

        Args:
            stage: a step of the study.
            run: the run's name, needed for ``rollout`` and ``training``.
        """
        base = {"catalog", "fidelity", "render"}
        include: dict[str, Any] = {
            "demos": base | {"seed", "demos"},
            "pretraining_demos": {
                **dict.fromkeys(base | {"seed", "demos"}, True),
                "base": {"demos"},
            },
            "warm_up_demos": {
                **dict.fromkeys(base | {"seed", "demos"}, True),
                "base": {"warm_up_episodes"},
            },
            "questions": {"seed": True, "base": {"questions"}},
            "vlm": {"seed": True, "base": {"model", "questions", "vlm", "loss", "jitter"}},
            "robot": {
                "seed": True,
                "demos": {"noop_filter"},
                "base": {
                    "demos",
                    "model",
                    "robot",
                    "robot_questions",
                    "robot_pictures_with_questions",
                    "loss",
                    "jitter",
                },
            },
            "warm_up": {
                "seed": True,
                "demos": {"noop_filter"},
                "base": {"warm_up_episodes", "warm_up", "loss"},
            },
            "features": {
                "demos": {"noop_filter"},
                "training": {"align": {"teacher", "interpolate"}},
            },
            "training": {"seed": True, "demos": {"noop_filter"}, "training": True},
            "replay": base | {"seed", "demos", "replay"},
            "rollout": {**dict.fromkeys(base, True), "rollout": {"episodes", "max_steps"}},
            "table1": {"scale", "seed", "seeds", "runs", "gates", "table1", "rollout"},
        }
        values = self.model_dump(mode="json", include=include[stage])
        if stage in ("rollout", "training"):
            values["run"] = self.run(run or "").model_dump(
                mode="json", include={"policy", "method"}
            )
        if stage == "training" and self.run(run or "").method != "align":
            del values["training"]["align"]
        return values


def check(values: Mapping[str, Any], place: str) -> Config:
    """Return checked values; ``place`` names their origin in error messages.

    Raises:
        UnblindError: a key is unknown or missing, or a value is wrong.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors())
        raise UnblindError(
            f"bad configuration {place}: {problems}", "see workflow/config/schema.json"
        ) from None


def load(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Load and check a YAML file.

    Args:
        path: a complete configuration such as ``workflow/config/mini.yaml``.
        overrides: values by dotted key (``{"demos.successes": 8}``) that replace the file's.

    Raises:
        UnblindError: the file is missing or no YAML mapping, a key is unknown or missing, or a
            value is wrong; the message names key, file and near matches.
    """
    values = _read(Path(path))
    for key, value in (overrides or {}).items():
        _replace(values, key, value)
    return check(values, str(path))


def arguments(files: Sequence[Path | str], values: Mapping[str, Any]) -> list[str]:
    """Return the command-line options that `load` these values again.

    Args:
        files: configuration files; the last complete one is named, the rest is spelled out.
        values: the wanted configuration, for example files merged by Snakemake.
    """
    path = [file for file in files if _read(Path(file)).keys() >= values.keys()][-1]
    known, wanted = _flat(_read(Path(path))), _flat(values)
    changed = {key: value for key, value in wanted.items() if known.get(key, ...) != value}
    options = [("--set", f"{key}={json.dumps(value)}") for key, value in changed.items()]
    return ["--config", os.path.relpath(path), *(word for option in options for word in option)]


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `Config`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def digest(values: Any) -> str:
    """Return the SHA-256 of plain values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnblindError(
            f"cannot read configuration {path}: {error.strerror}",
            "name an existing file, for example workflow/config/mini.yaml",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UnblindError(f"configuration {path} is not YAML: {reason}", "mend the file") from None
    if not isinstance(values, dict):
        raise UnblindError(f"configuration {path} is not a mapping of keys", "mend the file")
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _replace(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UnblindError(f"override '{key}': '{parent}' holds no keys", "check its spelling")
    values[last] = value


def _problem(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_near(str(detail['loc'][-1]), _keys_at(detail['loc'][:-1]))}"
    if detail["type"] == "missing":
        return f"missing key '{key}'"
    message = detail["msg"].removeprefix("Value error, ")
    got = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r})"
    return f"'{key}': {message}{got}" if key else message


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """Return the keys that the section at ``location`` knows."""
    model: Any = Config
    for part in location:
        model = Run if model is Config and part == "runs" else _section(model, part)
    return list(model.model_fields)


def _section(model: Any, part: Any) -> Any:
    field = model.model_fields.get(part)
    return field.annotation if field else model


def _near(word: str, known: Any) -> str:
    match = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f", did you mean {' or '.join(repr(m) for m in match)}?" if match else ""
