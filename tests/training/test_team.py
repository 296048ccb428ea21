"""Two processes train as one does."""

import pytest
import torch
import toy_training
from unblind.training.parallel import Team

from unblind.errors import UnblindError
from unblind.training import parallel


def test_the_parts_are_shared_out():
    assert [list(Team(0, 1).parts)] == [[0, 1]]
    assert [list(Team(rank, 2).parts) for rank in (0, 1)] == [[0], [1]]
    assert [Team(rank, 2).leads for rank in (0, 1)] == [True, False]


def test_two_processes_give_the_weights_of_one_bit_for_bit(tmp_path):
    for size in (1, 2):
        parallel.run(toy_training.train, size, tmp_path / str(size))
    alone, together = (toy_training.state(tmp_path / str(size)) for size in (1, 2))
    assert any(name.endswith("|square") for name in alone)
    for name, tensor in alone.items():
        assert torch.equal(together[name], tensor), name


def test_a_part_without_a_finite_loss_ends_both_processes_with_one_error(tmp_path):
    with pytest.raises(UnblindError, match="loss of step 3 is nan"):
        parallel.run(toy_training.train_until_one_part_diverges, 2, tmp_path)
