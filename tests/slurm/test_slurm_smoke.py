"""The whole real study at the smallest scale, here and through SLURM: the same bytes."""

import pytest
import slurm_studies as studies
from slurm_studies import trees


@pytest.fixture(scope="module")
def local(slurm, tmp_path_factory):
    """The study made on this machine; copies of its folder are made through SLURM."""
    tree = studies.smoke(tmp_path_factory.mktemp("local") / "study")
    done = tree.make()
    assert done.code == 0, done.text
    return tree


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_results_are_those_of_a_local_run(slurm, local, no_job_left, profile, tmp_path):
    tree = studies.smoke(tmp_path / "study")
    before = len(slurm.jobs())
    done = studies.run(tree, profile, target=trees.TABLE)
    assert done.code == 0, done.text + slurm.log()
    assert len(slurm.jobs()) == before + 1, "one group, one job"
    found, wanted = trees.contents(tree.results), trees.contents(local.results)
    assert trees.differences(found, wanted) == []
    assert len(wanted) > 30
    assert tree.jobs() == {}, "what SLURM made is up to date on this machine"
