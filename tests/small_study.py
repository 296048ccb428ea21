"""A study at paper scale in miniature: twins of OpenVLA and of a teacher, made-up frames."""

import json
from pathlib import Path

import demonstrations
import torch

from unblind import files, twin, weights
from unblind.config import Config, load
from unblind.config.files import arguments
from unblind.steps import base as base_steps
from unblind.steps import finetuning
from unblind.study import jobs
from unblind.training import base
from unblind.training.finetune import Inputs
from unblind.vla import checkpoint, hub_config, loading, random

PAPER = Path(__file__).parents[1] / "workflow" / "config" / "paper.yaml"
STEPS = 4
SETTINGS = {
    "training.device": "cpu",
    "training.precision": "float32",
    "training.checkpoint_steps": 2,
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
        "base.source": str(root / "openvla"),
        "training.align.teacher_weights": str(root / "radio"),
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


def prepare(root: Path) -> None:
    """Make twins, demonstrations, pictures and the base's record below ``root``."""
    make_twins(root)
    config = configured(root)
    demonstrations.write(jobs.demos_folder(config), config, train=2)
    base_steps.fetch(config)
    finetuning.pictures(config)


def inputs(config: Config) -> Inputs:
    """Return where a prepared study's inputs lie."""
    folder, record = base.folder(config), jobs.record(config)
    return Inputs(folder, record, jobs.demos_folder(config), jobs.path(config, "pictures"))
