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
    seen: dict[str, dict[str, None]] = {}
    for meta in records.metas:
        for name, value in _of(meta).items():
            seen.setdefault(name, {})[_text(value)] = None
    return {name: ", ".join(distinct) for name, distinct in seen.items()}


def training_seeds(records: Mapping[str, Records]) -> int | None:
    """Return how many training seeds the records of trained runs come from, None without any.

    Of several runs the smallest number counts; a run that names no seed has one.
    """
    counts = [
        len({str(_of(meta).get(TRAINING_SEED)) for meta in run_records.metas})
        for run_records in records.values()
    ]
    return min(counts, default=None)


def lines(records: Mapping[str, Records], labels: Mapping[str, str]) -> dict[str, str]:
    """Return the set-ups by heading: first what all these runs share, then each run's own.

    Args:
        records: by run.
        labels: printed names by run.
    """
    setups = {labels[run]: details(run_records) for run, run_records in records.items()}
    setups = {label: setup for label, setup in setups.items() if setup}
    if not setups:
        return {}
    first, *others = setups.values()
    shared = {
        name: value
        for name, value in first.items()
        if len(setups) > 1 and all(other.get(name) == value for other in others)
    }
    headed = {f"Set-up of {', '.join(setups)}": shared} if shared else {}
    for label, setup in setups.items():
        own = {name: value for name, value in setup.items() if name not in shared}
        if own:
            headed[f"Set-up of {label}"] = own
    return {
        heading: "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in setup.items())
        for heading, setup in headed.items()
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
