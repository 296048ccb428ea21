import math

import pytest
import torch

from unblind.align.losses import LOSSES, TEMPERATURE, cosine, get_loss, info_nce, l2
from unblind.errors import UnblindError


def test_cosine_is_the_negative_mean_over_tokens():
    teacher = torch.tensor([[[1.0, 0], [1, 0], [1, 0], [1, 0]]])
    student = torch.tensor([[[3.0, 0], [0, 2], [-5, 0], [1, 1]]])
    assert float(cosine(student, teacher)) == pytest.approx(-(1 + 0 - 1 + 0.5**0.5) / 4)


def test_a_zero_token_counts_zero():
    assert float(cosine(torch.zeros(1, 2, 3), torch.ones(1, 2, 3))) == 0


def test_equal_tokens_give_the_minimum():
    x = torch.randn(2, 5, 7)
    assert float(get_loss("cosine")(x, 4 * x)) == pytest.approx(-1)


def test_l2_is_the_mean_square():
    student, teacher = torch.tensor([[[1.0, 2], [3, 4]]]), torch.tensor([[[1.0, 0], [0, 4]]])
    assert float(l2(student, teacher)) == pytest.approx((0 + 4 + 9 + 0) / 4)


def test_info_nce_by_hand_for_two_tokens():
    # Cosines of the students with their own teacher tokens: 1 and 0; with the other's: 0 and 1.
    student, teacher = torch.tensor([[[2.0, 0], [3, 0]]]), torch.tensor([[[5.0, 0], [0, 1]]])
    right, wrong = (math.log(1 + math.exp(sign / TEMPERATURE)) for sign in (-1, 1))
    assert float(info_nce(student, teacher)) == pytest.approx((right + wrong) / 2)


def test_info_nce_tells_tokens_of_one_picture_and_of_others_apart():
    x = torch.eye(6).view(2, 3, 6)
    assert float(info_nce(x, x)) == pytest.approx(
        math.log(1 + 5 * math.exp(-1 / TEMPERATURE)), rel=1e-2
    )
    assert float(info_nce(torch.zeros(2, 3, 6), x)) == pytest.approx(math.log(6))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_those_of_finite_differences(name):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 4, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(get_loss(name), (student.requires_grad_(), teacher))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_zero_tokens_constant_tokens_and_one_token_stay_finite(name):
    for student in (torch.zeros(2, 3, 4), torch.ones(2, 3, 4), torch.ones(1, 1, 4)):
        student = student.clone().requires_grad_()
        value = get_loss(name)(student, torch.ones_like(student))
        value.backward()
        assert value.isfinite() and student.grad.isfinite().all()


def test_unknown_name_is_refused():
    with pytest.raises(UnblindError, match="cosine"):
        get_loss("l3")
