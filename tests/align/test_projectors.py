import pytest
import torch
from torch import nn

from unblind.align import projectors
from unblind.align.projectors import make_projector
from unblind.errors import UnblindError


def test_mlp_has_the_published_size_at_paper_scale():
    # Released file finetune_align.py with a teacher of width 1024 (C-RADIOv3-L).
    with torch.device("meta"):
        mlp = projectors.MLP(4096, 2048, 1024)
    assert sum(p.numel() for p in mlp.parameters()) == 14_693_376


def test_mlp_computes_its_formula():
    mlp = make_projector("mlp", 6, 4, 5, seed=1).projector
    x = torch.arange(12.0).view(2, 6) ** 2
    hidden = nn.functional.layer_norm(x, (6,))
    for layer in (mlp.fc1, mlp.fc2):
        hidden = hidden @ layer.weight.T + layer.bias
        hidden = hidden * torch.sigmoid(hidden)
    assert torch.allclose(mlp(x), hidden @ mlp.fc3.weight.T + mlp.fc3.bias, atol=1e-6)


def test_weights_are_those_of_torch_by_default():
    mlp = make_projector("mlp", 400, 300, 200, seed=0).projector
    bound = 1 / 400**0.5
    assert mlp.fc1.weight.abs().max() <= bound
    assert mlp.fc1.weight.std() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_seed_decides_and_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    one, two, other = (make_projector("mlp", 8, 4, 4, seed).projector for seed in (5, 5, 6))
    assert torch.equal(one.fc1.weight, two.fc1.weight)
    assert not torch.equal(one.fc1.weight, other.fc1.weight)
    assert torch.equal(before, torch.random.get_rng_state())


def test_frozen_projector_never_drops_out_nor_learns():
    projector, x = make_projector("mlp", 8, 64, 4, seed=0).train(), torch.ones(3, 8)
    projector(x.requires_grad_()).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None and not p.requires_grad for p in projector.parameters())
    assert torch.equal(projector(x), projector(x))


def test_trainable_projector_learns_and_drops_out():
    projector, x = make_projector("mlp", 8, 64, 4, seed=0, frozen=False), torch.randn(3, 8)
    assert all(p.requires_grad for p in projector.parameters())
    assert not torch.equal(projector.train()(x), projector(x))


def test_a_new_projector_is_one_registered_class(monkeypatch):
    monkeypatch.setattr(projectors, "PROJECTORS", dict(projectors.PROJECTORS))

    @projectors.register("linear")
    class Linear(nn.Linear):
        def __init__(self, inputs, hidden, outputs):
            super().__init__(inputs, outputs)

    assert make_projector("linear", 3, 0, 2, seed=0)(torch.zeros(1, 3)).shape == (1, 2)


def test_unknown_name_is_refused():
    with pytest.raises(UnblindError, match=r"no projector called 'mpl'.*mlp"):
        make_projector("mpl", 1, 1, 1, seed=0)
