"""Episode ids: what a 64-bit number means in a condition, as a pure function.

An id counts through the product of everything its condition draws from, in the order of the
release (most significant first: object, the condition's own factor, plate, table, position,
yaw), so the same id is the same episode there and here.

Two fidelities. ``corrected`` (the default) refuses ids outside the space and never lets a
target be its own distractor. ``released`` wraps ids around the space and repeats the release's
MultiCarrot defect: it adds the split's offset before taking the modulo, so 9 of the 72
target-distractor pairs of the test split are the target twice.
"""

import hashlib
import operator
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from unblind.errors import UnblindError
from unblind.sim import conditions
from unblind.sim.catalog import Catalog, Model, Split
from unblind.sim.conditions import Condition, Places, Region, Space

Fidelity = Literal["corrected", "released"]
Purpose = Literal[
    "evaluation", "validation", "demos-train", "demos-held-out", "pretraining", "warm-up"
]
Xyz = tuple[float, float, float]

#: The test row of EEPose whose joint offsets are all zero: the training pose.
UNSHIFTED_JOINT_ROW = 7188

_CENTER, _HALF_EDGE = (-0.16, 0.0), 0.075  # m; the grid's, from the released environments
# Least distances in m (strict) of object-plate, plate-third, object-third, and spawn heights in
# m of object, plate, third; from the released environments' position tables.
_LIMITS: dict[Places, tuple[float, ...]] = {
    "inner": (0.070,),
    "outer": (0.070,),
    "inner_third_object": (0.070, 0.070, 0.15),
    "inner_third_plate": (0.070, 0.150, 0.070),
}
_HEIGHTS: dict[Places, tuple[float, ...]] = {
    "inner": (0.95, 0.95),
    "outer": (0.95, 0.95),
    "inner_third_object": (0.95, 0.92, 1.0),
    "inner_third_plate": (1.0, 0.92, 0.96),
}
_SMALL, _WIDE = (-0.15, -0.08, 0.0, 0.08, 0.15), (-0.6, -0.3, 0.0, 0.3, 0.6)  # rad
_MAX_SHOULDER_PLUS_ELBOW = 0.25  # rad


@dataclass(frozen=True)
class Episode:
    """One initial state, ready to be built.

    What a condition does not have is None. All indices are the release's (positions in its
    ``model_db.json`` files, templates, position and joint tables; ``place_index`` and
    ``yaw_index`` count within the split).

    Attributes:
        condition: name of the condition.
        split: the split that was decoded.
        fidelity: corrected or released.
        episode_id: the id as given.
        index: the id within the space (differs from ``episode_id`` where the release wraps).
        object: the object to move.
        distractor: a second object; it has the object's yaw and stands at ``third_xyz``.
        plate: where the object goes; plates are never turned.
        distractor_plate: a second plate, at ``third_xyz``.
        table: the table photo.
        texture: the overlaid texture.
        object_xyz: spawn position in m (world), from which the object drops onto the table.
        plate_xyz: the same for the plate.
        third_xyz: the same for the distractor or, with ``teleport_step``, the place the object
            jumps to.
        yaw_deg: the object's yaw in degrees.
        joint_offset: (8,) rad, added to the robot's initial joint positions (6 arm, 2 fingers).
        teleport_step: number of steps after which the object jumps.
        overlay_alpha: weight of the texture; 0 without one.
        overlay_region: where the texture is blended.
        instruction: what the robot is told.
    """

    condition: str
    split: Split
    fidelity: Fidelity
    episode_id: int
    index: int
    object: str
    distractor: str | None
    plate: str
    distractor_plate: str | None
    table: str
    texture: str | None
    object_xyz: Xyz
    plate_xyz: Xyz
    third_xyz: Xyz | None
    yaw_deg: float
    joint_offset: tuple[float, ...]
    teleport_step: int | None
    overlay_alpha: float
    overlay_region: Region
    instruction: str
    object_index: int
    distractor_index: int | None
    plate_index: int
    distractor_plate_index: int | None
    table_index: int
    texture_index: int | None
    template_index: int
    joint_row: int
    place_index: int
    yaw_index: int

    @property
    def self_distractor(self) -> bool:
        """Whether target and distractor are one actor (released fidelity of MultiCarrot only).

        It then stands at the third position, dropped from the distractor's height.
        """
        return self.distractor_index == self.object_index

    def cast(self, catalog: Catalog) -> list[tuple[str, Model, np.ndarray]]:
        """Return role, model and spawn position (3,) in m of everything that stands on the table.

        ``object`` is to be moved, onto ``plate``; but for these and ``distractor``, which is turned
        as the object is, all roles are of further plates.
        """
        objects, plates = catalog.objects, catalog.plates
        extra = None if self.self_distractor else self.distractor_index
        wanted = [
            ("object", objects, self.object_index, self.object_xyz),
            ("plate", plates, self.plate_index, self.plate_xyz),
            ("distractor", objects, extra, self.third_xyz),
            ("distractor_plate", plates, self.distractor_plate_index, self.third_xyz),
        ]
        return [
            (role, models[index], np.array(xyz))
            for role, models, index, xyz in wanted
            if index is not None
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the episode as plain types (tuples become lists)."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def decode(
    condition: str | Condition,
    episode_id: int,
    split: Split = "test",
    fidelity: Fidelity = "corrected",
) -> Episode:
    """Return the episode that ``episode_id`` names in ``condition``.

    In distribution has one space, the training one: both values of ``split`` mean it, and the
    episode says ``train``. EEPose keeps the release's 14,375 offset rows in both fidelities so
    that ids mean the same; the one row without an offset is left out of evaluation by
    :func:`sample_ids`.

    Raises:
        UnblindError: unknown condition, split or fidelity; the id is no integer or, in
            corrected fidelity, outside the space.
    """
    condition = conditions.get(condition)
    split = condition.resolve(split)
    space = condition.space(split)
    index = index_of(condition.name, episode_id, space.size, fidelity)
    numbers = _indices(space, _split_digits(index, space), fidelity)
    return Episode(
        condition=condition.name,
        split=split,
        fidelity=fidelity,
        episode_id=operator.index(episode_id),
        index=index,
        **_names(numbers),
        **_placement(space, numbers),
        teleport_step=space.teleport_step,
        overlay_alpha=space.overlay_alpha,
        overlay_region=space.overlay_region,
        **numbers,
    )


def space_size(condition: str | Condition, split: Split = "test") -> int:
    """Return how many episodes a split has; ids are 0 to this minus 1."""
    return conditions.get(condition).space(split).size


def sample_ids(
    condition: str | Condition,
    n: int,
    seed: int,
    split: Split = "test",
    *,
    purpose: Purpose = "evaluation",
    fidelity: Fidelity = "corrected",
    fixed: Mapping[str, int] | None = None,
) -> list[int]:
    """Draw ``n`` different episode ids; the first k of n are the list for k.

    The list depends on condition, split, purpose, seed and ``fixed`` alone. Every id belongs to
    one purpose (a hash of the id decides), so lists of different purposes never meet, whatever
    their seeds and conditions. Corrected fidelity leaves out EEPose's unshifted row. ``fixed``
    holds digits of the id (``Space.digits``) at positions in the condition's ranges, for instance
    ``{"object": 3, "table": 0}``.

    Raises:
        UnblindError: unknown condition, split, purpose or digit, or more ids than half of what
            the purpose has.
    """
    condition = conditions.get(condition)
    split = condition.resolve(split)
    space = condition.space(split)
    held = dict(fixed or {})
    _check_request(condition, space, n, seed, purpose, held)
    stream = f"{condition.name}/{split}/{purpose}/{sorted(held.items())}"
    rng = np.random.default_rng([zlib.crc32(stream.encode()), seed])
    skips_unshifted = fidelity == "corrected" and "joint" not in held
    chosen: dict[int, None] = {}
    while len(chosen) < n:
        for drawn in rng.integers(0, space.size, size=256).tolist():
            digit = _split_digits(drawn, space) | held
            index = _join_digits(digit, space)
            if skips_unshifted and space.joint_rows[digit["joint"]] == UNSHIFTED_JOINT_ROW:
                continue
            if purpose_of(index) == purpose:
                chosen[index] = None
    return list(chosen)[:n]


def _check_request(
    condition: Condition, space: Space, n: int, seed: int, purpose: str, held: Mapping[str, int]
) -> None:
    if seed < 0:
        raise UnblindError(f"seed {seed} is negative", "give 0 or more")
    if purpose not in get_args(Purpose):
        raise UnblindError(f"unknown purpose {purpose!r}", f"choose one of {get_args(Purpose)}")
    sizes = space.digits()
    for key, value in held.items():
        if key not in sizes or not 0 <= value < sizes[key]:
            raise UnblindError(f"{condition.name} has no {key} {value}", f"digits are {sizes}")
    free = space.size
    for key in held:
        free //= sizes[key]
    # Half of a purpose's expected share: rejection then ends quickly and surely.
    most = free // (2 * len(get_args(Purpose)))
    if n > most:
        raise UnblindError(
            f"{n} {purpose} episodes asked of {condition.name}", f"at most {most} can be drawn"
        )


def index_of(name: str, episode_id: int, size: int, fidelity: str) -> int:
    """Return the id within a space of some size (released fidelity wraps it).

    Raises:
        UnblindError: unknown fidelity; the id is no integer or, in corrected fidelity, outside.
    """
    if fidelity not in get_args(Fidelity):
        raise UnblindError(f"unknown fidelity {fidelity!r}", "choose corrected or released")
    try:
        number = operator.index(episode_id)
    except TypeError:
        raise UnblindError(f"episode id {episode_id!r} is no integer", "give a number") from None
    if fidelity == "corrected" and not 0 <= number < size:
        raise UnblindError(
            f"episode id {number} is beyond the space of {name}",
            f"ids are 0 to {size - 1}; the release wraps them: --fidelity released",
        )
    return number % size


def _split_digits(index: int, space: Space) -> dict[str, int]:
    digits = {}
    for name, size in reversed(space.digits().items()):
        index, digits[name] = divmod(index, size)
    return digits


def _join_digits(digits: Mapping[str, int], space: Space) -> int:
    index = 0
    for name, size in space.digits().items():
        index = index * size + digits[name]
    return index


def _indices(space: Space, digit: Mapping[str, int], fidelity: str) -> dict[str, Any]:
    """Return the release's indices, the fields of ``Episode`` that end in _index and _row."""
    target, plate = space.objects[digit["object"]], space.plates[digit["plate"]]
    return {
        "object_index": target,
        "distractor_index": _other(space.distractors, target, digit["distractor"], fidelity),
        "plate_index": plate,
        # The release counts plates within the split, so both fidelities agree on them.
        "distractor_plate_index": _other(
            space.distractor_plates, plate, digit["distractor_plate"], "corrected"
        ),
        "table_index": space.tables[digit["table"]],
        "texture_index": space.textures[digit["texture"]] if space.textures else None,
        "template_index": space.templates[digit["template"]],
        "joint_row": space.joint_rows[digit["joint"]],
        "place_index": digit["place"],
        "yaw_index": digit["yaw"],
    }


def _other(pool: range | None, chosen: int, step: int, fidelity: str) -> int | None:
    """Return the distractor ``step`` places after ``chosen`` in ``pool`` (cyclic)."""
    if pool is None:
        return None
    start = 0 if fidelity == "released" else pool.start  # the release forgets the offset here
    return pool[(chosen - start + step + 1) % len(pool)]


def _names(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names behind the indices and the instruction made of them."""
    lists = {
        "object": conditions.OBJECTS,
        "distractor": conditions.OBJECTS,
        "plate": conditions.PLATES,
        "distractor_plate": conditions.PLATES,
        "table": conditions.TABLES,
        "texture": conditions.TEXTURES,
    }
    indices = {key: numbers[f"{key}_index"] for key in lists}
    names = {key: None if i is None else lists[key][i] for key, i in indices.items()}
    template = conditions.TEMPLATES[numbers["template_index"]]
    return names | {"instruction": template.format_map(names)}


def _placement(space: Space, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return where everything starts: positions, yaw and joint offsets."""
    target, plate, *third = place_table(space.places)[numbers["place_index"]]
    third_used = space.distractors or space.distractor_plates or space.teleport_step
    if numbers["distractor_index"] == numbers["object_index"]:
        target = third[0]  # one actor for both: the release places the distractor last
    return {
        "object_xyz": target,
        "plate_xyz": plate,
        "third_xyz": third[0] if third_used else None,
        "yaw_deg": space.yaws_deg[numbers["yaw_index"]],
        "joint_offset": _joint_table()[numbers["joint_row"]],
    }


def purpose_of(index: int) -> str:
    """Return the purpose that an id belongs to, whatever it is an id of."""
    digest = hashlib.sha256(index.to_bytes(8, "little")).digest()
    purposes = get_args(Purpose)
    return purposes[int.from_bytes(digest[:8], "little") % len(purposes)]


@cache
def place_table(places: Places) -> tuple[tuple[Xyz, ...], ...]:
    """Return the rows of a position table: spawn points of object, plate (and third) in m.

    Rows are in the release's order: nested loops over the grid points (x outer, y inner), object
    first. 20 of the 72 pairs of points exactly 0.15 m apart pass the strict limit through
    float64 rounding, and the published count of 2,104 rows includes them; so distances are
    computed as the release computes them.
    """
    points = _lattice(outer=places == "outer")
    apart = points[:, None] - points[None]
    distance = np.sqrt(apart[..., 0] ** 2 + apart[..., 1] ** 2)
    limits = _LIMITS[places]
    keep = distance > limits[0]
    if len(limits) == 3:
        plate_third, object_third = distance > limits[1], distance > limits[2]
        keep = keep[:, :, None] & plate_third[None] & object_third[:, None]
    heights = _HEIGHTS[places]
    return tuple(
        tuple((*points[i].tolist(), z) for i, z in zip(row, heights, strict=True))
        for row in np.argwhere(keep)
    )


def _lattice(outer: bool) -> np.ndarray:
    """Return the 6 x 6 grid, or the 28 points around it: (N, 2) m, x outer and y inner."""
    steps = np.arange(-1, 7) if outer else np.arange(6)
    fractions = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2) / 5
    if outer:
        fractions = fractions[((fractions < 0) | (fractions > 1)).any(1)]
    return (fractions * 2 - 1) * _HALF_EDGE + np.array(_CENTER)


@cache
def _joint_table() -> tuple[tuple[float, ...], ...]:
    """Return EEPose's joint offsets, rows of 8 rad; row 0 is the training pose."""
    axes = np.meshgrid(*[_SMALL] * 5, _WIDE, indexing="ij")
    rows = np.stack([axis.ravel() for axis in axes], 1)
    rows = rows[np.abs(rows[:, 1] + rows[:, 2]) <= _MAX_SHOULDER_PLUS_ELBOW]
    rows = np.concatenate([np.zeros((1, 6)), rows])
    return tuple(tuple(row) for row in np.pad(rows, ((0, 0), (0, 2))).tolist())
