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

Stage = Literal["demos", "replay", "rollout", "table1"]
METHODS = ("default", "freeze", "align")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


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
    replay: Replay = Field(description="Replay of demonstrations.")
    rollout: Rollout = Field(description="How policies are evaluated.")
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        description="Evaluation seeds; each draws its own episode ids, the same for all runs."
    )
    runs: dict[Name, Run] = Field(description="Policies under evaluation by name.")
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
            run: the run's name, needed for ``rollout``.
        """
        base = {"catalog", "fidelity", "render"}
        include: dict[str, Any] = {
            "demos": base | {"seed", "demos"},
            "replay": base | {"seed", "demos", "replay"},
            "rollout": {**dict.fromkeys(base, True), "rollout": {"episodes", "max_steps"}},
            "table1": {"scale", "seed", "seeds", "runs", "table1", "rollout"},
        }
        values = self.model_dump(mode="json", include=include[stage])
        if stage == "rollout":
            values["run"] = self.run(run or "").model_dump(
                mode="json", include={"policy", "method"}
            )
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
