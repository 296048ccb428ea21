"""Which model a run rolls out with, and what tables tell of it."""

import json
from pathlib import Path
from typing import Any

from unblind import places
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.rollout.policies import Trained
from unblind.store import base_dir


def trained(config: Config, run: str, seed: int) -> Trained | None:
    """Return where a run's model lies: an adapter on the base, or the base; None if scripted.

    Raises:
        UnblindError: the run is unknown.
    """
    evaluated = config.run(run)
    if evaluated.policy != "vla":
        return None
    adapter = places.run_folder(config, run, seed) if evaluated.method else None
    return Trained(base_dir(config), adapter)


def model_files(config: Config, run: str, seed: int) -> list[Path]:
    """Return the files of a run's model, none for a scripted run.

    Raises:
        UnblindError: the run is unknown or not trained, or the base is missing.
    """
    model = trained(config, run, seed)
    if model is None:
        return []
    base = places.base_files(config)
    return base + places.adapter_files(config, run, seed) if model.adapter else base


def details(config: Config, run: str, seed: int) -> dict[str, Any]:
    """Return what tables tell of a run's training; of the base, which one it is.

    Raises:
        UnblindError: the run is not trained, or its `run.json` is unreadable.
    """
    model = trained(config, run, seed)
    if model is None:
        return {}
    if model.adapter is None:
        return {"base": sha256(places.base_weights(config))[:12]}
    path = model.adapter / "run.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise UnblindError(
            f"{path} is unreadable",
            f"delete it and run: unblind train --run {run} --seed {seed}",
        ) from None
