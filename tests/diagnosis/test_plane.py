"""The plane through three models: lengths are those of the weights as plain vectors."""

import models
import numpy as np
import pytest
import torch

from unblind.diagnosis.plane import Moved, Plane, change, inner
from unblind.errors import UnblindError


def vectors(seed, names=("a", "b")):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(3, 2, generator=generator) for name in names}


def flat(changed):
    return np.concatenate([changed.get(n, torch.zeros(3, 2)).numpy().ravel() for n in "abc"])


@pytest.fixture
def plane():
    return Plane(vectors(0), vectors(1, ("b", "c")))


def test_places_are_as_far_apart_as_the_weights(plane):
    corners = {(0, 0): 0 * flat(plane.first), (1, 0): flat(plane.first), (0, 1): flat(plane.second)}
    mixtures = corners | {(0.3, 1.2): 0.3 * flat(plane.first) + 1.2 * flat(plane.second)}
    for first, own in mixtures.items():
        for second, other in mixtures.items():
            apart = np.subtract(plane.place(*first), plane.place(*second))
            assert np.linalg.norm(apart) == pytest.approx(np.linalg.norm(own - other), abs=1e-6)
    assert plane.place(0, 0) == (0, 0)
    assert plane.place(1, 0) == pytest.approx((np.linalg.norm(flat(plane.first)), 0))


def test_a_place_tells_its_mixture(plane):
    assert plane.mixture(*plane.place(0.3, -0.7)) == pytest.approx((0.3, -0.7))


def test_what_lies_beside_the_plane_is_projected(plane):
    x, y, off = plane.project(plane.second)
    assert (x, y) == pytest.approx(plane.place(0, 1)) and off == pytest.approx(0, abs=1e-3)
    other = vectors(2, ("a", "c"))
    x, y, off = plane.project(other)
    basis = np.linalg.qr(np.stack([flat(plane.first), flat(plane.second)], 1))[0]
    along = basis.T @ flat(other)
    assert abs(x) == pytest.approx(abs(along[0])) and abs(y) == pytest.approx(abs(along[1]))
    assert off == pytest.approx(np.linalg.norm(flat(other) - basis @ along))


def test_no_plane_without_two_directions():
    first = vectors(0)
    for second in ({}, first, {name: -2 * weight for name, weight in first.items()}):
        with pytest.raises(UnblindError, match="lie on one line"):
            Plane(first, second)


def test_a_model_is_moved_to_the_other_two_and_back():
    base, one, two = (models.small(seed) for seed in (0, 1, 2))
    plane = Plane(change(base, one), change(base, two))
    start = {name: weight.clone() for name, weight in base.state_dict().items()}
    moved = Moved(base, plane)
    for (a, b), wanted in (((1, 0), one), ((0, 1), two)):
        moved.to(a, b)
        for name, weight in base.state_dict().items():
            torch.testing.assert_close(weight, wanted.state_dict()[name])
    moved.to(0.5, 0.5)
    name = "projector.fc1.weight"
    halfway = (one.state_dict()[name] + two.state_dict()[name]) / 2
    torch.testing.assert_close(base.state_dict()[name], halfway)
    moved.to(0, 0)
    assert all(torch.equal(weight, start[name]) for name, weight in base.state_dict().items())
    assert inner(plane.first, {}) == 0
