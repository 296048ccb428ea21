"""A study at paper scale in miniature: twins of OpenVLA and of a teacher, made-up frames."""

from unblind.study import jobs
import json
from pathlib import Path

import torch

from unblind import files, twin, weights
from unblind.config import Config, load
from unblind.config.files import arguments
from unblind.finetune import base, runs
from unblind.vla import checkpoint, hub_config, loading, random

PAPER = Path(__file__).parents[2] / "workflow" / "config" / "paper.yaml"
STEPS = 4
SETTINGS = {
    "openvla.device": "cpu",
    "openvla.precision": "float32",
    "openvla.checkpoint_steps": 2,
    "rebuild_base": False,
    "training.schedule.steps": STEPS,
    "training.schedule.batch": 2,
    "training.schedule.rate": 0.002,
    "training.rank": 4,
    "training.alpha": 4,
    "training.snapshots": 1,
    "training.align.layers": [2],
    "training.align.projector_width": 16,
    "base.warm_up.steps": 2,
    "base.warm_up.batch": 2,
}


def configured(root: Path, **changes) -> Config:
    """Return the paper's configuration on the twins below ``root``."""
    own = {
        "openvla.base": str(root / "openvla"),
        "openvla.teacher": str(root / "radio"),
        "results": str(root / "results"),
    }
    return load(PAPER, own | SETTINGS | changes)


def options(root: Path) -> list[str]:
    """Return the command-line options that say the same."""
    wanted = configured(root).model_dump(mode="json")
    return arguments([PAPER], wanted)


def make_twins(root: Path) -> None:
    """Write the twins; OpenVLA's decoder has 3 blocks and its towers 3 each."""
    folder = twin.make("openvla", root / "openvla")
    twin.make("radio", root / "radio")
    document = json.loads((folder / hub_config.FILE).read_text())
    document["text_config"]["num_hidden_layers"] = 3
    for sizes in document[hub_config.TWIN_SIZES]:
        sizes["depth"] = 3
    files.write_json(folder / hub_config.FILE, document)
    for path in (*weights.files(folder), folder / weights.INDEX):
        path.unlink(missing_ok=True)
    model = random.model(hub_config.read(folder).model, seed=0)
    checkpoint.save_shards(folder, loading.published(model, torch.bfloat16), 2**30)


def inputs(config: Config) -> runs.Inputs:
    """Return where a prepared study's inputs lie."""
    return runs.Inputs(
        base.folder(config),
        jobs.base_weights(config),
        jobs.demos_folder(config),
        jobs.path(config, "features_low"),
    )
