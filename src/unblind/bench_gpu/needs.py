"""What must be installed: torch for CUDA and pure or common packages; nothing of the simulator."""

import importlib.util
from collections.abc import Iterable

from unblind.errors import UnblindError

#: Imported name -> name of the package that is installed.
PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "transformers": "transformers",
    "timm": "timm",
    "peft": "peft",
    "accelerate": "accelerate",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "huggingface_hub": "huggingface_hub",
    "typer": "typer",
}

_WITH_TEACHER = "transformers>=5.17"


def check(names: Iterable[str] = tuple(PACKAGES)) -> None:
    """Check that packages can be imported, and that transformers has C-RADIO's class.

    Raises:
        UnblindError: some are missing; all of them are named. Or transformers is too old.
    """
    missing = [PACKAGES[name] for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UnblindError(
            f"bench-gpu cannot import {', '.join(missing)}",
            f"python3 -m pip install {' '.join(missing)}, or name another interpreter in "
            "UNBLIND_PYTHON",
        )
    if "transformers" in names and importlib.util.find_spec("transformers.models.radio") is None:
        raise UnblindError(
            "this transformers has no RadioModel, the teacher",
            f"python3 -m pip install '{_WITH_TEACHER}'",
        )
