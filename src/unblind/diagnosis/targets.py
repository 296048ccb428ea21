"""Still lifes with one chosen object: the target of an instruction, as an episode shows it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unblind.errors import UnblindError
from unblind.pictures.scenes import Thing
from unblind.pictures.stills import Props, Still, StillRenderer
from unblind.sim.catalog import Catalog, Model, Table

_TRIES = 50
"""Pictures that may hide the object before one must show it."""


class TargetRenderer(StillRenderer):
    """Draws still lifes of one object and up to two plates, on chosen tables.

    Args:
        catalog: what they show.

    Raises:
        UnblindError: no renderer can be set up.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._all = Props(catalog.objects, catalog.plates, tuple(catalog.tables))
        self._chosen = self._all
        super().__init__([self._all])

    def draw_target(
        self, model: Model, tables: Sequence[Table], seed: Sequence[int]
    ) -> tuple[Still, Thing]:
        """Return the first picture of a seed in which an object can be seen, and the object in it.

        Raises:
            UnblindError: it cannot be seen in any of many.
        """
        self._chosen = replace(self._all, objects=(model,), tables=tuple(tables))
        for attempt in range(_TRIES):
            still = self.draw([*seed, attempt])
            for thing in still.scene.things:
                if thing.name == model.name:
                    return still, thing
        raise UnblindError(
            f"'{model.name}' is in view in none of {_TRIES} still lifes", "choose another seed"
        )

    def _source(self, rng: np.random.Generator) -> Props:
        return self._chosen
