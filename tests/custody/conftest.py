import shutil

import pytest
import whole_study


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        whole_study.write(whole_study.settings())
    return folder


@pytest.fixture
def study(original, tmp_path, monkeypatch):
    """A copy of a whole study in the working folder; its settings."""
    shutil.copytree(original, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    return whole_study.settings()
