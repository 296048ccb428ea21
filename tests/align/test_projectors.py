import math

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


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_cosine_gives_the_cosines_with_its_rows():
    projector, x = make_projector("cosine", 6, 0, 4, seed=1).projector, tokens(2, 3, 6)
    wanted = nn.functional.cosine_similarity(x[..., None, :], projector.weight, dim=-1)
    assert torch.allclose(projector(x), wanted, atol=1e-6)
    assert torch.allclose(projector(7 * x), wanted, atol=1e-6)


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 4), (4, 6), (5, 5)])
def test_orthproj_is_orthogonal_and_stays_so(inputs, outputs):
    projector = make_projector("orthproj", inputs, 0, outputs, seed=1, frozen=False)
    optimizer = torch.optim.AdamW(projector.parameters(), 0.5, weight_decay=0.5)
    for step in range(3):
        weight = projector.weight
        square = weight @ weight.T if outputs <= inputs else weight.T @ weight
        assert torch.allclose(square, torch.eye(min(inputs, outputs)), atol=1e-5)
        optimizer.zero_grad()
        (projector(tokens(8, inputs, seed=step)) - 1).square().mean().backward()
        optimizer.step()


def test_film_is_modulated_by_the_mean_token_of_each_picture_alone():
    film, x = make_projector("film", 6, 0, 4, seed=1).projector, tokens(2, 3, 6)
    for picture in range(2):
        mean = x[picture].mean(0)
        wanted = (1 + film.scale(mean)) * film.linear(x[picture]) + film.shift(mean)
        assert torch.allclose(film(x)[picture], wanted, atol=1e-6)


def test_random_fourier_features_make_a_gaussian_kernel():
    wide = make_projector("rff", 8, 0, 40_000, seed=1)
    a, b = nn.functional.layer_norm(tokens(2, 8), (8,))
    got = (wide(a) * wide(b)).sum()
    assert float(got) == pytest.approx(math.exp(-(a - b).square().sum().item() / (2 * 8)), abs=0.02)


def test_whitening_decorrelates_what_it_does_not_shrink(monkeypatch):
    monkeypatch.setattr(projectors, "SHRINKAGE", 0.0)
    projector = projectors.Whitening(3, 0, 3)
    with torch.no_grad():
        projector.linear.weight.copy_(torch.eye(3))
        projector.linear.bias.zero_()
    mixed = tokens(50, 4, 3) @ tokens(3, 3, seed=2) + 5
    white = projector(mixed).flatten(0, 1)
    assert torch.allclose(white.mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(white.T @ white / len(white), torch.eye(3), atol=1e-3)


def test_whitening_makes_channels_as_large_as_each_other():
    projector = make_projector("whitening", 4, 0, 4, seed=1).projector
    scaled = tokens(2, 30, 4) * torch.tensor([1.0, 1, 1, 50])
    root = torch.linalg.solve(
        projector.linear.weight, (projector(scaled) - projector.linear.bias)[..., None]
    )
    assert root[..., 0].flatten(0, 1).std(0)[3] < 3.5, "the shrunk covariance bounds it"


def test_spectral_divides_by_the_largest_singular_value():
    projector, x = make_projector("spectral", 6, 0, 4, seed=1).projector, tokens(3, 6)
    largest = torch.linalg.svdvals(projector.linear.weight)[0]
    wanted = x @ (projector.linear.weight / largest).T + projector.linear.bias
    assert torch.allclose(projector(x), wanted, atol=1e-6)


NAMES = sorted(projectors.PROJECTORS)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    projector = make_projector(name, 5, 4, 3, seed=2, frozen=False).double().eval()
    x = tokens(2, 4, 5).double().requires_grad_()
    parameters = list(projector.parameters())

    def outputs(x, *values):
        return projector(x)

    assert torch.autograd.gradcheck(outputs, (x, *parameters))


@pytest.mark.parametrize("name", NAMES)
def test_trainable_weights_move_and_frozen_ones_keep_their_bytes(name):
    x = tokens(2, 4, 5)
    for frozen in (True, False):
        projector = make_projector(name, 5, 4, 3, seed=2, frozen=frozen)
        before = {key: value.clone() for key, value in projector.state_dict().items()}
        learnable = [p for p in projector.parameters() if p.requires_grad]
        assert bool(learnable) != frozen
        projector.train()(x.clone().requires_grad_()).square().sum().backward()
        for weight in learnable:
            assert weight.grad.abs().max() > 0
        torch.optim.SGD(learnable or [torch.zeros(1)], 0.1).step()
        moved = [
            not torch.equal(before[key], value) for key, value in projector.state_dict().items()
        ]
        assert any(moved) != frozen


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("x", [torch.zeros(1, 1, 5), torch.ones(2, 4, 5), tokens(1, 1, 5)])
def test_a_zero_token_constant_tokens_and_one_token_stay_finite(name, x):
    projector, x = make_projector(name, 5, 4, 3, seed=2, frozen=False), x.clone().requires_grad_()
    out = projector.eval()(x)
    assert out.shape == (*x.shape[:-1], 3) and out.isfinite().all()
    out.square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in projector.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_every_projector_is_drawn_from_its_seed(name):
    one, two, other = (make_projector(name, 8, 4, 4, seed)(tokens(2, 3, 8)) for seed in (5, 5, 6))
    assert torch.equal(one, two) and not torch.equal(one, other)


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
