"""Make torchvision importable where its compiled part does not fit the installed torch.

The registry's torchvision is a CUDA build. Beside a CPU torch its compiled part cannot be loaded,
and ``import torchvision`` then dies on two operators that it takes for granted. Declaring them is
enough for everything that this package uses (models and transforms of timm, open_clip, peft and
transformers); ``torchvision.ops`` and ``torchvision.io`` stay unusable, pictures are read with PIL.

What is imported after it, transformers, is kept from loading what nothing here uses.
"""

import importlib.util
from pathlib import Path
from typing import Any

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_library: Any = None  # the declarations vanish with this object


def guard() -> None:
    """Declare torchvision's operators where they are missing; call before importing torchvision.

    Does nothing on a second call, and declares none where torchvision's own compiled part can be
    loaded (a CUDA torch of the same release, or two CPU builds).
    """
    global _library
    _spare_transformers()
    if _library is not None or _compiled_part_loads():
        return
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + _SCHEMA)
    _library = library


def _spare_transformers() -> None:
    """Keep transformers from loading scikit-learn, pandas and SciPy.

    Where they are installed it wants them for assisted generation and for losses of object
    detection: a quarter of the seconds in which a process starts. Who needs them imports them.
    """
    from transformers import utils

    utils.is_sklearn_available = utils.is_scipy_available = lambda: False


def _compiled_part_loads() -> bool:
    """Tell whether torchvision's operators can be had from its own compiled library."""
    import torch

    spec = importlib.util.find_spec("torchvision")  # finds the package without importing it
    if spec is None or spec.origin is None:
        return True  # no torchvision, nothing to guard
    compiled = sorted(Path(spec.origin).parent.glob("_C*.so"))
    try:
        for path in compiled:
            torch.ops.load_library(str(path))
    except OSError:
        return False
    return bool(compiled)
