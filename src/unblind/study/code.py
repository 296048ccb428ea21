"""Which code counts as the same: hashes of modules, and the ledger of proofs.

Any change of a module changes its hash, also one that changes no result. Such a change can be
proved: old and new code run the same small study on one machine, and all results have the same
bytes (`unblind.study.prove`). Each proof is a row of ``workflow/equivalent.tsv``; new code then
counts as the oldest code that it is proved equal to, so that results stay valid. A row holds for
the settings of the proof, counts aside: with others the code counts as new.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from unblind.config import digest
from unblind.errors import UnblindError
from unblind.files import sha256, write_text
from unblind.study.counts import COUNTS

_PACKAGE = Path(__file__).resolve().parents[1]
#: The ledger, in the checkout that this package was installed from.
LEDGER = _PACKAGE.parents[1] / "workflow" / "equivalent.tsv"


@dataclass(frozen=True)
class Proof:
    """A row of the ledger: code that made the same bytes as older code.

    Attributes:
        new: hash of the modules that were proved.
        old: hash of the oldest modules that they are proved equal to.
        settings: `settings_digest` of the study in which both ran.
        results: the artifacts compared, such as ``training/align/0``.
        outputs: SHA-256 over names and contents of the artifacts.
        new_commit: the commit whose modules were proved.
        old_commit: the commit that they were compared with.
        machine: kind of processor: results are compared on one machine alone.
        lock: SHA-256 of ``requirements.lock``.
    """

    new: str
    old: str
    settings: str
    results: str
    outputs: str
    new_commit: str
    old_commit: str
    machine: str
    lock: str


_COLUMNS = [field.name for field in fields(Proof)]


def source_hash(*modules: str) -> str:
    """Return the SHA-256 over names and contents of the files of modules or subpackages.

    Args:
        modules: dotted names such as ``unblind.sim`` or ``unblind.rollout.run``.

    Raises:
        UnblindError: a name is no part of this package.
    """
    total = hashlib.sha256()
    for file in source_files(modules):
        total.update(file.relative_to(_PACKAGE).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(sha256(file)))
    return total.hexdigest()


def code_hash(*modules: str, config: Any) -> str:
    """Return the hash by which code is known: that of the oldest code it is proved equal to.

    Args:
        modules: as for `source_hash`.
        config: the plain settings that the result depends on (`jobs.settings`).

    Raises:
        UnblindError: a name is no part of this package, or the ledger is unreadable.
    """
    return known_as(source_hash(*modules), config)


def known_as(own: str, config: Any) -> str:
    """Return by which hash code is known whose own hash is given; see `code_hash`.

    A hash in a sidecar goes through it, too: what was made before a proof is as good as after it.
    """
    proof = ledger().get((own, settings_digest(config)))
    return own if proof is None else proof.old


def settings_digest(config: Any) -> str:
    """Return a digest of settings without those that say how many or how long."""
    return digest(_without_counts(config))


def source_files(modules: Iterable[str]) -> list[Path]:
    """Return the source and data files of modules and, recursively, of subpackages, sorted.

    Raises:
        UnblindError: a name is no part of this package.
    """
    return sorted({file for module in modules for file in _files_of(module)})


@cache
def ledger() -> Mapping[tuple[str, str], Proof]:
    """Return the proofs by hash of the code and digest of the settings; none without the file.

    Raises:
        UnblindError: the file is unreadable.
    """
    return {(proof.new, proof.settings): proof for proof in read(LEDGER)}


def read(path: Path) -> list[Proof]:
    """Return the proofs in a file, in its order; none where there is no file.

    Raises:
        UnblindError: the file is no such table.
    """
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as handle:
        header, *rows = list(csv.reader(handle, delimiter="\t")) or [[]]
    if header != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise UnblindError(f"{path} is no ledger of proofs", f"restore it: git checkout -- {path}")
    return [Proof(*row) for row in rows]


def write(path: Path, proofs: Iterable[Proof]) -> None:
    """Add proofs to a file; each replaces an older one of the same code and settings."""
    known = {(proof.new, proof.settings): proof for proof in (*read(path), *proofs)}
    lines = ["\t".join(_COLUMNS), *("\t".join(vars(proof).values()) for proof in known.values())]
    write_text(path, "\n".join(lines) + "\n")
    ledger.cache_clear()


def _without_counts(value: Any, key: str = "") -> Any:
    """Return plain values without the keys of `COUNTS`; elements of a list have its key."""
    if isinstance(value, dict):
        below = {name: f"{key}.{name}" if key else name for name in value}
        return {
            name: _without_counts(item, below[name])
            for name, item in value.items()
            if below[name] not in COUNTS
        }
    if isinstance(value, list):
        return [_without_counts(item, key) for item in value]
    return value


def _files_of(module: str) -> list[Path]:
    package, *rest = module.split(".")
    path = _PACKAGE.joinpath(*rest)
    if package == "unblind" and path.is_dir():
        files = (file for file in path.rglob("*") if "__pycache__" not in file.parts)
        return [file for file in files if file.is_file()]
    if package == "unblind" and path.with_suffix(".py").is_file():
        return [path.with_suffix(".py")]
    raise UnblindError(f"no module or subpackage {module}", "check the name")
