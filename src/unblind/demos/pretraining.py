"""Episodes of robot pretraining: wider than the study's training set, apart from its tests.

An episode's number seeds a generator of its own that draws everything. Drawn are the 16 training
objects, the training plate and the 16 training tables, and the extra ones of
:mod:`unblind.sim.builtin.extras`; none of the study's unseen objects, plates and tables. Positions
lie around the centres of the released lattice's cells and up to 2.5 cm beyond its outer ring, at
least 5 mm in x and in y from every training and test point. Yaws are multiples of 15 degrees,
which no test yaw is. Instructions use the training template or paraphrases that are no test
template.
"""

import numpy as np

from unblind.sim.builtin import extras
from unblind.sim.catalogs import load_catalog
from unblind.sim.episodes import Episode

CONDITION = "pretraining"
CATALOG = "pretraining"

#: The first is the training template, half of all episodes.
TEMPLATES = (
    "put {object} on {plate}",
    "lay {object} on {plate}",
    "bring the {object} to the {plate}",
    "get the {object} and drop it on the {plate}",
    "transfer {object} over to {plate}",
    "grab {object} and leave it on {plate}",
)

_SEED = 20251028
_CENTER, _PITCH = (-0.16, 0.0), 0.03  # m, of the released lattice
_CELLS = np.arange(-2, 7) + 0.5  # cell centres, in pitches from the lattice's first inner point
_JITTER = 0.01  # m
_HEIGHT = {"object": 0.95, "plate": 0.95, "third": 1.0}  # m, of spawning
# m, least distances object-plate, object-third and plate-third. Target and distractor are alike
# in them, so that the place tells nothing of which is which.
_APART = {
    "none": (0.075, 0.0, 0.0),
    "distractor": (0.10, 0.11, 0.10),
    "distractor_plate": (0.085, 0.085, 0.15),
}
_KINDS = {"none": 0.3, "distractor": 0.4, "distractor_plate": 0.3}
_START_NOISE = 0.04  # rad, standard deviation of the perturbed joints


def decode(number: int) -> Episode:
    """Return pretraining episode ``number`` (64 bits, not negative)."""
    rng = np.random.default_rng([_SEED, number])
    catalog = load_catalog(CATALOG)
    objects = _pick(rng, range(16), range(25, len(catalog.objects)), 0.55)
    plates = _pick(rng, range(1), range(17, len(catalog.plates)), 0.7)
    table = _pick(rng, range(16), range(21, 21 + extras.TABLES), 0.4)[0]
    kind = str(rng.choice([*_KINDS], p=[*_KINDS.values()]))
    places = _places(rng, kind)
    template = 0 if rng.random() < 0.5 else int(rng.integers(1, len(TEMPLATES)))
    extra = {
        "distractor": objects[1] if kind == "distractor" else None,
        "distractor_plate": plates[1] if kind == "distractor_plate" else None,
    }
    names = {
        "object": catalog.objects[objects[0]].name,
        "plate": catalog.plates[plates[0]].name,
    }
    offset = rng.normal(0, _START_NOISE, 6) * (rng.random() < 0.5)
    yaw = int(rng.integers(24))
    return Episode(
        condition=CONDITION,
        split="train",
        fidelity="corrected",
        episode_id=number,
        index=number,
        **names,
        distractor=_name(catalog.objects, extra["distractor"]),
        distractor_plate=_name(catalog.plates, extra["distractor_plate"]),
        table=catalog.tables[table].name,
        texture=None,
        object_xyz=(*places[0], _HEIGHT["object"]),
        plate_xyz=(*places[1], _HEIGHT["plate"]),
        third_xyz=None if kind == "none" else (*places[2], _HEIGHT["third"]),
        yaw_deg=15.0 * yaw,
        joint_offset=(*offset.tolist(), 0.0, 0.0),
        teleport_step=None,
        overlay_alpha=0.0,
        overlay_region="none",
        instruction=TEMPLATES[template].format_map(names),
        object_index=objects[0],
        distractor_index=extra["distractor"],
        plate_index=plates[0],
        distractor_plate_index=extra["distractor_plate"],
        table_index=table,
        texture_index=None,
        template_index=template,
        joint_row=0,
        place_index=0,
        yaw_index=yaw,
    )


def _name(models: tuple, index: int | None) -> str | None:
    return None if index is None else models[index].name


def _pick(rng: np.random.Generator, known: range, more: range, share: float) -> tuple[int, int]:
    """Return two different indices, drawn with ``share`` from ``known``, else from ``more``.

    Either could as well be the other: only the instruction tells the target from a distractor.
    """
    while True:
        stocks = [known if rng.random() < share else more for _ in range(2)]
        first, second = (int(rng.choice(stock)) for stock in stocks)
        if first != second:
            return first, second


def _places(rng: np.random.Generator, kind: str) -> list[tuple[float, float]]:
    """Return x and y in m of object, plate and third thing, far enough apart."""
    while True:
        cells = rng.choice(_CELLS, (3, 2))
        jitter = rng.uniform(-_JITTER, _JITTER, (3, 2))
        points = _CENTER + (cells - 2.5) * _PITCH + jitter
        between = [np.linalg.norm(points[i] - points[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        if all(distance > least for distance, least in zip(between, _APART[kind], strict=True)):
            return [(float(x), float(y)) for x, y in points]
