"""The same small study at both scales: mini on stored features, a twin of OpenVLA on pictures."""

from collections.abc import Callable
from dataclasses import dataclass

import commands
import cv2
import demonstrations
import models
import numpy as np
import pytest
import small_study
import torch

from unblind.config import Config, load
from unblind.training import cache, finetune
from unblind.training.finetune import Inputs
from unblind.training.frames import Labelled, Pictures
from unblind.training.team import Team
from unblind.vla import checkpoint

METHODS = ("default", "freeze", "align")
#: Of mini's made-up teacher.
WIDTH = 12
SMOKE = {
    "training.schedule": dict(steps=6, batch=4, rate=0.005, warm_up=1, weight_decay=0.0),
    "training.checkpoint_steps": 2,
    **{f"runs.{m}": dict(policy="vla", label=m.title(), method=m) for m in METHODS},
}


@dataclass(frozen=True)
class Study:
    """What is trained on.

    Attributes:
        configured: the configuration with some values changed.
        inputs: of a run.
        layers: blocks of the decoder.
    """

    configured: Callable[..., Config]
    inputs: Inputs
    layers: int

    def train(self, method, out, seed=0, inputs=None, **changes):
        """Fine-tune a run in this process; return what tables tell of it."""
        config = self.configured(**changes)
        return finetune.train(Team(), config, method, seed, inputs or self.inputs, out)


@pytest.fixture(scope="session")
def mini(tmp_path_factory) -> Study:
    """A base of a few thousand weights, demonstrations, and the features of both."""
    root = tmp_path_factory.mktemp("mini")
    model = models.small()
    checkpoint.save(root / "base", model, models.VOCABULARY, models.STATISTICS.to_json())

    def configured(**changes):
        return load(commands.SMOKE, SMOKE | changes)

    demonstrations.write(root / "demos", configured(), train=3)
    pictures = Pictures(Labelled(root / "demos", "train", "merge"))
    pixels = checkpoint.load(root / "base").pixels

    def low(images):
        with torch.no_grad():
            return model.vision_backbone.low(pixels.training(images)).half().numpy()

    cache.write(root / "low.npy", pictures, low, 0.0)
    cache.write(root / "teacher.npy", pictures, colors, 0.0)
    inputs = Inputs(root / "base", None, root / "demos", root / "low.npy", root / "teacher.npy")
    return Study(configured, inputs, 2)


def colors(images):
    """Return made-up teacher tokens (n, 16, WIDTH): mixtures of each cell's mean colour."""
    cells = np.stack([cv2.resize(image, (4, 4), interpolation=cv2.INTER_AREA) for image in images])
    mixture = np.random.default_rng(0).normal(size=(3, WIDTH))
    return ((cells.reshape(len(cells), 16, 3) / 255 - 0.5) @ mixture).astype(np.float16)


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A prepared study at paper scale in miniature."""
    folder = tmp_path_factory.mktemp("paper")
    small_study.prepare(folder)
    return folder


@pytest.fixture(scope="session")
def published(root) -> Study:
    """Twins of OpenVLA and of a teacher."""

    def configured(**changes):
        return small_study.configured(root, **changes)

    return Study(configured, small_study.inputs(configured()), 3)


@pytest.fixture(scope="session", params=["mini", "published"])
def study(request) -> Study:
    """Each of the two."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def finished(study, tmp_path_factory):
    """The folder of one finished run of each method."""
    folder = tmp_path_factory.mktemp("runs")
    for method in METHODS:
        study.train(method, folder / method)
    return folder
