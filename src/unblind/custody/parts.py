"""Files without a sidecar of their own, which an artifact vouches for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unblind.custody.sidecars import LIMIT_BYTES, Sidecar
from unblind.errors import UnblindError


def shards(manifest: Path) -> dict[Path, str]:
    """Return the files that a manifest names, with their checksums.

    Raises:
        UnblindError: it is no manifest.
    """
    document = _json(manifest)
    named = document.get("shards", {}) if isinstance(document, dict) else None
    if not isinstance(named, dict) or not all(isinstance(entry, str) for entry in named.values()):
        raise UnblindError(f"{manifest} is no manifest", "delete it and pull or make it again")
    return {manifest.with_name(Path(name).name): checksum for name, checksum in named.items()}


def adapter_damage(weights: Path, sidecar: Sidecar) -> Iterator[str]:
    """Yield which files next to an adapter's weights contradict them.

    Raises:
        UnblindError: one of them is unreadable.
    """
    identity, told = weights.with_name("identity.json"), weights.with_name("run.json")
    if identity.is_file():
        document = _json(identity)
        known = document.get("adapter_sha256") if isinstance(document, dict) else None
        if known != sidecar.sha256:
            yield f"{identity.name} belongs to another adapter"
    if told.is_file() and _json(told) != sidecar.extra.get("run_details"):
        yield f"{told.name} differs from the sidecar"


def _json(path: Path) -> Any:
    """Return the content of a small JSON file.

    Raises:
        UnblindError: it is none.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ValueError
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        cause = f"{path} is unreadable"
        raise UnblindError(cause, "delete it and pull or make it again") from None
