"""What must be installed: torch and a few packages of CUDA images; nothing of the simulator."""

import importlib.util
from collections.abc import Iterable

from unblind.errors import UnblindError

#: Their names are the same for import and for pip.
PACKAGES = (
    "torch",
    "numpy",
    "transformers",
    "timm",
    "peft",
    "accelerate",
    "safetensors",
    "tokenizers",
)
_RADIO = "transformers.models.radio"


def check(packages: Iterable[str] = PACKAGES) -> None:
    """Check that packages can be imported, and that transformers has C-RADIO's class.

    Raises:
        UnblindError: some are missing; all of them are named. Or transformers is too old.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UnblindError(
            f"bench-gpu cannot import {', '.join(missing)}",
            f"python3 -m pip install {' '.join(missing)}, or name another interpreter in "
            "UNBLIND_PYTHON",
        )
    if importlib.util.find_spec(_RADIO) is None:
        raise UnblindError(
            "this transformers has no RadioModel, the teacher",
            "python3 -m pip install 'transformers>=5.17'",
        )
