"""Linear CKA and cosine from first principles, over resampled pictures, and of small models."""

import models
import numpy as np
import pytest
import torch

from unblind.diagnosis import drift, layers
from unblind.vla import lora


def gram_cka(first, second):
    """Linear CKA by its definition: HSIC of the centred Gram matrices of all tokens."""
    grams = []
    for tokens in (first, second):
        flat = tokens.reshape(-1, tokens.shape[-1])
        centre = np.eye(len(flat)) - 1 / len(flat)
        grams.append(centre @ flat @ flat.T @ centre)
    cross, *own = (
        np.sum(a * b) for a, b in ((grams[0], grams[1]), *zip(grams, grams, strict=True))
    )
    return cross / np.sqrt(own[0] * own[1])


@pytest.fixture
def tokens():
    return np.random.default_rng(0).normal(3, 1, (2, 6, 5, 4))


def test_cka_is_that_of_the_gram_matrices(tokens):
    first, second = tokens
    mixed = first + 0.5 * second
    assert drift.linear_cka(first, mixed) == pytest.approx(gram_cka(first, mixed))
    assert drift.linear_cka(first, second[..., :3]) == pytest.approx(
        gram_cka(first, second[..., :3])
    )


def test_cka_sees_no_rotation_and_no_scale_but_the_cosine_does(tokens):
    first, other = tokens
    rotation = np.linalg.qr(other[0, :4])[0]
    assert drift.linear_cka(first, 7 * first @ rotation + 2) == pytest.approx(1)
    draws = np.ones((2, len(first)))
    scaled, turned = (drift._compared(first, own, draws) for own in (7 * first, first @ rotation))
    assert scaled["cosine"] == pytest.approx(1) and turned["cka"] == pytest.approx(1)
    flat = [
        (a @ b) / np.linalg.norm(a) / np.linalg.norm(b)
        for a, b in zip(first.reshape(-1, 4), (first @ rotation).reshape(-1, 4), strict=True)
    ]
    assert turned["cosine"] == pytest.approx(np.mean(flat)) and turned["cosine"] < 0.9


def test_a_resampled_picture_counts_as_often_as_it_is_drawn(tokens):
    first, second = tokens
    mixed, counts = first + second, np.array([2, 0, 1, 3, 0, 0])
    whole, resampled = drift._cka(first, mixed, np.vstack([np.ones(6), counts]))
    again, mixed_again = (np.repeat(one, counts, axis=0) for one in (first, mixed))
    assert whole == pytest.approx(gram_cka(first, mixed))
    assert resampled == pytest.approx(gram_cka(again, mixed_again)) != whole


def test_an_interval_covers_most_estimates_of_other_pictures():
    """Of 100 sets of 60 pictures, those whose interval holds the value of very many."""
    rng, mix = np.random.default_rng(1), np.random.default_rng(2).normal(size=(4, 4))

    def pictures(count):
        first = rng.normal(0, 1, (count, 5, 4)) + rng.normal(0, 1, (count, 1, 4))
        return first, first @ mix + 2 * rng.normal(0, 1, (count, 5, 4))

    truth, held = drift.linear_cka(*pictures(20_000)), 0
    for seed in range(100):
        told = drift._compared(*pictures(60), drift._draws(60, 200, seed))
        held += told["cka_low"] <= truth <= told["cka_high"]
    assert held >= 88


def changed(vision):
    """Return the small model with adapters that change it, as if it had been trained."""
    loaded = models.loaded()
    wrapped = lora.add_lora(loaded.model, rank=4, alpha=4, seed=0, vision=vision)
    with torch.no_grad():
        for name, weights in wrapped.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    lora.merge(wrapped).eval()
    return loaded


@pytest.mark.parametrize("vision", [False, True])
def test_a_model_drifts_behind_what_was_changed(vision):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(4)]
    made = drift.record({0: models.loaded, 5: lambda: changed(vision)}, {"some": images}, 20, 1)
    again = drift.record({0: models.loaded, 5: lambda: changed(vision)}, {"some": images}, 20, 1)
    assert made.equals(again)
    frame = made.to_pandas().set_index(["step", "site"])
    assert [*frame.loc[0].index] == [*layers.sites(models.loaded().model)]
    start, end = frame.loc[0], frame.loc[5]
    assert start[["cka", "cosine", "cka_low", "cosine_high"]].to_numpy() == pytest.approx(1)
    assert (end["cka"]["tower"] == pytest.approx(1)) == (not vision)
    assert (end["cka"][1:] < 0.999).all() and (end["cosine"][1:] < 0.999).all()
    assert (end["cka_low"] < end["cka"])[1:].all() and (end["cka"] < end["cka_high"])[1:].all()
    assert (frame["n"] == 4).all()
