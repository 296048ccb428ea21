"""Pictures to an mp4 file, by ffmpeg."""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np

from unblind.errors import UnblindError

#: H.264 that every browser plays, and that starts before it is loaded whole.
_CODEC = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
_CODEC += ("-movflags", "+faststart", "-threads", "1", "-f", "mp4")
_REMEDY = "check that UNBLIND's environment is whole: IMAGEIO_FFMPEG_EXE may name another ffmpeg"


def write_film(
    path: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], fps: float
) -> None:
    """Write pictures, (h, w, 3) uint8 of one size, as a film.

    Args:
        path: is written in place; make it with `unblind.files.atomic_path`.
        pictures: in order.
        size: width and height of the film, px, both even; pictures of another size are enlarged.
        fps: pictures a second.

    Raises:
        UnblindError: there is no ffmpeg, or it fails.
        OSError: the disk is full.
    """
    program = _program()
    frames = iter(pictures)
    first = next(frames)
    height, width = first.shape[:2]
    shape = ("-s", f"{width}x{height}", "-r", str(fps), "-i", "-")
    larger = ("-vf", f"scale={size[0]}:{size[1]}:flags=lanczos")
    command = (program, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24")
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, *shape, *larger, *_CODEC, str(path)], stdin=subprocess.PIPE, stderr=said
        )
        try:
            _feed(process.stdin, first, frames)
            failed = process.wait()
        finally:
            process.kill()
            process.wait()
        if failed:
            raise _explained(path, said)


def _program() -> str:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise UnblindError("there is no ffmpeg", _REMEDY) from None


def _feed(pipe: IO[bytes], first: np.ndarray, others: Iterable[np.ndarray]) -> None:
    """Send pictures until ffmpeg has all, or has ended for a reason of its own."""
    try:
        with pipe:
            pipe.write(first.tobytes())
            for picture in others:
                pipe.write(picture.tobytes())
    except BrokenPipeError:
        return


def _explained(path: Path, said: IO[bytes]) -> Exception:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines() or ["it says nothing"]
    if any("No space left" in line for line in lines):
        return OSError(f"No space left: {lines[-1]}")
    return UnblindError(f"ffmpeg cannot write {path}: {lines[-1]}", _REMEDY)
