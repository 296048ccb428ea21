"""Features that are computed once: of the right frames, in order, as the networks give them."""

import commands
import demonstrations
import models
import numpy as np
import pytest
import torch

from unblind.config import load
from unblind.errors import UnblindError
from unblind.teachers.loading import load_teacher
from unblind.training import data, features
from unblind.training.data import ActionWeights, Demonstrations
from unblind.vla import checkpoint
from unblind.vla.pixels import Squeezed


@pytest.fixture(scope="module")
def model():
    return models.small()


@pytest.fixture(scope="module")
def demos(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "demos"
    demonstrations.write(folder, load(commands.SMOKE), train=2)
    codec = checkpoint.make_codec(models.STATISTICS, model.config)
    ones = ActionWeights(1, 1, 1)
    return Demonstrations(folder, "train", models.VOCABULARY, codec, "none", ones, 0, 0)


def test_low_features_are_the_towers_in_half_precision(model, demos, tmp_path):
    features.write_low(model, demos, tmp_path / "low.npy")
    stored = features.read(tmp_path / "low.npy", len(demos.frames))
    assert stored.dtype == np.float16 and stored.shape == (32, 40, 8, 8)
    for row in (0, 17, 31):  # in the first, second and last batch
        image = Squeezed(64).training(data.picture(demos.frames[row].image)[None])
        with torch.no_grad():
            wanted = model.vision_backbone.low(image)[0].numpy()
        np.testing.assert_allclose(stored[row], wanted, rtol=2e-3, atol=2e-3)


def test_teacher_features_are_the_teachers_of_the_same_picture(demos, tmp_path):
    teacher = load_teacher("lite2-128")
    path = tmp_path / "teacher.npy"
    features.write_teacher(teacher, 4, 64, demos, path)
    stored = features.read(path, 32)
    assert stored.shape == (32, 16, teacher.width)
    image = Squeezed(64).training(data.picture(demos.frames[20].image)[None])
    wanted = teacher.features(image, 4)[0].numpy()
    np.testing.assert_allclose(stored[20], wanted, rtol=2e-3, atol=2e-3)
    assert (stored[20] != stored[21]).any()


def test_writing_twice_gives_the_same_bytes(model, demos, tmp_path):
    for name in ("one.npy", "two.npy"):
        features.write_low(model, demos, tmp_path / name)
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()


def test_missing_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "low.npy"
    with pytest.raises(UnblindError, match=r"no readable features in .*low\.npy"):
        features.read(path, 3)
    np.save(path, np.zeros((3, 4), np.float16))
    assert features.read(path, 3).shape == (3, 4)
    with pytest.raises(UnblindError, match=r"has 3 rows for 4 frames"):
        features.read(path, 4)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UnblindError, match=r"no readable features"):
        features.read(path, 3)
