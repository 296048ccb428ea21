"""One group of two rules through each profile, from nothing: what continuous integration runs."""

import pytest
import slurm_studies as studies


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_a_group_is_one_job_and_makes_its_files(slurm, no_job_left, profile, tmp_path):
    tree = studies.toy(tmp_path / "a project's copy")
    before = len(slurm.jobs())
    done = studies.run(tree, profile)
    assert done.code == 0, done.text + slurm.log()
    assert len(slurm.jobs()) == before + 1
    assert slurm.jobs()[-1]["state"] == "COMPLETED"
    assert (tree.folder / studies.REPLAY).is_file()
    assert "unblind.cli replay" in (tree.results / "logs" / "replay.log").read_text()
