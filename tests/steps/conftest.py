import pytest
import small_study


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A prepared study at paper scale in miniature."""
    folder = tmp_path_factory.mktemp("paper")
    small_study.prepare(folder)
    return folder
