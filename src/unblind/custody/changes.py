"""What has changed since an artifact was made, in words."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import unblind
from unblind import files
from unblind.config import digest
from unblind.custody.sidecars import Sidecar
from unblind.errors import UnblindError, shortened
from unblind.study.code import known_as, ledger, settings_digest, source_hash
from unblind.study.provenance import describe_machine

_PACKAGE = Path(unblind.__file__).resolve().parent
_NAMES_SHOWN = 3
_WIDTH = 40  # characters shown of a changed value
_DIGITS = 40  # characters shown of what an artifact was made with
_NOTHING = object()


class Now:
    """Files and code as they are now; each is hashed once."""

    def __init__(self) -> None:
        self.sha256 = cache(files.sha256)
        self._source_hash = cache(source_hash)
        self._files = cache(_changed_files)
        self._environment = cache(_environment_here)

    def code(self, sidecar: Sidecar, modules: Iterable[str] | None = None) -> Iterator[str]:
        """Yield how the code differs from what made an artifact, if it does.

        Args:
            sidecar: the artifact's.
            modules: those that make it now; default: those that made it.
        """
        modules = tuple(sorted(sidecar.code if modules is None else modules))
        try:
            own = self._source_hash(*modules)
            recorded = known_as(sidecar.code_hash, sidecar.config)
            if known_as(own, sidecar.config) == recorded:
                return
        except UnblindError as error:
            yield f"code changed: {error.cause}"
            return
        names = self._files(sidecar.commit, modules) or modules
        yield f"code changed: {some(names)}"

    def remarks(self, sidecar: Sidecar) -> Iterator[str]:
        """Yield what to know of an artifact although it is current: neither makes it stale.

        Results were compared on one machine, and other packages, another Mesa or another kind of
        processor may give other last digits.
        """
        proof = ledger().get((self._source_hash(*sidecar.code), settings_digest(sidecar.config)))
        if proof is not None and sidecar.code_hash == proof.old:
            yield f"code proved equal to that of {proof.old_commit[:12]} on {proof.machine}"
        here = self._environment()
        there = _environment(vars(sidecar))
        for name, value in there.items():
            if None not in (value, here[name]) and value != here[name]:
                yield f"made with another {name} ({value[:_DIGITS]})"


def _environment(facts: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what decides the bytes of results besides code, settings and inputs.

    Args:
        facts: of a sidecar, or of this process (`describe_machine`).
    """
    kernels = sorted(facts["kernels"].items())  # as sidecars are
    flags = [f"{name}={value}" for name, value in kernels if name != "torch"]
    return {
        "lock": facts["lock"],
        "processor": facts["hardware"].get("processor"),
        "choice of kernels": " ".join(flags) or ("free" if facts["kernels"] else None),
        "Mesa": facts["renderer"].get("mesa"),
    }


def _environment_here() -> dict[str, str | None]:
    return _environment(describe_machine())


def settings(sidecar: Sidecar, current: Any) -> Iterator[str]:
    """Yield how settings differ from those that made an artifact, if they do."""
    if digest(current) != sidecar.config_hash:
        yield f"config changed: {some(_differences(sidecar.config, current))}"


def seed(sidecar: Sidecar, current: int | None) -> Iterator[str]:
    """Yield how the seed differs from the one that made an artifact, if it does."""
    if current != sidecar.seed:
        yield f"seed changed: {sidecar.seed} -> {current}"


def some(names: Iterable[str]) -> str:
    """Return names in one line, the first few of them."""
    listed = list(names)
    more = len(listed) - _NAMES_SHOWN
    return ", ".join(listed[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def plain(text: str) -> str:
    """Return text without control characters: names may come from foreign files."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _differences(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """Yield the dotted keys at which plain values differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            pair = old.get(name, _NOTHING), new.get(name, _NOTHING)
            yield from _differences(*pair, f"{key}.{name}" if key else name)
    elif old is _NOTHING or new is _NOTHING or old != new:
        yield f"{key} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = "nothing" if value is _NOTHING else json.dumps(value, sort_keys=True)
    return shortened(text, _WIDTH)


def _changed_files(commit: str, modules: tuple[str, ...]) -> list[str]:
    """Return which files of modules differ from a commit; none if git cannot tell."""
    if not re.fullmatch("[0-9a-f]{40}", commit):
        return []
    places = [_PACKAGE.joinpath(*module.split(".")[1:]) for module in modules]
    paths = [str(path) for stem in places for path in (stem, stem.with_suffix(".py"))]
    command = ["git", "-C", str(_PACKAGE), "diff", "--name-only", "--relative", commit, "--"]
    try:
        done = subprocess.run([*command, *paths], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [f"unblind/{name}" for name in done.stdout.splitlines()] if not done.returncode else []
