import pytest
import slurm_node


# Of a module, since a machine has one node at a time and some tests start their own.
@pytest.fixture(scope="module")
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
