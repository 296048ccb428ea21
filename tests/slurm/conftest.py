import pytest
import slurm_node


@pytest.fixture(scope="session")
def slurm():
    """A real SLURM of one node."""
    if reason := slurm_node.unwanted():
        pytest.skip(reason)
    with slurm_node.running() as node:
        yield node


@pytest.fixture
def no_job_left(slurm):
    """Assert at the end that no job waits or runs."""
    yield
    assert slurm.active() == []
