"""The catalogs that there are: procedural assets, and the authors' files."""

from functools import cache
from pathlib import Path

from unblind.sim.builtin import BUILTIN, pretraining_catalog
from unblind.sim.catalog import Catalog


@cache
def load_catalog(source: str = "builtin") -> Catalog:
    """Load the ``builtin`` procedural assets, or the authors' files from the folder ``source``.

    ``pretraining`` is the builtin assets with more objects, plates and tables after them.

    Raises:
        UnblindError: ``source`` is no folder or lacks the release's model_db.json files. Other
            files that are missing or differ raise it when their item is first used.
    """
    if source == "builtin":
        return BUILTIN
    if source == "pretraining":
        return pretraining_catalog()
    from unblind.sim.released import ReleasedCatalog

    return ReleasedCatalog(Path(source))
