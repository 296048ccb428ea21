"""Boards: drawn upright for the robot, in two looks, or the authors' own."""

import numpy as np
import pytest

from unblind.errors import UnblindError
from unblind.pictures.collages import held_out_style
from unblind.sim.builtin import BUILTIN
from unblind.sim.released import ReleasedCatalog
from unblind.think import boards, domains
from unblind.think.domains import DOMAINS
from unblind.think.episodes import decode

NAMES = sorted({(d.kind, d.drawing(concept)) for d in DOMAINS for concept in d.concepts
                if d.name != "color"})  # fmt: skip


def arrow_board(name):
    domain = domains.get("arrow")
    return boards.Board(name, None, "left", "arrow", name, "seen", domain.folder, 0)


@pytest.mark.parametrize("name, towards", [("up", (-1, 0)), ("down", (1, 0)), ("left", (0, -1)),
                                           ("right", (0, 1))])  # fmt: skip
def test_a_picture_is_upright_where_the_robot_looks_along_minus_x(name, towards):
    """An arrow's head is broader than its shaft: up is away from the robot, left is -y."""
    model = boards.model(arrow_board(f"arrow {name}"), BUILTIN)
    (top,) = [surface for surface in model.visual if surface.image is not None]
    ends = np.abs(top.vertices[:, 2]).max()
    assert ends == pytest.approx(0.003, abs=1e-6) and (top.vertices[:, 2] > 0).all()
    dark = top.image.astype(int).sum(-1) < 200
    v, u = (np.argwhere(dark).T + 0.5) / len(dark)
    # Where the texture's (u, v) lie on the board, from the corners that carry them.
    matrix = np.column_stack([top.uvs, np.ones(len(top.uvs))])
    to_xy, *_ = np.linalg.lstsq(matrix, top.vertices[:, :2], rcond=None)
    xy = np.column_stack([u, v, np.ones(len(u))]) @ to_xy
    along, across = xy @ np.array(towards), xy @ np.array(towards)[::-1]
    assert across[along > 0].std() > 1.3 * across[along < 0].std()
    assert abs(across.mean()) < 0.001 and np.ptp(along) > np.ptp(across)


@pytest.mark.parametrize("kind, name", NAMES)
def test_looks_differ_in_their_pixels(kind, name):
    color = "red" if kind == "shape" else None
    seen, unseen = (boards.picture(kind, name, color, style) for style in ("seen", "unseen"))
    differs = np.abs(seen.astype(int) - unseen).max(-1) > 16
    assert differs.mean() > 0.01, held_out_style(name).__name__
    assert np.array_equal(unseen, boards.picture(kind, name, color, "unseen")), "same bytes"


def test_a_drawing_can_be_told_from_its_board():
    for kind, name in NAMES:
        color = "yellow" if kind == "shape" else None
        for style in ("seen", "unseen"):
            shown = boards.picture(kind, name, color, style).astype(int)
            ground = shown[0, 0]
            assert (np.abs(shown - ground).sum(-1) > 60).mean() > 0.02, (name, style)


def test_equal_boards_are_one_model():
    one, other = decode("weather", 0), decode("weather", 0, swapped=True)
    models = [
        {board.name: boards.model(board, BUILTIN) for board in e.boards} for e in (one, other)
    ]
    assert models[0] == models[1]


def test_the_builtin_catalog_has_no_released_boards():
    board = decode("weather", 0, style="released").boards[0]
    with pytest.raises(UnblindError, match="none of the authors' boards"):
        boards.model(board, BUILTIN)


def test_released_boards_are_read_and_checked(released_assets):
    try:
        catalog = ReleasedCatalog(released_assets)
        found = [boards.model(board, catalog) for e in (decode("arrow", 0, style="released"),
                 decode("parity", 0, style="released")) for board in e.boards]  # fmt: skip
        pieces = [model.collision for model in found]
        meshes = [model.visual for model in found]
    except UnblindError as error:
        pytest.skip(f"not all released boards are there: {error}")
    names = [model.name for model in found]
    assert names == ["arrow down", "arrow left", "arrow right", "five", "eight"]
    assert all(len(piece) == 1 for piece in pieces)
    assert all(path.name == "textured.glb" for path in meshes)
    assert {model.density for model in found} == {6368.0}
