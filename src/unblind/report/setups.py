"""How trained policies were made, in words, from the sidecars of their records."""

from collections.abc import Mapping
from typing import Any

from unblind.report.records import Records

#: The detail that tells trained policies of one run apart.
TRAINING_SEED = "training_seed"
_HASH_DIGITS = 12


def details(records: Records) -> dict[str, str]:
    """Return a run's training set-up as text by name; empty for scripted policies.

    Each record's sidecar holds it as ``run_details``, plain values by name such as steps,
    samples, LoRA rank, lambda, layer, teacher, trainable parameters and the base's checksum.
    Where records disagree, as with one adapter a seed, all values are given.
    """
    found: dict[str, dict[str, None]] = {}
    for meta in records.metas:
        for name, value in _of(meta).items():
            found.setdefault(name, {})[_text(value)] = None
    return {name: ", ".join(values) for name, values in found.items()}


def training_seeds(records: Mapping[str, Records]) -> int | None:
    """Return how many training seeds stand behind trained runs' records, None without any.

    Of several runs the smallest number counts; a run that names no seed has one.
    """
    counts = [
        len({str(_of(meta).get(TRAINING_SEED)) for meta in one.metas}) for one in records.values()
    ]
    return min(counts, default=None)


def lines(records: Mapping[str, Records], labels: Mapping[str, str]) -> dict[str, str]:
    """Return the set-ups by heading: first what all these runs share, then each run's own.

    Args:
        records: by run.
        labels: printed names by run.
    """
    found = {labels[run]: details(one) for run, one in records.items()}
    found = {label: values for label, values in found.items() if values}
    if not found:
        return {}
    first, *others = found.values()
    shared = {
        name: value
        for name, value in first.items()
        if len(found) > 1 and all(other.get(name) == value for other in others)
    }
    headed = {f"Set-up of {', '.join(found)}": shared} if shared else {}
    for label, values in found.items():
        own = {name: value for name, value in values.items() if name not in shared}
        if own:
            headed[f"Set-up of {label}"] = own
    return {
        heading: "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
        for heading, values in headed.items()
    }


def _of(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    return meta.get("extra", {}).get("run_details") or {}


def _text(value: Any) -> str:
    """Return a value in words: yes or no, thousands apart, hashes cut short."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    is_hash = len(text) >= 32 and not set(text) - set("0123456789abcdef")
    return text[:_HASH_DIGITS] if is_hash else text
