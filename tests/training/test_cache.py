"""What is computed once: of the right frames, in order, as the functions give it."""

import commands
import demonstrations
import numpy as np
import pytest

from unblind import png
from unblind.config import load
from unblind.demos import shards
from unblind.errors import UnblindError
from unblind.training import cache
from unblind.training.frames import Labelled, Pictures

UNIT = 0.0


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "demos"
    demonstrations.write(folder, load(commands.SMOKE), train=2)
    return Labelled(folder, "train", "none")


def halves(images):
    return (images.mean((1, 2)) / 3).astype(np.float16)


def test_rows_are_the_functions_of_the_frames_in_order(labelled, tmp_path):
    cache.write(tmp_path / "x.npy", Pictures(labelled), halves, UNIT)
    stored = cache.read(tmp_path / "x.npy", 32)
    assert stored.dtype == np.float16 and stored.shape == (32, 3)
    episodes = shards.load(labelled.folder, "train")
    pictures = [png.decode(data) for episode in episodes for data in episode["images"]]
    for row in (0, 7, 8, 31):  # in the first, second and last batch
        np.testing.assert_array_equal(stored[row], halves(pictures[row][None])[0])
    assert (stored[20] != stored[21]).any()


def test_functions_see_few_pictures_at_a_time(labelled, tmp_path):
    seen = []

    def note(images):
        seen.append(len(images))
        return images

    cache.write(tmp_path / "x.npy", Pictures(labelled), note, UNIT)
    assert seen == [8, 8, 8, 8]
    assert cache.read(tmp_path / "x.npy", 32).dtype == np.uint8


def test_writing_twice_gives_the_same_bytes(labelled, tmp_path):
    for name in ("one.npy", "two.npy"):
        cache.write(tmp_path / name, Pictures(labelled), halves, UNIT)
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()


def test_demonstrations_without_a_frame_are_refused(labelled, tmp_path):
    with pytest.raises(UnblindError, match="no frame of 'held_out'"):
        Pictures(Labelled(labelled.folder, "held_out", "none"))


def test_missing_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "low.npy"
    with pytest.raises(UnblindError, match=r"no readable features in .*low\.npy"):
        cache.read(path, 3)
    np.save(path, np.zeros((3, 4), np.float16))
    assert cache.read(path, 3).shape == (3, 4)
    with pytest.raises(UnblindError, match=r"has 3 rows for 4 pictures"):
        cache.read(path, 4)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UnblindError, match=r"no readable features"):
        cache.read(path, 3)


def test_the_rows_of_several_files_are_one_sequence(tmp_path):
    whole, counts = np.arange(24, dtype=np.float16).reshape(6, 2, 2), (3, 1, 2)
    paths = [tmp_path / f"{k}.npy" for k in range(3)]
    for path, rows in zip(paths, np.split(whole, np.cumsum(counts)[:-1]), strict=True):
        np.save(path, rows)
    rows = cache.Rows(paths, counts)
    assert len(rows) == 6
    for numbers in ([0], [5, 2, 3, 2], [4, 0]):
        np.testing.assert_array_equal(rows[numbers], whole[numbers])
    with pytest.raises(UnblindError, match=r"0\.npy has 3 rows for 2 pictures"):
        cache.Rows(paths, (2, 2, 2))
