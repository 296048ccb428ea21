"""Configuration files as plain values: reading them, laying one over another, spelling them out.

A file that begins with ``extends: OTHER.yaml`` says only what differs from that file:
nested mappings are merged, lists and single values replace what was there, and a run that is null
is left out. A file without ``extends`` says everything.
"""

import copy
import functools
import json
import os
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from unblind import checkout
from unblind.errors import UnblindError

EXTENDS = "extends"
_EXAMPLE = Path("workflow/config/mini.yaml")
#: What a complete file may leave out: it decides no result.
_OPTIONAL = ("cluster",)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that a mapping names twice, of which PyYAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"key '{name}' is given twice, {str(node.start_mark).strip()}")
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """Return the plain values of a YAML file, with those of the files that it extends.

    Raises:
        UnblindError: see `layers`.
    """
    values: dict[str, Any] = {}
    for file in reversed(layers(path)):
        values = overlay(values, _own(file))
    return without_null_runs(values)


def stated_keys(path: Path) -> list[str]:
    """Return the dotted keys of the values that a file states itself, in its order.

    Raises:
        UnblindError: the file is unreadable or no YAML mapping.
    """
    return list(_flat(_own(path)))


def layers(path: Path) -> list[Path]:
    """Return a file and those that it extends, each before the one it extends.

    Raises:
        UnblindError: one of them is unreadable, is no YAML mapping or gives a key twice; they
            extend each other in a circle; or one is a checkout's file, and the working folder is no
            checkout.
    """
    files = [path]
    while (parent := _parent(files[-1])) is not None:
        files.append(parent)
        if parent.resolve() in [file.resolve() for file in files[:-1]]:
            raise UnblindError(
                f"configuration {path} extends itself: {' -> '.join(map(str, files))}",
                f"remove '{EXTENDS}' from one of them",
            )
    return files


def without_null_runs(values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without the runs that are null."""
    runs = values.get("runs")
    if not isinstance(runs, Mapping):
        return values
    return values | {"runs": {name: run for name, run in runs.items() if run is not None}}


def replace(values: dict[str, Any], key: str, value: Any) -> None:
    """Set one value by its dotted key, in place.

    Raises:
        UnblindError: a part of the key names a value that holds no keys.
    """
    *parents, last = key.split(".")
    for parent in parents:
        # A section that may be absent is null.
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise UnblindError(f"override '{key}': '{parent}' holds no keys", "check its spelling")
    values[last] = value


def merged(files: Sequence[Path | str], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that several files and changes make, each laid over the last.

    A file that is complete, by itself or by extending another, replaces all files before it, as if
    it were given to `read` alone. Any other file changes what the files before it say.

    Args:
        files: configuration files; the first is complete.
        changes: nested values from the command line.

    Raises:
        UnblindError: see `layers`.
    """
    start = _last_complete(files)
    # A complete file need not know the batch system.
    known = read(Path(files[0]))
    values = {key: known[key] for key in _OPTIONAL if key in known} | read(Path(files[start]))
    for layer in (*(_own(Path(file)) for file in files[start + 1 :]), changes):
        values = overlay(values, layer)
    return without_null_runs(values)


def arguments(files: Sequence[Path | str], values: Mapping[str, Any]) -> list[str]:
    """Return the command-line options that load (`config.load`) these values again.

    Args:
        files: configuration files as in `merged`; the last complete one is named, and what differs
            from it is spelled out.
        values: the configuration to load.

    Raises:
        UnblindError: see `layers`.
    """
    file = files[_last_complete(files)]
    stated, target = _flat(read(Path(file))), _flat(values)
    changed = {key: value for key, value in target.items() if stated.get(key, ...) != value}
    left_out = {key.split(".")[1] for key in stated if key.startswith("runs.")}
    left_out -= {key.split(".")[1] for key in target if key.startswith("runs.")}
    changed |= {f"runs.{name}": None for name in sorted(left_out)}
    options = [("--set", f"{key}={json.dumps(value)}") for key, value in changed.items()]
    return ["--config", os.path.relpath(file), *(word for option in options for word in option)]


def _own(path: Path) -> dict[str, Any]:
    """Return the values that a file states itself, without ``extends``."""
    return {key: value for key, value in _parsed(path).items() if key != EXTENDS}


def _parent(path: Path) -> Path | None:
    """Return the file that a file extends, None if it extends none."""
    values = _parsed(path)
    if EXTENDS not in values:
        return None
    name = values[EXTENDS]
    if not isinstance(name, str) or not name:
        cause = f"configuration {path}: '{EXTENDS}' names no file (got {reprlib.repr(name)})"
        raise UnblindError(cause, f"name a file next to it, for example {_EXAMPLE.name}")
    parent = path.parent / name
    if not os.path.exists(parent):
        raise UnblindError(
            f"configuration {path} extends {parent}, which is missing",
            f"name a file relative to the folder of {path.name}",
        )
    return parent


def _parsed(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file."""
    try:
        values = copy.deepcopy(_content(path.read_text(encoding="utf-8")))
    except OSError as error:
        if path.is_relative_to(_EXAMPLE.parent):
            checkout.require(path)
        example = f", for example {_EXAMPLE}" if _EXAMPLE.is_file() else ""
        raise UnblindError(
            f"cannot read configuration {path}: {error.strerror}", f"name an existing file{example}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UnblindError(f"configuration {path} is not YAML: {reason}", "fix the file") from None
    except RecursionError:
        raise UnblindError(f"configuration {path} is nested too deeply", "fix the file") from None
    if not isinstance(values, dict):
        raise UnblindError(f"configuration {path} is not a mapping of keys", "fix the file")
    return values


@functools.lru_cache(maxsize=64)
def _content(text: str) -> Any:
    """Return what a YAML text says; most files are asked for many times, and parsing is slow."""
    return _UniqueKeys(text).get_single_data()


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with others laid over them."""
    values = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping):
            under = values.get(key)
            value = overlay(under if isinstance(under, Mapping) else {}, value)
        values[key] = value
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _last_complete(files: Sequence[Path | str]) -> int:
    """Return the position of the last file that is complete; the first one is."""
    contents = [_parsed(Path(file)) for file in files]
    everything = read(Path(files[0])).keys() - set(_OPTIONAL)
    return max(
        position
        for position, content in enumerate(contents)
        if position == 0 or EXTENDS in content or content.keys() >= everything
    )
