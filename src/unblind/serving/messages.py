"""The messages between a benchmark and a policy, as vla-eval 0.8 speaks them (protocol version 1).

A message is MessagePack of ``type``, ``payload``, ``seq`` and ``timestamp``. The benchmark says
``hello`` and is answered in kind; then ``episode_start``, ``observation`` for every step, each
answered by an ``action`` with the same ``seq``, and ``episode_end``. ``error`` tells in words what
went wrong. Arrays are dictionaries with a marker, their bytes, type and shape.
"""

import io
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from unblind.serving.msgpack import Malformed, pack, unpack
from unblind.vla.tokens import ACTION_WIDTH

VERSION = 1
Kind = Literal["hello", "observation", "action", "episode_start", "episode_end", "error"]
#: Longest text of the other side that is shown.
_SHOWN = 200
#: Longest side of a picture, px.
_SIDE = 4096
_ARRAY, _PICTURE = "__ndarray__", "__image__"
_FLOATS = ("<f4", "<f8")


@dataclass(frozen=True)
class Message:
    """What one side says.

    Attributes:
        kind: which message it is.
        payload: its content.
        seq: its number; an answer has that of what it answers.
    """

    kind: Kind
    payload: dict[str, Any]
    seq: int


def encode(message: Message) -> bytes:
    """Return a message as it is sent."""
    return pack(
        {
            "type": message.kind,
            "payload": message.payload,
            "seq": message.seq,
            "timestamp": time.time(),
        }
    )


def decode(data: bytes) -> Message:
    """Return the message that was sent.

    Raises:
        Malformed: it is none.
    """
    found = unpack(data)
    if not isinstance(found, dict):
        raise Malformed("it is no dictionary")
    kind, payload, seq = (found.get(name) for name in ("type", "payload", "seq"))
    if kind not in get_args(Kind):
        raise Malformed(f"its type is {shown(kind)}")
    if not isinstance(payload, dict) or type(seq) is not int:
        raise Malformed("its payload is no dictionary, or its seq no whole number")
    return Message(kind, payload, seq)


def shown(value: object) -> str:
    """Return what the other side has said as one line that a terminal can show."""
    text = value if isinstance(value, str) else repr(value)
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * _SHOWN])
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def array(values: np.ndarray) -> dict[str, Any]:
    """Return an array as a message holds it."""
    data = np.ascontiguousarray(values)
    shape = list(data.shape)
    return {_ARRAY: True, "data": data.tobytes(), "dtype": data.dtype.str, "shape": shape}


def read_action(payload: dict[str, Any]) -> np.ndarray:
    """Return the (7,) float32 action of a message ``action``.

    Raises:
        Malformed: there is none, or it has another shape or type, or a number is not finite.
    """
    found = payload.get("actions")
    if not isinstance(found, dict) or _ARRAY not in found:
        raise Malformed("it holds no array 'actions'")
    kind, shape, data = (found.get(name) for name in ("dtype", "shape", "data"))
    if shape != [ACTION_WIDTH]:
        raise Malformed(f"its action has the shape {shown(shape)} instead of [{ACTION_WIDTH}]")
    if kind not in _FLOATS:
        raise Malformed(f"its action has the type {shown(kind)} instead of {_FLOATS[0]}")
    if not isinstance(data, bytes) or len(data) != ACTION_WIDTH * np.dtype(kind).itemsize:
        raise Malformed("its action has another size than it says")
    action = np.frombuffer(data, kind)
    if not np.isfinite(action).all():
        raise Malformed(f"its action holds numbers that are not finite: {action.tolist()}")
    return action.astype(np.float32)


def read_picture(payload: dict[str, Any]) -> np.ndarray | None:
    """Return the first picture of a message ``observation``, (H, W, 3) uint8 RGB; None without one.

    Raises:
        Malformed: it is no such picture, or larger than 4096 px.
    """
    images = payload.get("images")
    if not images:
        return None
    if not isinstance(images, dict):
        raise Malformed("its 'images' is no dictionary")
    found = next(iter(images.values()))
    if not isinstance(found, dict) or not found.keys() & {_ARRAY, _PICTURE}:
        raise Malformed("its picture is no array")
    if found.get("format") in ("png", "jpeg"):
        picture = _compressed(found)
    else:
        picture = _raw(found)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise Malformed(f"its picture has the shape {picture.shape} instead of (H, W, 3)")
    return picture


def _raw(found: dict[str, Any]) -> np.ndarray:
    kind, shape, data = (found.get(name) for name in ("dtype", "shape", "data"))
    if kind != "|u1" or not isinstance(data, bytes) or not isinstance(shape, list):
        raise Malformed("its picture is not of bytes")
    if len(shape) != 3 or not all(type(side) is int and 0 < side <= _SIDE for side in shape):
        raise Malformed(f"its picture has the shape {shown(shape)}")
    if len(data) != int(np.prod(shape)):
        raise Malformed("its picture has another size than it says")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _compressed(found: dict[str, Any]) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(found["data"]), formats=("PNG", "JPEG")) as opened:
            if max(opened.size) > _SIDE:
                raise Malformed(f"its picture has {opened.size[0]} x {opened.size[1]} px")
            return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, KeyError, TypeError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed("its picture is unreadable") from None
