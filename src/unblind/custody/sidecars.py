"""Sidecars as checked values: pulled ones come from elsewhere, so nothing in them is believed."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unblind.config import digest
from unblind.errors import UnblindError
from unblind.study import provenance

#: No sidecar of a study comes near it: the audit's, which names every record, has about 100 kB.
LIMIT_BYTES = 8_000_000

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Sidecar(BaseModel):
    """What `unblind.study.provenance.record` writes.

    Attributes:
        artifact: file name of the artifact.
        sha256: of its bytes.
        inputs: SHA-256 of the files that were read, by path from the repository's root.
        config: the plain settings that its content depends on.
        config_hash: their digest.
        code: modules that made it.
        code_hash: over their contents, or those of older code that they are proved equal to.
        source_hash: over their contents as they were; None in older sidecars.
        seed: of the artifact, if it has one.
        commit: of the checkout, or 'unknown'.
        dirty: whether tracked files differed from it; None if that is unknown.
        started: when its making began, ISO 8601.
        wall_s, cpu_s: seconds that it took, and CPU-seconds of all processes.
        peak_memory_mib: largest resident memory in MiB.
        python, packages, hardware, renderer: where it was made.
        kernels: what chose those of numeric libraries; empty in older sidecars.
        lock: SHA-256 of ``requirements.lock``; None if that is unknown.
        extra: further facts of a stage.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    artifact: str
    sha256: _Sha256
    inputs: dict[str, _Sha256]
    config: Any
    config_hash: _Sha256
    code: list[str]
    code_hash: _Sha256
    source_hash: _Sha256 | None = None
    seed: int | None
    commit: str
    dirty: bool | None
    started: str
    wall_s: _Amount
    cpu_s: _Amount
    peak_memory_mib: _Amount
    python: str
    packages: dict[str, str | None]
    hardware: dict[str, Any]
    renderer: dict[str, Any]
    kernels: dict[str, str | None] = {}
    lock: _Sha256 | None = None
    extra: dict[str, Any]


def relative(path: Path) -> Path:
    """Return a path as sidecars name it: from the working folder if it lies in there."""
    absolute, here = Path(os.path.abspath(path)), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute


def load(path: Path) -> Sidecar:
    """Return the checked sidecar of the artifact ``path``.

    Raises:
        UnblindError: it is missing, too large or malformed, or contradicts itself.
    """
    file = provenance.sidecar_path(path)
    remedy = f"delete {path} and pull or make it again"
    if file.is_file() and file.stat().st_size > LIMIT_BYTES:
        raise UnblindError(f"the sidecar {file} has more than {LIMIT_BYTES:,} bytes", remedy)
    try:
        sidecar = Sidecar.model_validate(provenance.read(path))
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise UnblindError(f"the sidecar {file} is malformed at '{key}'", remedy) from None
    if sidecar.artifact != path.name:
        raise UnblindError(f"the sidecar {file} belongs to another file", remedy)
    if digest(sidecar.config) != sidecar.config_hash:
        raise UnblindError(f"the sidecar {file} has other settings than it says", remedy)
    return sidecar
