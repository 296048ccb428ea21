import pytest
import torch
from hub_twins import TWINS

from unblind import twin
from unblind.answerers import model


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A twin of each family."""
    root = tmp_path_factory.mktemp("twins")
    return {family: twin.make(kind, root / kind) for family, kind in TWINS.items()}


@pytest.fixture(scope="session")
def eager(folders):
    """The models in these folders, which can be looked into."""
    how = (torch.device("cpu"), torch.float32, True)
    return {family: model.load(folder, family, *how) for family, folder in folders.items()}
