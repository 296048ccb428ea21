import pytest
import torch

from unblind.align.objective import Objective
from unblind.config import Alignment, load
from unblind.errors import UnblindError

DEPTH, WIDTH, TEACHER, TOKENS = 4, 16, 10, 9
VISUAL = slice(1, 1 + TOKENS)


def states(seed=0, batch=2):
    """Embeddings and the outputs of four blocks: BOS, nine visual tokens, three words."""
    generator = torch.Generator().manual_seed(seed)
    shape = (DEPTH + 1, batch, 1 + TOKENS + 3, WIDTH)
    return torch.randn(shape, generator=generator).unbind()


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
    return Objective(Alignment(**align | changes), 0, DEPTH, WIDTH, TEACHER)


def test_the_papers_configuration_gives_the_papers_projector(request):
    path = request.config.rootpath / "workflow" / "config" / "paper.yaml"
    paper = Objective(load(path).training.align, 0, 32, 64, 8)
    assert paper.align.lambda_ == 0.2
    assert paper.projectors["16"].projector.fc1.out_features == 2048
    assert not [weight for weight in paper.parameters() if weight.requires_grad]


def test_total_is_action_plus_a_fifth_of_the_cosine():
    model, action = objective(2), torch.tensor(1.5)
    terms = model(action, states(), VISUAL, teacher())
    projected = model.projectors["2"](states()[2][:, 1:10])
    unit = projected / projected.norm(dim=-1, keepdim=True)
    target = teacher() / teacher().norm(dim=-1, keepdim=True)
    wanted = -(unit * target).sum(-1).mean()
    assert terms.alignment.item() == pytest.approx(wanted.item(), abs=1e-6)
    assert terms.total.item() == pytest.approx(1.5 + 0.2 * wanted.item(), abs=1e-6)
    assert terms.numbers().keys() == {"loss", "action", "alignment", "alignment_2"}


def test_layers_are_summed():
    action = torch.tensor(0.0)
    both = objective(1, 3)(action, states(), VISUAL, teacher())
    assert both.alignment.item() == pytest.approx(sum(t.item() for t in both.layers.values()))
    assert both.layers.keys() == {1, 3}


def test_only_the_visual_tokens_of_the_layer_are_pulled():
    hidden = [state.requires_grad_() for state in states()]
    objective(2)(torch.tensor(0.0), hidden, VISUAL, teacher()).total.backward()
    assert [state.grad is None for state in hidden] == [True, True, False, True, True]
    pulled = hidden[2].grad.abs().sum((0, 2)) > 0
    assert pulled.tolist() == [False] + [True] * TOKENS + [False] * 3


def test_lambda_zero_is_the_action_loss_itself():
    hidden = [state.requires_grad_() for state in states()]
    action = hidden[0].square().mean()
    terms = objective(2, **{"lambda": 0.0})(action, hidden, VISUAL, teacher())
    assert terms.total is action
    assert not terms.alignment.requires_grad and terms.alignment.item() != 0


def test_true_teacher_tokens_can_be_approached_and_shuffled_ones_fit_worse():
    model, optimum = objective(2, projector_width=64), teacher(batch=8)
    student = torch.nn.Parameter(states(batch=8)[2])
    optimiser = torch.optim.Adam([student], lr=0.05)
    for _ in range(60):
        hidden = [student] * (DEPTH + 1)
        optimiser.zero_grad()
        model(torch.tensor(0.0), hidden, VISUAL, optimum).total.backward()
        optimiser.step()
    hidden = [student.detach()] * (DEPTH + 1)
    true = model(torch.tensor(0.0), hidden, VISUAL, optimum).alignment.item()
    shuffled = model(torch.tensor(0.0), hidden, VISUAL, optimum.roll(1, 1)).alignment.item()
    assert true < -0.4
    assert shuffled > true + 0.4


def test_frozen_projectors_give_the_optimiser_nothing():
    assert not [p for p in objective(2).parameters() if p.requires_grad]
    assert [p for p in objective(2, frozen=False).parameters() if p.requires_grad]


@pytest.mark.parametrize("layers", [(5,), (2, 2), (1, 9)])
def test_layers_that_do_not_exist_are_refused_with_the_valid_ones(layers):
    with pytest.raises(UnblindError, match="valid layers, each once: 1, 2, 3, 4"):
        objective(*layers)


def test_a_teacher_of_another_grid_is_refused():
    with pytest.raises(UnblindError, match=r"\(2, 9\) visual tokens.*\(2, 4\)"):
        objective(2)(torch.tensor(0.0), states(), VISUAL, teacher()[:, :4])
