"""The eight domains of VL-Think as one table: what boards show and how the robot is told.

Names, orders, templates and sizes are those of the released environments and of their
``model_db.json`` files (``put_on_in_scene_multi.py``).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from unblind.errors import UnblindError, near
from unblind.pictures.scenes import COLORS
from unblind.sim import conditions

Kind = Literal["shape", "icon", "sign", "arrow", "number"]
Place = Literal["left", "center", "right"]

#: The board's y in m by place, as the camera sees it: world -y is on its left.
PLACES: Mapping[Place, float] = {"left": -0.155, "center": 0.0, "right": 0.155}
#: Spawn positions in m: the carrot's, and x and z of the boards'. Everything drops onto the table.
OBJECT_XYZ, BOARD_X, DROP_Z = (-0.10, 0.0, 1.0), -0.25, 1.0

# fmt: off
SHAPES = (
    "trapezoid", "triangle", "right_triangle", "rectangle", "square", "parallelogram", "pentagon",
    "hexagon", "heptagon", "circle", "heart", "star", "arrow", "cross",
)
_TRAFFIC = (
    "ahead only", "falling rocks", "loose chippings", "max speed", "minimum speed", "no U-turn",
    "no entry", "no left turn", "no overtaking", "no right turn", "no stopping", "no through road",
    "no waiting", "road narrows right", "road works", "roundabout", "sharp route deviation",
    "steep downwards", "steep upwards", "stop give way", "turn left ahead", "uneven road",
    "wild animals", "yield",
)
_LAUNDRY = (
    "any solvent", "bleach allowed", "cold wash", "do not bleach", "do not dryclean", "do not iron",
    "do not wash", "dryclean", "hand wash", "hot wash", "iron", "machine wash delicate",
    "machine wash permanent press", "machine wash", "non chlorine bleach", "warm wash",
    "wet cleaning",
)
_WEATHER = (
    "clear night", "cloudy", "rainy", "snowing", "storm", "sunny", "sunrise", "windy",
    "windy and cloudy",
)
_PUBLIC_INFO = (
    "disabled access", "escalator", "fire escape", "hairdresser", "information", "no dogs",
    "no entry", "no parking", "no smoking", "recycle", "stairs", "taxi", "telephone", "toilets",
)
_ARROWS = ("arrow down", "arrow left", "arrow right", "arrow up")
_NUMBERS = ("8", "5", "4", "1", "7", "6", "3", "2")
# fmt: on


@dataclass(frozen=True)
class Domain:
    """One domain: what is to be known.

    Attributes:
        name: how it is called here.
        column: its heading in the paper's Table 2.
        released_env: id of the released environment.
        concepts: what boards show, in released order.
        template: instruction in the released code (the paper's text phrases it otherwise).
        kind: of the drawings.
        folder: of the released boards, below ``carrot``.
        places: of the boards, from left to right.
    """

    name: str
    column: str
    released_env: str
    concepts: tuple[str, ...]
    template: str
    kind: Kind
    folder: str
    places: tuple[Place, ...] = tuple(PLACES)

    def digits(self) -> dict[str, int]:
        """Return the sizes of an id's mixed-radix digits, most significant first.

        ``concept_k`` counts among the concepts that the boards before the k-th have left;
        ``other_k`` is what the domain does not ask for: the colour of a shape, the shape of a
        colour. In Parity the place of the target stands between the odd and the even number.
        """
        ends = {"target": len(self.places), "table": len(conditions.TABLES)}
        if self.name == "parity":
            return {"odd": 4, "target": 2, "even": 4, "table": ends["table"]}
        concepts = {f"concept_{k}": len(self.concepts) - k for k in range(len(self.places))}
        if self.name == "color":
            return concepts | {f"other_{k}": len(SHAPES) for k in range(3)} | ends
        if self.name == "shape":
            pairs = ((f"concept_{k}", f"other_{k}") for k in range(3))
            order = [name for pair in pairs for name in pair]
            return {name: concepts.get(name, len(COLORS)) for name in order} | ends
        return concepts | ends

    @property
    def size(self) -> int:
        """Number of episodes; ids are 0 to this minus 1."""
        return math.prod(self.digits().values())

    def drawing(self, concept: str) -> str:
        """Return what the drawing of a concept is called among the base's pictures."""
        if self.kind == "number":
            return f"number {concept}"
        return f"{concept} {self.kind}" if self.kind in ("icon", "sign") else concept


_PUT = "put carrot on {concept}"
# fmt: off
#: In the order of the released code.
DOMAINS: tuple[Domain, ...] = (
    Domain("shape", "Shape", "PutOnShapeInSceneMultiColor-v1", SHAPES, _PUT, "shape",
           "more_shape"),
    Domain("color", "Color", "PutOnColorInSceneMulti-v1", COLORS, _PUT, "shape", "more_shape"),
    Domain("traffic", "Traffic", "PutOnSignTrafficInSceneMulti-v1", _TRAFFIC, f"{_PUT} sign",
           "sign", "more_traffic"),
    Domain("laundry", "Laundry", "PutOnLaundryIconInSceneMulti-v1", _LAUNDRY, f"{_PUT} icon",
           "icon", "more_laundry"),
    Domain("weather", "Weather", "PutOnWeatherIconInSceneMulti-v1", _WEATHER, f"{_PUT} icon",
           "icon", "more_weather"),
    Domain("arrow", "Arrow", "PutOnArrowSignInSceneMulti-v1", _ARROWS, f"{_PUT} sign", "arrow",
           "more_arrows"),
    Domain("public_info", "PublicInfo", "PutOnPublicInfoSignInSceneMulti-v1", _PUBLIC_INFO,
           f"{_PUT} sign", "sign", "more_public_info"),
    Domain("parity", "Parity", "PutOnNumberInSceneParity-v1", _NUMBERS, f"{_PUT} number",
           "number", "more_numbers", ("left", "right")),
)
# fmt: on

_BY_KEY = {
    key.casefold(): domain
    for domain in DOMAINS
    for key in (domain.name, domain.name.replace("_", "-"), domain.column, domain.released_env)
}


def get(key: str | Domain) -> Domain:
    """Return the domain called ``key``: its name, column heading or released environment id.

    Raises:
        UnblindError: there is no such domain.
    """
    if isinstance(key, Domain):
        return key
    found = _BY_KEY.get(str(key).casefold())
    if found is None:
        names = ", ".join(domain.name for domain in DOMAINS)
        cause = f"unknown domain {key!r}{near(str(key).casefold(), _BY_KEY)}"
        raise UnblindError(cause, f"choose one of {names}")
    return found
