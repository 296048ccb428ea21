"""The folder in which commands run: a checkout of the project.

Paths of a study are relative to it (``workflow/config/mini.yaml``, ``results/...``), so in any
other folder nothing is there, and what a command writes would be lost to the study.
"""

import os
from pathlib import Path

from unblind.errors import UnblindError

#: What lies in the root of every checkout.
_SIGNS = ("Snakefile", "workflow")


def is_checkout(folder: Path) -> bool:
    """Tell whether a folder is the root of a checkout."""
    return all((folder / name).exists() for name in _SIGNS)


def working_folder() -> Path:
    """Return the working folder.

    Raises:
        UnblindError: there is none any more.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UnblindError("the working folder was deleted", "change to another one") from None


def require(needed: Path) -> None:
    """Refuse to go on where a study's file is absent because no study lies here.

    Args:
        needed: a file that every checkout has, relative to its root.

    Raises:
        UnblindError: the file is absent, and the working folder is no checkout or was deleted.
    """
    if os.path.exists(needed):  # also false where a name is too long
        return
    if is_checkout(here := working_folder()):
        return
    near = next(filter(is_checkout, [*here.parents, _own()]), None)
    where = f"where {' and '.join(_SIGNS)}/ lie"
    remedy = f"run it in the folder of the checkout, such as {near}, {where}"
    if near is None:
        remedy = (
            f"this command needs a checkout: clone the project and run it in the folder {where}"
        )
    raise UnblindError(f"no study in {here}: {needed} is not there", remedy)


def _own() -> Path:
    """Return the folder that is the checkout of this code if it was installed in place."""
    return Path(__file__).resolve().parents[2]
