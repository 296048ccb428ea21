import pytest
import torch

from unblind.align.objective import Objective
from unblind.config import Alignment, load
from unblind.errors import UnblindError

DEPTH, ENCODER, WIDTH, TEACHER, TOKENS = 4, 12, 16, 10, 9
WIDTHS = (ENCODER, *[WIDTH] * DEPTH)


def visual(seed=0, batch=2):
    """Nine visual tokens of the encoder and after each of four blocks."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, TOKENS, width, generator=generator) for width in WIDTHS]


def teacher(seed=1, batch=2):
    return torch.randn(batch, TOKENS, TEACHER, generator=torch.Generator().manual_seed(seed))


def objective(*layers, **changes):
    align = {
        "teacher": "c-radiov3-l",
        "teacher_weights": None,
        "interpolate": False,
        "layers": list(layers),
        "lambda": 0.2,
        "projector": "mlp",
        "projector_width": 8,
        "frozen": True,
        "loss": "cosine",
    }
    return Objective(Alignment(**align | changes), 0, WIDTHS, TEACHER)


def test_the_papers_configuration_gives_the_papers_projector(request):
    path = request.config.rootpath / "workflow" / "config" / "paper.yaml"
    paper = Objective(load(path).training.align, 0, [64] * 33, 8)
    assert paper.align.lambda_ == 0.2
    assert paper.projectors["16"].projector.fc1.out_features == 2048
    assert not [weight for weight in paper.parameters() if weight.requires_grad]


def test_total_is_action_plus_a_fifth_of_the_cosine():
    model, action = objective(2), torch.tensor(1.5)
    terms = model(action, visual(), teacher())
    projected = model.projectors["2"](visual()[2])
    unit = projected / projected.norm(dim=-1, keepdim=True)
    target = teacher() / teacher().norm(dim=-1, keepdim=True)
    wanted = -(unit * target).sum(-1).mean()
    assert terms.alignment.item() == pytest.approx(wanted.item(), abs=1e-6)
    assert terms.total.item() == pytest.approx(1.5 + 0.2 * wanted.item(), abs=1e-6)
    assert terms.numbers().keys() == {"loss", "action", "alignment", "alignment_2"}


def test_layers_are_summed():
    action = torch.tensor(0.0)
    both = objective(1, 3)(action, visual(), teacher())
    assert both.alignment.item() == pytest.approx(sum(t.item() for t in both.layers.values()))
    assert both.layers.keys() == {1, 3}


@pytest.mark.parametrize("layer", [0, 2])
def test_only_the_tokens_of_the_layer_are_pulled(layer):
    tokens = [one.requires_grad_() for one in visual()]
    objective(layer)(torch.tensor(0.0), tokens, teacher()).total.backward()
    assert [one.grad is not None for one in tokens] == [k == layer for k in range(DEPTH + 1)]
    assert (tokens[layer].grad.abs().sum((0, 2)) > 0).all()


def test_layer_0_is_the_encoder_with_a_projector_of_its_width():
    model = objective(0)
    assert model.projectors["0"].projector.fc1.in_features == ENCODER
    assert model(torch.tensor(0.0), visual(), teacher()).layers.keys() == {0}


def test_lambda_zero_is_the_action_loss_itself():
    tokens = [one.requires_grad_() for one in visual()]
    action = tokens[0].square().mean()
    terms = objective(2, **{"lambda": 0.0})(action, tokens, teacher())
    assert terms.total is action
    assert not terms.alignment.requires_grad and terms.alignment.item() != 0


def test_true_teacher_tokens_can_be_approached_and_shuffled_ones_fit_worse():
    model, optimum = objective(2, projector_width=64), teacher(batch=8)
    student = torch.nn.Parameter(visual(batch=8)[2])
    optimiser = torch.optim.Adam([student], lr=0.05)
    for _ in range(60):
        tokens = [student] * (DEPTH + 1)
        optimiser.zero_grad()
        model(torch.tensor(0.0), tokens, optimum).total.backward()
        optimiser.step()
    tokens = [student.detach()] * (DEPTH + 1)
    true = model(torch.tensor(0.0), tokens, optimum).alignment.item()
    shuffled = model(torch.tensor(0.0), tokens, optimum.roll(1, 1)).alignment.item()
    assert true < -0.4
    assert shuffled > true + 0.4


def test_frozen_projectors_give_the_optimiser_nothing():
    assert not [p for p in objective(2).parameters() if p.requires_grad]
    assert [p for p in objective(2, frozen=False).parameters() if p.requires_grad]


@pytest.mark.parametrize("layers", [(5,), (2, 2), (1, 9)])
def test_layers_that_do_not_exist_are_refused_with_the_valid_ones(layers):
    with pytest.raises(UnblindError, match="valid layers, each once: 0, 1, 2, 3, 4"):
        objective(*layers)


def test_a_teacher_of_another_grid_is_refused():
    with pytest.raises(UnblindError, match=r"\(2, 9\) visual tokens.*\(2, 4\)"):
        objective(2)(torch.tensor(0.0), visual(), teacher()[:, :4])
