"""The 14 conditions: the training distribution and the 13 columns of the paper's Table 1.

One table of literals says what each condition draws from. An episode id counts through the
product of these ranges (see :mod:`unblind.sim.episodes`); nothing here depends on a simulator.
Names are those of the authors' ``model_db.json`` files, their spelling ("zuchinni") included.
"""

import difflib
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from unblind.errors import UnblindError
from unblind.sim.catalog import Split

Suite = Literal["in-distribution", "semantic", "vision", "execution"]
Region = Literal["none", "robot_and_objects", "frame"]
Places = Literal["inner", "outer", "inner_third_object", "inner_third_plate"]

# fmt: off
#: The 25 objects; 0 to 15 are seen in training.
OBJECTS = (
    "carrot", "kitchen shovel", "bread", "plastic bottle", "7up can", "zuchinni",
    "ketchup bottle", "watering can", "pipe", "toy bear", "fast food cup", "plant", "banana",
    "hamburger", "golf ball", "BBQ sauce",
    "travel cup", "pepper", "nonstop can", "potato", "baguette", "champagne glass",
    "kitchen spoon", "onion", "cup",
)
#: The 17 plates; only the first is seen in training.
PLATES = (
    "plate",
    "cloth", "carpet", "newspaper", "sheet metal", "drawing tablet", "tomato slice", "pizza",
    "flat bowl", "gramophone disk", "frying pan", "mouse pad", "cutting board", "chess board",
    "manhole cover", "envelope", "notepad",
)
#: The 21 table photos; 0 to 15 are seen in training. The released "name" where it is unique
#: (eight photos are all called "table"), the file's stem without its number otherwise.
TABLES = (
    "table_simpler", "blue plastic table", "TV cabinet", "picnic table", "dest", "table_1",
    "yellow desk", "table_2", "table_3", "table_4", "table_5", "pink table", "table_6",
    "grass table", "table_7", "coloful desk",
    "glass table", "green table", "pink desk", "stone table", "dining table",
)
# fmt: on
#: One texture per table photo.
TEXTURES = tuple(f"{number:03d}.png" for number in range(1, 22))

#: Instructions. 0 is the training template, 1 to 16 are those of Instruct. (The released list
#: holds four more that no split draws.)
TEMPLATES = (
    "put {object} on {plate}",
    "Place the {object} on the {plate}",
    "set {object} on {plate}",
    "move the {object} to the {plate}",
    "Take the {object} and put it on the {plate}",
    "pick up {object} and set it down on {plate}",
    "please put the {object} on the {plate}",
    "Put {object} onto {plate}.",
    "place the {object} onto the {plate} surface",
    "Make sure {object} is on {plate}.",
    "on the {plate}, put the {object}",
    "put the {object} where the {plate} is",
    "Move the {object} from the table to the {plate}",
    "Move {object} so it\N{RIGHT SINGLE QUOTATION MARK}s on {plate}.",
    "Can you put {object} on {plate}?",
    "{object} on the {plate}, please.",
    "the {object} should be placed on the {plate}.",
)

#: Rows of the position tables (built in unblind.sim.episodes from the released limits).
PLACE_ROWS: dict[Places, int] = {
    "inner": 784,
    "outer": 628,
    "inner_third_object": 2104,
    "inner_third_plate": 2104,
}
#: Rows of the table of initial joint offsets without its first, all-zero training row.
JOINT_ROWS = 14375


@dataclass(frozen=True)
class Space:
    """What one split of a condition draws from; the defaults are the training distribution.

    Attributes:
        objects: indices of target objects.
        templates: indices into ``TEMPLATES``.
        textures: indices of overlaid textures; None: no overlay.
        joint_rows: rows of the joint-offset table; row 0 is zero.
        distractors: indices a second object is drawn from (never the target); None: none.
        plates: indices of target plates.
        distractor_plates: the same for a second plate.
        tables: indices of table photos.
        places: name of the position table.
        yaws_deg: yaws of the object in degrees.
        overlay_region: where the texture is blended.
        overlay_alpha: weight of the texture. The release multiplies it by the texture's ``mix``,
            which is 1 for every texture drawn here.
        teleport_step: the object jumps to the third position once this many steps are done.
    """

    objects: range = range(16)
    templates: range = range(1)
    textures: range | None = None
    joint_rows: range = range(1)
    distractors: range | None = None
    plates: range = range(1)
    distractor_plates: range | None = None
    tables: range = range(16)
    places: Places = "inner"
    yaws_deg: tuple[float, ...] = (0.0, 45.0, 90.0, 135.0)
    overlay_region: Region = "none"
    overlay_alpha: float = 0.0
    teleport_step: int | None = None

    def digits(self) -> dict[str, int]:
        """Return the sizes of an id's mixed-radix digits, most significant first.

        Each condition of the release has one factor between object and plate (distractor plates
        come after the plate), so one order with sizes of 1 for what is absent covers them all.
        """
        return {
            "object": len(self.objects),
            "template": len(self.templates),
            "texture": len(self.textures) if self.textures else 1,
            "joint": len(self.joint_rows),
            "distractor": len(self.distractors) - 1 if self.distractors else 1,
            "plate": len(self.plates),
            "distractor_plate": len(self.distractor_plates) - 1 if self.distractor_plates else 1,
            "table": len(self.tables),
            "place": PLACE_ROWS[self.places],
            "yaw": len(self.yaws_deg),
        }

    @property
    def size(self) -> int:
        """Number of episodes; beyond 32 bits for EEPose."""
        return math.prod(self.digits().values())


@dataclass(frozen=True)
class Condition:
    """One column of Table 1, or the training distribution.

    Attributes:
        name: how the condition is called here.
        suite: its group in Table 1.
        column: its heading in Table 1.
        released_env: id of the released environment.
        factors: what differs from training in the evaluation split.
        evaluation: what the evaluation split draws from.
        training: what split ``train`` draws from.
        split: the split that is evaluated.
    """

    name: str
    suite: Suite
    column: str
    released_env: str
    factors: tuple[str, ...]
    evaluation: Space
    training: Space = field(default_factory=Space)
    split: Split = "test"

    def resolve(self, split: Split) -> Split:
        """Return the split that is really meant: in distribution has the training split alone.

        Raises:
            UnblindError: ``split`` is neither train nor test.
        """
        if split not in ("train", "test"):
            raise UnblindError(f"unknown split {split!r}", "choose train or test")
        return "train" if self.split == "train" else split

    def space(self, split: Split) -> Space:
        """Return what ``split`` draws from."""
        return self.training if self.resolve(split) == "train" else self.evaluation


_ENV = "PutOnPlateInScene25"
_UNSEEN_OBJECTS, _UNSEEN_PLATES, _UNSEEN_TABLES = range(16, 25), range(1, 17), range(16, 21)
_TEXTURES = range(1, 17)  # drawn from files 002 to 017: 15 seen tables' textures and one unseen
_ALL_TABLES = range(21)  # MultiPlate draws all photos, in training too
_OUTER_YAWS = (-22.5, -67.5, -112.5, -157.5)


def _overlay(region: Region, alpha: float) -> Space:
    return Space(textures=_TEXTURES, overlay_region=region, overlay_alpha=alpha)


# fmt: off
#: In the paper's order; the training distribution comes first.
CONDITIONS: tuple[Condition, ...] = (
    Condition("in_distribution", "in-distribution", "ID", f"{_ENV}Main-v3", (), Space(),
              split="train"),
    Condition("carrot", "semantic", "Carrot", f"{_ENV}Carrot-v1", ("object",),
              Space(objects=_UNSEEN_OBJECTS)),
    Condition("instruct", "semantic", "Instruct", f"{_ENV}Instruct-v1", ("instruction",),
              Space(templates=range(1, 17))),
    Condition("multi_carrot", "semantic", "MultiCarrot", f"{_ENV}MultiCarrot-v1",
              ("object", "distractor"),
              Space(objects=_UNSEEN_OBJECTS, distractors=_UNSEEN_OBJECTS,
                    places="inner_third_object"),
              Space(distractors=range(16), places="inner_third_object")),
    Condition("multi_plate", "semantic", "MultiPlate", f"{_ENV}MultiPlate-v1",
              ("plate", "distractor_plate", "table"),
              Space(plates=_UNSEEN_PLATES, distractor_plates=_UNSEEN_PLATES, tables=_ALL_TABLES,
                    places="inner_third_plate"),
              Space(distractor_plates=range(17), tables=_ALL_TABLES,
                    places="inner_third_plate")),
    Condition("plate", "semantic", "Plate", f"{_ENV}Plate-v1", ("plate",),
              Space(plates=_UNSEEN_PLATES)),
    Condition("vision_image", "vision", "VisionImg", f"{_ENV}VisionImage-v1", ("table",),
              Space(tables=_UNSEEN_TABLES)),
    Condition("texture_03", "vision", "Tex03", f"{_ENV}VisionTexture03-v1", ("texture",),
              _overlay("robot_and_objects", 0.3)),
    Condition("texture_05", "vision", "Tex05", f"{_ENV}VisionTexture05-v1", ("texture",),
              _overlay("robot_and_objects", 0.5)),
    Condition("whole_03", "vision", "Whole03", f"{_ENV}VisionWhole03-v1", ("texture",),
              _overlay("frame", 0.3)),
    Condition("whole_05", "vision", "Whole05", f"{_ENV}VisionWhole05-v1", ("texture",),
              _overlay("frame", 0.5)),
    Condition("position", "execution", "Position", f"{_ENV}Position-v1", ("position", "yaw"),
              Space(places="outer", yaws_deg=_OUTER_YAWS)),
    Condition("ee_pose", "execution", "EEPose", f"{_ENV}EEPose-v1", ("joint_offset",),
              Space(joint_rows=range(1, JOINT_ROWS + 1))),
    Condition("position_change_to", "execution", "PosChangeTo", f"{_ENV}PositionChangeTo-v1",
              ("teleport",),
              Space(places="inner_third_object", teleport_step=5),
              Space(places="inner_third_object")),
)
# fmt: on

_BY_KEY = {
    key.casefold(): condition
    for condition in CONDITIONS
    for key in (
        condition.name,
        condition.name.replace("_", "-"),
        condition.column,
        condition.released_env,
    )
}


def get(key: "str | Condition") -> Condition:
    """Return the condition called ``key``: its name, column heading or released environment id.

    Case does not matter and "-" may stand for "_". The release evaluates in distribution with
    the Carrot environment's train split; here the Carrot id always means ``carrot``, and its
    train split has the same ids as ``in_distribution``.

    Raises:
        UnblindError: there is no such condition.
    """
    if isinstance(key, Condition):
        return key
    found = _BY_KEY.get(str(key).casefold())
    if found is None:
        close = difflib.get_close_matches(str(key).casefold(), _BY_KEY, n=1, cutoff=0.6)
        hint = f"did you mean {_BY_KEY[close[0]].name}? " if close else ""
        names = ", ".join(condition.name for condition in CONDITIONS)
        raise UnblindError(f"unknown condition {key!r}", f"{hint}choose one of {names}")
    return found


def to_json(condition: Condition) -> dict[str, Any]:
    """Return a condition as plain types; ``episodes`` is the size of its evaluation split."""
    keys = ("name", "suite", "column", "released_env", "split")
    values = asdict(condition)
    return {key: values[key] for key in keys} | {
        "episodes": condition.evaluation.size,
        "factors": list(condition.factors),
    }
