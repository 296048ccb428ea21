import shutil

import models
import numpy as np
import pytest
import torch

from unblind import twin
from unblind.twin.openvla import document
from unblind.vla import checkpoint, hub_config, loading


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory):
    """The twin of OpenVLA-7B as a folder; nobody changes it."""
    return twin.make("openvla", tmp_path_factory.mktemp("twins") / "openvla", seed=0)


@pytest.fixture(scope="session")
def loaded(twin_folder):
    """The same in float32."""
    return checkpoint.load(twin_folder, dtype=torch.float32)


@pytest.fixture(scope="session", params=["mini", "openvla"])
def either(request):
    """A checkpoint of each scale in float32, with statistics of one data set."""
    if request.param == "mini":
        return models.loaded()
    published = request.getfixturevalue("loaded")
    statistics = {"sft": published.statistics["sft"]}
    return checkpoint.Checkpoint(
        published.model, published.vocabulary, published.pixels, statistics, published.folder
    )


@pytest.fixture(scope="session")
def full_size():
    """The model that the hub's own config.json describes, without memory for its weights."""
    values = document("openvla")
    del values[hub_config.TWIN_SIZES]
    values["text_config"] = {"model_type": "llama", "vocab_size": 32064, "pad_token_id": 32000}
    return loading.blank(hub_config.parse("config.json", values).model).to(torch.bfloat16)


@pytest.fixture
def own_folder(twin_folder, tmp_path):
    """A copy of the twin that a test may damage."""
    return shutil.copytree(twin_folder, tmp_path / "own")


@pytest.fixture(scope="session")
def pictures():
    """Four frames of the released size: large squares of colour under noise."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (4, 6, 8, 3), np.uint8).repeat(80, 1).repeat(80, 2)
    coarse[0], coarse[1] = coarse[0] // 8, 255 - coarse[1] // 8  # a dark one and a bright one
    return np.clip(coarse + rng.integers(-20, 21, coarse.shape), 0, 255).astype(np.uint8)
