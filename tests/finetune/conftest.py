import demonstrations
import pytest
import small_study

from unblind.study import jobs


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A prepared study: twins, demonstrations, pictures, the base's record."""
    from unblind.steps import openvla

    folder = tmp_path_factory.mktemp("paper")
    small_study.make_twins(folder)
    config = small_study.configured(folder)
    demonstrations.write(jobs.demos_folder(config), config, train=2)
    openvla.fetch(config)
    openvla.pictures(config)
    return folder
