"""The builtin assets: a catalog made of numbers, with the released names, order and splits."""

from dataclasses import dataclass

from unblind.sim.builtin import extras, facts
from unblind.sim.builtin.objects import SHAPES as OBJECT_SHAPES
from unblind.sim.builtin.plates import SHAPES as PLATE_SHAPES
from unblind.sim.builtin.primitives import fit
from unblind.sim.builtin.tables import PaintedTable
from unblind.sim.catalog import Model


@dataclass(frozen=True, eq=False)
class BuiltinCatalog:
    """Procedural stand-ins for the 25 objects, 17 plates and 21 tables, in released order."""

    objects: tuple[Model, ...]
    plates: tuple[Model, ...]
    tables: tuple[PaintedTable, ...]


def _models(rows: tuple, shapes: dict, train: int) -> tuple[Model, ...]:
    """Build each shape and fit it to its released bounding box."""
    models = []
    for index, (name, density, bbox) in enumerate(rows):
        part = fit(shapes[name](), bbox)
        split = "train" if index < train else "test"
        models.append(Model(name, index, split, float(density), part.collision, part.visual))
    return tuple(models)


BUILTIN = BuiltinCatalog(
    objects=_models(facts.OBJECTS, OBJECT_SHAPES, facts.TRAIN_OBJECTS),
    plates=_models(facts.PLATES, PLATE_SHAPES, facts.TRAIN_PLATES),
    tables=tuple(
        PaintedTable(name, index, "train" if index < facts.TRAIN_TABLES else "test", texture, mix)
        for index, (name, texture, mix) in enumerate(facts.TABLES)
    ),
)


def pretraining_catalog() -> BuiltinCatalog:
    """Return the builtin assets, and after them the extra ones of pretraining."""
    first = len(BUILTIN.tables)
    return BuiltinCatalog(
        objects=BUILTIN.objects + extras.objects(len(BUILTIN.objects)),
        plates=BUILTIN.plates + extras.receptacles(len(BUILTIN.plates)),
        tables=BUILTIN.tables
        + tuple(
            PaintedTable(f"extra table {n}", first + n, "train", "", 0.0)
            for n in range(extras.TABLES)
        ),
    )
