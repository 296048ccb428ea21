"""Frozen vision teachers by name."""

from collections.abc import Callable

from unblind.errors import UnblindError
from unblind.teachers.base import Teacher


def _lite(name: str, net: str, blocks: int) -> Callable[[bool], Teacher]:
    """Return a factory (interpolate -> teacher); weights are read when it is called."""

    def make(interpolate: bool) -> Teacher:
        from unblind.teachers.lite import LiteTeacher

        return LiteTeacher(name, net, blocks, least=64, most=512, interpolate=interpolate)

    return make


TEACHERS: dict[str, Callable[[bool], Teacher]] = {
    name: _lite(name, net, blocks)
    for name, net, blocks in (
        # Stride 32: 8 x 8 tokens from 256 px. The blocks behind these name things worse again.
        ("lite2", "lite2", 17),
        ("lite1", "lite1", 17),
        # Stride 16: 8 x 8 tokens from 128 px, a tenth of the cost.
        ("lite2-128", "lite2", 9),
    )
}
"""Name -> factory of (interpolate).

How well the token over a thing names it (ridge regression on 1,600 still lifes of 42 things at
128 x 96 px, the table photos held out in three folds): lite2 82 %, lite2-128 74 %; beside
them the student's trunk (EfficientNet-Lite0, 11 blocks) 67 %, pixels of the cell 19 %.
"""


def load_teacher(name: str, interpolate: bool = False) -> Teacher:
    """Return the teacher ``name``, its weights loaded.

    Args:
        name: a key of ``TEACHERS``.
        interpolate: meet a grid that the teacher cannot give by interpolating its features.

    Raises:
        UnblindError: there is no such teacher, or its weights are missing or altered.
    """
    if name not in TEACHERS:
        raise UnblindError(f"no teacher called {name!r}", f"use {', '.join(sorted(TEACHERS))}")
    return TEACHERS[name](interpolate)
