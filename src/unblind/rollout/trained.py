"""Which model a run rolls out with, and what tables tell of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.study import jobs, making


@dataclass(frozen=True)
class Trained:
    """Where a trained policy lies.

    Attributes:
        base: folder of the base model.
        adapter: folder of the run; None: the base itself.
    """

    base: Path
    adapter: Path | None


def trained(config: Config, run: str, seed: int) -> Trained | None:
    """Return where a run's model lies: an adapter on the base, or the base; None if scripted.

    Raises:
        UnblindError: the run is unknown, or does not act.
    """
    if jobs.rollout_stage(config, run) == "rollout_scripted":
        return None
    adapter = jobs.run_folder(config, run, seed) if config.run(run).method else None
    return Trained(jobs.base_folder(config), adapter)


def model_files(config: Config, run: str, seed: int) -> list[Path]:
    """Return the files of a run's model, none for a scripted run.

    Raises:
        UnblindError: the run is unknown or not trained, or the base is missing.
    """
    return making.check_inputs(jobs.Job(config, jobs.rollout_stage(config, run), run, seed))


def details(config: Config, run: str, seed: int) -> dict[str, Any]:
    """Return what tables tell of a run's training; of the base, which one it is.

    Raises:
        UnblindError: the run is not trained, or its `run.json` is unreadable.
    """
    model = trained(config, run, seed)
    if model is None:
        return {}
    if model.adapter is None:
        return {"base": sha256(jobs.base_weights(config))[:12]}
    path = model.adapter / "run.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise UnblindError(
            f"{path} is unreadable",
            f"delete it and run: unblind train --run {run} --seed {seed}",
        ) from None
