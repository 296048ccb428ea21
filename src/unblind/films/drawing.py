"""What films and sheets are drawn with: text, marks, panels side by side, maps laid over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Colours of text and marks, RGB; those of success and failure differ in lightness, too.
INK, PAPER, FAINT = (25, 25, 25), (255, 255, 255), (110, 110, 110)
WON, LOST = (0, 150, 80), (190, 190, 190)
#: What stands beside an episode that ended or not.
MARKS = {True: "success", False: "no success"}
_GAP, _BORDER, _BAR = 8, 4, 96
#: A font's size by a panel's width.
_TEXT = 0.042


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib brings along, at a size in px."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def fitted(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """Return a text, or as much of its beginning as fits into a width in px."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text.rstrip()}..."


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Return a text in lines that fit into a width in px; a longer word is cut off."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(fitted(word, face, width))
    return lines


def enlarged(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture at a size (width, height) in px."""
    if picture.shape[1::-1] == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_LANCZOS4)


def framed(picture: np.ndarray, won: bool) -> np.ndarray:
    """Return a picture with a border that says whether it shows a success."""
    thick = (_BORDER,) * 4
    return cv2.copyMakeBorder(picture, *thick, cv2.BORDER_CONSTANT, value=WON if won else LOST)


def covered(picture: np.ndarray, values: np.ndarray, top: float) -> np.ndarray:
    """Return a picture with a map laid over it, in the colours of Figure 4.

    Where the map is 0 the picture is left as it is, so that a film still shows what happens there;
    from there on it is covered the more, at most as much as in the figure.

    Args:
        picture: (H, W, 3) uint8.
        values: (rows, columns), the map, which spans the whole picture.
        top: the value of the lightest colour; larger ones have it, too.
    """
    from unblind.report.attention_figure import COVER

    shares = np.clip(values / top, 0, 1)
    size, blocks = picture.shape[1::-1], cv2.INTER_NEAREST
    tint = cv2.resize(colours(shares), size, interpolation=blocks)
    weight = cv2.resize(COVER * np.sqrt(shares), size, interpolation=blocks)[..., None]
    return np.round(picture + weight * (tint.astype(float) - picture)).astype(np.uint8)


def colours(shares: np.ndarray) -> np.ndarray:
    """Return the colours of numbers from 0 to 1, of any shape, as uint8 RGB."""
    import matplotlib

    from unblind.report.attention_figure import COLOURS

    return matplotlib.colormaps[COLOURS](np.clip(shares, 0, 1), bytes=True)[..., :3]


@dataclass(frozen=True)
class Shown:
    """A panel at one moment: its picture, what stands at its upper right, and its mark.

    Attributes:
        picture: (H, W, 3) uint8.
        told: the step.
        won: whether the object is on the plate.
    """

    picture: np.ndarray
    told: str
    won: bool


class Board:
    """Panels side by side, with the instruction above them all; only the panels ever change.

    Args:
        heading: what the robot is told.
        labels: of the panels.
        size: width and height of a panel's picture, px.
        top: the largest value of maps, in multiples of an even one; None where there are none.
        layer: of the decoder, whose maps they are.
    """

    def __init__(
        self,
        heading: str,
        labels: Sequence[str],
        size: tuple[int, int],
        top: float | None = None,
        layer: int = 0,
    ) -> None:
        self._size, self._labels = size, labels
        letter = max(11, round(_TEXT * size[0]))
        self._line = round(1.8 * letter)
        self._plain, self._bold = font(letter), font(letter, bold=True)
        across = len(labels) * (size[0] + 2 * _BORDER + _GAP) + _GAP
        told = wrapped(f'"{heading}"', self._bold, across - 2 * _GAP)
        legend = [] if top is None else self._legend(across, top, layer)
        self._above = round((len(told) + 0.5) * self._line)
        below = self._above + round(1.5 * self._line) + size[1] + 2 * _BORDER + _GAP
        down = below + len(legend) * self._line
        self.size = (across + across % 2, down + down % 2)
        self._empty = Image.new("RGB", self.size, PAPER)
        draw = ImageDraw.Draw(self._empty)
        for number, line in enumerate(told):
            middle = (across / 2, (number + 0.8) * self._line)
            draw.text(middle, line, INK, self._bold, anchor="mm")
        for number, line in enumerate(legend):
            middle = below + (number + 0.2) * self._line
            draw.text((_GAP + _BAR + _GAP, middle), line, INK, self._plain, anchor="lm")
        if legend:
            bar = colours(np.tile(np.linspace(0, 1, _BAR), (round(0.5 * self._line), 1)))
            self._empty.paste(Image.fromarray(bar), (_GAP, round(below - 0.05 * self._line)))

    def _legend(self, across: int, top: float, layer: int) -> list[str]:
        """Return in lines what stands beside the scale of the maps."""
        text = (
            f"0 to {top:.0f} times an even map: attention of the instruction's last token, "
            f"layer {layer}"
        )
        return wrapped(text, self._plain, across - _BAR - 3 * _GAP)

    def picture(self, panels: Sequence[Shown]) -> np.ndarray:
        """Return the board with these panels, (height, width, 3) uint8."""
        board = self._empty.copy()
        draw = ImageDraw.Draw(board)
        step = self._size[0] + 2 * _BORDER + _GAP
        for number, panel in enumerate(panels):
            left, above = _GAP + number * step, self._above
            right, middle = left + step - _GAP, above + 0.5 * self._line
            draw.text((right, middle), panel.told, FAINT, self._plain, anchor="rm")
            room = step - _GAP - self._plain.getlength(f"{panel.told}  ")
            name = fitted(self._labels[number], self._bold, room)
            draw.text((left, middle), name, INK, self._bold, anchor="lm")
            place = (left, round(above + self._line))
            board.paste(Image.fromarray(framed(panel.picture, panel.won)), place)
            if panel.won:
                self._tag(draw, place)
        return np.asarray(board)

    def _tag(self, draw: ImageDraw.ImageDraw, place: tuple[int, int]) -> None:
        """Write into a panel's corner that it shows a success."""
        word = MARKS[True]
        width = self._bold.getlength(word) + 2 * _GAP
        box = (*place, place[0] + width, place[1] + self._line)
        draw.rectangle(box, fill=WON)
        middle = (place[0] + _GAP, place[1] + self._line / 2)
        draw.text(middle, word, PAPER, self._bold, anchor="lm")
