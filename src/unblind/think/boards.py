"""The boards: thin squares with a drawing on top, drawn here or read from the authors' files."""

import json
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np

from unblind.errors import UnblindError
from unblind.pictures import collages
from unblind.sim.builtin.primitives import fit, outline_rectangle, shell, slab
from unblind.sim.catalog import Catalog, Model
from unblind.sim.released import ReleasedCatalog, ReleasedModel
from unblind.think.domains import Kind, Place
from unblind.think.drawings import pad_of

#: ``seen`` is the plain drawing that the base's pictures show too, ``unseen`` the look that they
#: keep back of it (`unblind.pictures.collages.held_out_style`), ``released`` the authors' board.
Style = Literal["seen", "unseen", "released"]

#: Of every released board (``model_db.json``): lower and upper corner in m, and kg / m^3.
BBOX, DENSITY = ((-0.055, -0.055, -0.003), (0.055, 0.055, 0.003)), 6368.0
_PAPER, _GREY = (238, 236, 230), (118, 122, 128)
_SIDE, _SHARE = 160, 0.84  # px of a board's picture, and share of its side that the drawing takes


@dataclass(frozen=True)
class Board:
    """A board in its place.

    Attributes:
        concept: what the domain asks for.
        color: of a drawing in one colour, else None.
        place: left, center or right.
        kind, drawing: of the drawing (`unblind.think.drawings`).
        style: how it is drawn.
        folder, index: of the released board, its place in the folder's ``model_db.json``.
    """

    concept: str
    color: str | None
    place: Place
    kind: Kind
    drawing: str
    style: Style
    folder: str
    index: int

    @property
    def name(self) -> str:
        """What it shows: "red star", "ahead only sign"."""
        return f"{self.color} {self.drawing}" if self.color else self.drawing


def model(board: Board, catalog: Catalog) -> Model:
    """Return a board's model: of a size and density as released, its picture upright for the robot.

    Raises:
        UnblindError: the style is ``released`` and the catalog has none of the authors' files, or
            their list of boards is missing or differs.
    """
    if board.style != "released":
        return _drawn(board.kind, board.drawing, board.color, board.style)
    if not isinstance(catalog, ReleasedCatalog):
        raise UnblindError(
            "the built-in catalog has none of the authors' boards",
            "name their folder as 'catalog', or leave 'released' out of think.styles",
        )
    return _released(catalog, board.folder)[board.index]


@cache
def _released(catalog: ReleasedCatalog, folder: str) -> tuple[ReleasedModel, ...]:
    """Return the boards of a folder in released order; their files are checked on first use."""
    path = catalog.store.path(f"carrot/{folder}/model_db.json")
    rows = json.loads(path.read_text("utf-8")).items()
    return tuple(
        ReleasedModel(catalog.store, folder, f"shapes/{key}", index, row)
        for index, (key, row) in enumerate(rows)
    )


@cache
def _drawn(kind: str, drawing: str, color: str | None, style: Style) -> Model:
    """Return a board of ours; equal ones are one model, whose meshes are uploaded once."""
    image = picture(kind, drawing, color, style)
    edge = tuple(value / 255 for value in _ground(drawing, style))
    # A slab's picture has its left at -x and its upper edge at +y; the robot looks along -x.
    look = slab(
        outline_rectangle((-55, -55), (55, 55)), -3, 3, edge, np.ascontiguousarray(np.rot90(image))
    )
    part = fit(look + shell(look), BBOX)
    return Model(
        f"{color or ''} {drawing}".strip(), 0, "test", DENSITY, part.collision, part.visual
    )


def picture(kind: str, drawing: str, color: str | None, style: Style) -> np.ndarray:
    """Return what a board shows, (S, S, 3) uint8: a drawing on paper, or a sticker on grey."""
    pad = pad_of(kind, drawing, color).astype(np.float32)
    rng = np.random.default_rng(zlib.crc32(drawing.encode()))
    pad = _look(drawing, style)(pad, rng)
    inner = round(_SIDE * _SHARE)
    pad = cv2.resize(pad, (inner, inner), interpolation=cv2.INTER_AREA)
    edge = (_SIDE - inner) // 2
    around = (edge, _SIDE - inner - edge) * 2
    pad = cv2.copyMakeBorder(pad, *around, cv2.BORDER_CONSTANT, value=0)
    ground = np.array(_ground(drawing, style), np.float32)
    shown = pad[..., :3] + ground * (1 - pad[..., 3:] / 255)
    return shown.round().clip(0, 255).astype(np.uint8)


def _look(drawing: str, style: Style) -> collages.Style:
    return collages.held_out_style(drawing) if style == "unseen" else collages.plain


def _ground(drawing: str, style: Style) -> tuple[int, int, int]:
    """Return the board's own colour: white stickers would not show on paper."""
    return _GREY if _look(drawing, style) is collages.sticker else _PAPER
