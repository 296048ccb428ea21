"""The procedural table photos and textures."""

import itertools

import numpy as np

from unblind.sim import conditions
from unblind.sim.builtin import BUILTIN, tables
from unblind.sim.builtin.scenes import SCENES
from unblind.sim.camera import EYE, project


def test_names_textures_and_mixes_are_the_released_ones():
    assert tuple(t.name for t in BUILTIN.tables) == conditions.TABLES
    assert tuple(t.texture_name for t in BUILTIN.tables) == conditions.TEXTURES
    assert len(set(conditions.TABLES)) == 21
    assert [t.name for t in BUILTIN.tables[16:]] == [
        "glass table", "green table", "pink desk", "stone table", "dining table",
    ]  # fmt: skip
    assert [t.mix for t in BUILTIN.tables] == [0.0] + [1.0] * 20


def test_photos_and_textures_are_all_different():
    for pictures in (
        [t.photo(32, 24) for t in BUILTIN.tables],
        [t.texture() for t in BUILTIN.tables],
    ):
        assert all(p.dtype == np.uint8 and p.shape[2] == 3 for p in pictures)
        for one, other in itertools.combinations(pictures, 2):
            assert np.abs(one.astype(int) - other).mean() > 8


def test_a_photo_is_scaled_by_averaging_and_cannot_be_spoilt():
    table = BUILTIN.tables[3]
    full, small = table.photo(640, 480), table.photo(128, 96)
    assert (full.shape, small.shape) == ((480, 640, 3), (96, 128, 3))
    blocks = full.reshape(96, 5, 128, 5, 3).mean((1, 3))
    assert np.abs(blocks - small).max() <= 0.51
    assert not full.flags.writeable
    assert not small.flags.writeable
    assert table.photo(128, 96) is small


def test_photos_depend_on_the_index_alone():
    before = BUILTIN.tables[7].photo(640, 480).tobytes()
    np.random.seed(5)  # noqa: NPY002  the global generator must not matter
    tables._photo.cache_clear()
    assert BUILTIN.tables[7].photo(640, 480).tobytes() == before


def test_the_camera_sees_the_table_where_the_release_does():
    """The camera is 0.3635 m above the top; the grid's centre lies near the frame's middle."""
    np.testing.assert_allclose(EYE, [0.147, 0.188, 1.23], atol=1e-9)
    pixel = project(np.array([(-0.16, 0.0, 0.8665)]))[0]
    np.testing.assert_allclose(pixel, [300.04, 259.04], atol=0.01)
    left, right = project(np.array([(-0.16, -0.05, 0.8665), (-0.16, 0.05, 0.8665)]))
    assert left[0] < pixel[0] < right[0]  # world -y is image-left


def test_every_position_lies_on_every_table():
    """Grid, outer ring and the third positions: |x + 0.16| and |y| up to 0.105 m."""
    corners = [(x, y) for x in (-0.265, -0.055) for y in (-0.105, 0.105)]
    for scene in SCENES:
        for x, y in corners:
            if len(scene.bounds) == 3:
                assert np.hypot(x - scene.bounds[0], y - scene.bounds[1]) < scene.bounds[2]
            else:
                x0, y0, x1, y1 = scene.bounds
                assert x0 < x < x1
                assert y0 < y < y1
