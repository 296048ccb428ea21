"""`python -m unblind.bench bench-gpu`: the command where few packages are installed."""

import importlib.util
import sys

#: What bench-gpu needs; their names are the same for import and for pip. Typer and PyYAML come
#: with transformers.
PACKAGES = (
    *("torch", "numpy", "transformers", "timm", "peft"),
    *("safetensors", "tokenizers", "pydantic"),
)


def check(packages: tuple[str, ...] = PACKAGES) -> None:
    """Check that packages can be imported, and that transformers has the teacher's class.

    Raises:
        SystemExit: some are missing; all of them are named. Or transformers is too old.
    """
    missing = " ".join(name for name in packages if importlib.util.find_spec(name) is None)
    if not missing and importlib.util.find_spec("transformers.models.radio") is None:
        missing = "'transformers>=5.17'"
    if missing:
        remedy = f"python3 -m pip install {missing}, or name another interpreter in UNBLIND_PYTHON"
        sys.exit(f"error: {sys.executable} cannot import {missing} ({remedy})")


if __name__ == "__main__":
    check()
    from unblind.cli import main

    main()
