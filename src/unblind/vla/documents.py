"""Reading the small JSON files of a published checkpoint, which may come from anywhere."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from unblind.errors import UnblindError
from unblind.files import refuse_pointer

_LARGEST = 32 * 2**20  # bytes; OpenVLA's config.json has about 0.1 MB
_NAMED = 3  # how many differences an error names


def read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Python reads NaN, Infinity and 1e999, too, which are no JSON or no number that means anything:
    they are refused by key.

    Raises:
        UnblindError: the file is missing, too large, or holds no JSON object of finite numbers.
    """
    remedy = "fetch it from the repository again; every checkpoint in OpenVLA's layout has it"
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("too large")
        refuse_pointer(path)
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
        refuse(path, _not_finite(values, ""), remedy)
    except FileNotFoundError:
        raise UnblindError(f"{path} is missing", remedy) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UnblindError(f"{path} is unreadable: {error}", remedy) from None
    return values


def _not_finite(value: Any, key: str) -> Iterator[str]:
    """Yield what numbers below a key are NaN or infinite, such as ``r is nan``."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key} is {value}"
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _not_finite(part, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _not_finite(part, f"{key}[{number}]")


def refuse(path: Path, differences: Iterable[str], remedy: str) -> None:
    """Refuse a file in which something differs from what this package supports.

    Args:
        path: the file.
        differences: what differs, in the order in which to name it; none: nothing happens.
        remedy: what the user can do.

    Raises:
        UnblindError: there are differences; the first three and their number are given.
    """
    found = list(differences)
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise UnblindError(f"{path}: {'; '.join(found[:_NAMED])}{more}", remedy)
