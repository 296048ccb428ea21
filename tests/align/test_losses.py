import pytest
import torch

from unblind.align.losses import cosine, get_loss
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


def test_unknown_name_is_refused():
    with pytest.raises(UnblindError, match="cosine"):
        get_loss("l3")
