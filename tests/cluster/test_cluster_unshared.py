"""`unblind cluster-check` where login and compute node share no files."""

import pytest
import slurm_node
from cluster_checks import check, settled


def test_no_shared_file_system(tmp_path):
    if reason := slurm_node.unwanted():
        pytest.skip(reason)
    with slurm_node.running(hide=tmp_path) as node:
        code, found, _ = check(tmp_path)
        assert code == 1
        assert "does not see what is written here" in found["shared fs"][1]
        assert [name for name, (ok, _) in found.items() if not ok] == ["shared fs"]
        assert settled(node)
    assert list(tmp_path.iterdir()) == []
