"""Configuration files as plain values: reading, changing one value, what came of several files."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from unblind.errors import UnblindError
from unblind.study import checkout

_EXAMPLE = Path("workflow/config/mini.yaml")


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that a mapping names twice, of which PyYAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"key '{name}' is given twice, {str(node.start_mark).strip()}")
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """Return the plain values of a YAML file.

    Raises:
        UnblindError: it cannot be read, is no YAML mapping, or gives a key twice; or it is one of
            a checkout's files, and the working folder is no checkout.
    """
    try:
        values = _UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        if path.is_relative_to(_EXAMPLE.parent):
            checkout.require(path)
        example = f", for example {_EXAMPLE}" if _EXAMPLE.is_file() else ""
        raise UnblindError(
            f"cannot read configuration {path}: {error.strerror}", f"name an existing file{example}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UnblindError(f"configuration {path} is not YAML: {reason}", "mend the file") from None
    except RecursionError:
        raise UnblindError(f"configuration {path} is nested too deeply", "mend the file") from None
    if not isinstance(values, dict):
        raise UnblindError(f"configuration {path} is not a mapping of keys", "mend the file")
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


def merged(files: Sequence[Path | str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without runs that are left over from a file it does not build on.

    Snakemake merges all files into the first, whose runs would stay beside those of a complete
    later one.

    Args:
        files: configuration files in the order in which Snakemake merged them.
        values: what came out, with changes from the command line.
    """
    contents = [read(Path(file)) for file in files]
    runs = [one.get("runs") if isinstance(one.get("runs"), dict) else {} for one in contents]
    start = _last_complete(contents, values)
    left_over = {name for one in runs[:start] for name in one}
    left_over -= {name for one in runs[start:] for name in one}
    if not isinstance(values.get("runs"), Mapping):
        return dict(values)
    kept = {name: run for name, run in values["runs"].items() if name not in left_over}
    return {**values, "runs": kept}


def arguments(files: Sequence[Path | str], values: Mapping[str, Any]) -> list[str]:
    """Return the command-line options that load (`config.load`) these values again.

    Args:
        files: configuration files; the last complete one is named, the rest is spelled out.
        values: the wanted configuration, for example files merged by Snakemake.
    """
    contents = [read(Path(file)) for file in files]
    start = _last_complete(contents, values)
    known, wanted = _flat(contents[start]), _flat(values)
    changed = {key: value for key, value in wanted.items() if known.get(key, ...) != value}
    options = [("--set", f"{key}={json.dumps(value)}") for key, value in changed.items()]
    return [
        "--config",
        os.path.relpath(files[start]),
        *(word for option in options for word in option),
    ]


def _last_complete(contents: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> int:
    """Return the place of the last file that says everything, the batch system aside; else 0."""
    wanted = values.keys() - {"cluster"}
    return max(i for i, one in enumerate(contents) if i == 0 or one.keys() >= wanted)
