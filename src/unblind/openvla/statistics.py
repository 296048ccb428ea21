"""Action statistics of a checkpoint: which numbers turn normalised actions into metres."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblind.errors import UnblindError, near
from unblind.openvla import documents
from unblind.vla.tokens import ActionNormalizer

#: Beside a fine-tuned checkpoint; the base has its statistics in config.json.
FILE = "dataset_statistics.json"
_WIDTH = 7


def read(folder: Path, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return statistics by data set: those of config.json, and of ``dataset_statistics.json``.

    Args:
        folder: of the checkpoint.
        base: ``norm_stats`` of its config.json.

    Raises:
        UnblindError: the file is unreadable.
    """
    path = Path(folder) / FILE
    return {**base, **(documents.read(path) if path.is_file() else {})}


def choose(statistics: Mapping[str, Any], key: str | None, where: object) -> ActionNormalizer:
    """Return the normaliser of one data set.

    Args:
        statistics: from :func:`read`.
        key: the data set (``unnorm_key`` of the release); None where there is only one.
        where: the checkpoint, for messages.

    Raises:
        UnblindError: there is no such data set, none was named where there are several, or its
            numbers are not those of seven dimensions.
    """
    if not statistics:
        raise UnblindError(
            f"{where} has no action statistics", f"put {FILE} of its training beside it"
        )
    if key is None and len(statistics) > 1:
        raise UnblindError(
            f"{where} has action statistics of {len(statistics)} data sets",
            f"name one as unnorm_key: {_listed(statistics)}",
        )
    key = next(iter(statistics)) if key is None else key
    if key not in statistics:
        raise UnblindError(
            f"{where} has no action statistics '{key}'{near(key, statistics)}",
            f"unnorm_key can be {_listed(statistics)}",
        )
    return _normalizer(statistics[key], f"{where}: statistics '{key}'")


def _listed(names: Mapping[str, Any]) -> str:
    shown = list(names)[:8]
    return ", ".join(shown) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _normalizer(values: Any, where: str) -> ActionNormalizer:
    """Return the normaliser of the release's form of statistics."""
    remedy = "use the statistics that the training wrote"
    try:
        action = values["action"]
        numbers = [tuple(action[key]) for key in ("q01", "q99", "min", "max")]
        mask = tuple(action.get("mask", [True] * len(numbers[0])))
        widths = {len(part) for part in (*numbers, mask)}
        if widths != {_WIDTH}:
            raise ValueError(f"{_WIDTH} numbers wanted, found {sorted(widths)}")
        return ActionNormalizer(*numbers, mask)
    except ValueError as error:
        raise UnblindError(f"{where} cannot be used: {error}", remedy) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UnblindError(f"{where} are unreadable ({error!r})", remedy) from None
