import shutil

import numpy as np
import pytest
import torch
from unblind.openvla import checkpoint, config

from unblind import twin
from unblind.twin.openvla import document


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory):
    """The twin of OpenVLA-7B as a folder; nobody changes it."""
    return twin.make("openvla", tmp_path_factory.mktemp("twins") / "openvla", seed=0)


@pytest.fixture(scope="session")
def loaded(twin_folder):
    """The same in float32."""
    return checkpoint.load(twin_folder, dtype=torch.float32)


@pytest.fixture(scope="session")
def full_size():
    """The model that the hub's own config.json describes, without memory for its weights."""
    values = document("openvla")
    del values[config.TWIN_SIZES]
    values["text_config"] = {"model_type": "llama", "vocab_size": 32064, "pad_token_id": 32000}
    return checkpoint.blank(config.parse("config.json", values).model).to(torch.bfloat16)


@pytest.fixture
def own_folder(twin_folder, tmp_path):
    """A copy of the twin that a test may damage."""
    return shutil.copytree(twin_folder, tmp_path / "own")


@pytest.fixture(scope="session")
def pictures():
    """Two frames of the released size: large squares of colour under noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 12, 16, 3)).repeat(40, 1).repeat(40, 2)
    return np.clip(coarse + rng.integers(-20, 21, coarse.shape), 0, 255).astype(np.uint8)
