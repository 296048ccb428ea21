"""The configuration of a whole study: loading, checking, and the JSON schema.

No field but a run's own ``training`` has a default: ``workflow/config/mini.yaml`` says everything,
and other files extend it (`unblind.config.files`). ``workflow/config/schema.json`` is generated
from these classes.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unblind.config.files import EXTENDS, read, replace, without_null_runs
from unblind.config.kinds import METHODS, DemoSet
from unblind.config.knowledge import Attention, Collapse, Probe
from unblind.config.learning import (
    ActionLoss,
    Alignment,
    Answerer,
    Augmentation,
    Encoder,
    Run,
    Schedule,
    Tower,
    Training,
)
from unblind.config.problems import problem
from unblind.config.renamed import renamed
from unblind.config.simulation import Arm, ExecutedNoise, PretrainingDemos
from unblind.config.study import Config
from unblind.errors import UnblindError

__all__ = [
    "METHODS",
    "ActionLoss",
    "Alignment",
    "Answerer",
    "Arm",
    "Attention",
    "Augmentation",
    "Collapse",
    "Config",
    "DemoSet",
    "Encoder",
    "ExecutedNoise",
    "PretrainingDemos",
    "Probe",
    "Run",
    "Schedule",
    "Tower",
    "Training",
    "check",
    "digest",
    "load",
    "schema",
]


def check(values: Mapping[str, Any], origin: str) -> Config:
    """Return checked values; ``origin`` says in error messages where they come from.

    Raises:
        UnblindError: a key is unknown, missing or no longer in use, or a value is wrong.
    """
    if old := renamed(values):
        raise UnblindError(f"bad configuration {origin}: {'; '.join(old)}", "rename the key")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        details = error.errors()
        problems = "; ".join(problem(detail, Config) for detail in details)
        remedy = "see workflow/config/schema.json"
        if any(detail["type"] == "missing" and len(detail["loc"]) == 1 for detail in details):
            remedy = f"extend a complete file ('{EXTENDS}: mini.yaml'), or {remedy}"
        raise UnblindError(f"bad configuration {origin}: {problems}", remedy) from None


def load(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Load and check a YAML file.

    Args:
        path: a configuration that is complete, by itself or by extending another.
        overrides: values by dotted key (``{"demos.successes": 8}``) that replace the file's.

    Raises:
        UnblindError: the file, or one that it extends, is missing or no YAML mapping, a key is
            unknown or missing, or a value is wrong; the message names key, file and near matches.
    """
    values = read(Path(path))
    for key, value in (overrides or {}).items():
        replace(values, key, value)
    return check(without_null_runs(values), str(path))


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `Config`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def digest(values: Any) -> str:
    """Return the SHA-256 of plain values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
