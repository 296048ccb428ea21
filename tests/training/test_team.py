"""Several processes train as one does."""

import os

import pytest
import torch
import toy_training

from unblind.errors import UnblindError
from unblind.training import team
from unblind.training.team import Team


def test_the_parts_are_shared_out():
    assert list(Team().parts) == [0, 1]
    assert [list(Team(rank, 2).parts) for rank in (0, 1)] == [[0], [1]]
    assert [list(Team(rank, 3).parts) for rank in range(3)] == [[0], [1], [2]]
    assert [Team(rank, 2).leads for rank in (0, 1)] == [True, False]


def test_two_processes_give_the_weights_of_one_bit_for_bit(tmp_path):
    for size in (1, 2):
        team.run(toy_training.train_quietly, size, "cpu", tmp_path / str(size))
    alone, together = (toy_training.state(tmp_path / str(size)) for size in (1, 2))
    assert any(name.endswith("|exp_avg_sq") for name in alone)
    for name, tensor in alone.items():
        assert torch.equal(together[name], tensor), name


def test_a_part_without_a_finite_loss_ends_both_processes_with_one_error(tmp_path):
    with pytest.raises(UnblindError, match="loss of step 3 is nan"):
        team.run(toy_training.train_until_one_part_diverges, 2, "cpu", tmp_path)


def end_without_a_word(member: Team) -> None:
    if not member.leads:
        os._exit(3)
    member.wait()


def test_a_process_that_dies_ends_the_others():
    with pytest.raises(UnblindError, match="a training process died"):
        team.run(end_without_a_word, 2, "cpu")


def test_a_gpu_that_is_not_there_is_one_error():
    missing = torch.cuda.device_count()
    with pytest.raises(UnblindError, match=f"cannot use device 'cuda:{missing}'.*use cpu or cuda"):
        Team(missing, missing + 1, "cuda")
