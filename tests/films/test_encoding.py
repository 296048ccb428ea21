"""Films as ffmpeg writes them, and what is said where it cannot."""

import imageio_ffmpeg
import numpy as np
import pytest

from unblind.errors import UnblindError
from unblind.files import atomic_path
from unblind.films.encoding import write_film

PICTURES = [np.full((48, 64, 3), shade, np.uint8) for shade in (0, 80, 160, 240)]


def read(path):
    """Return what a film says of itself, and the mean colour of each picture."""
    frames = imageio_ffmpeg.read_frames(path)
    about = next(frames)
    return about, [np.frombuffer(frame, np.uint8).mean() for frame in frames]


def test_every_picture_is_in_the_film_at_its_size(tmp_path):
    path = tmp_path / "film.mp4"
    write_film(path, iter(PICTURES), (640, 480), 5)
    about, shades = read(path)
    assert about["size"] == (640, 480) and about["fps"] == 5 and about["codec"] == "h264"
    assert shades == pytest.approx([0, 80, 160, 240], abs=3)


def test_a_failure_of_ffmpeg_is_one_error_and_leaves_nothing(tmp_path):
    with pytest.raises(UnblindError, match=r"ffmpeg cannot write .*film"):
        write_film(tmp_path / "absent" / "film.mp4", iter(PICTURES), (640, 480), 5)
    with pytest.raises(UnblindError, match="ffmpeg cannot write"):
        with atomic_path(tmp_path / "film.mp4") as path:
            write_film(path, iter(PICTURES), (641, 481), 5)  # H.264 needs even sides
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'av_write: No space left on device' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(UnblindError, match=r"disk full while writing .*film\.mp4"):
        with atomic_path(tmp_path / "film.mp4") as path:
            write_film(path, iter(PICTURES), (640, 480), 5)


def test_without_ffmpeg(tmp_path, monkeypatch):
    def absent():
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", absent)
    with pytest.raises(UnblindError, match="there is no ffmpeg"):
        write_film(tmp_path / "film.mp4", iter(PICTURES), (640, 480), 5)
