"""Reading RLDS: the data set that the authors released, and others of the same features.

A folder of TFDS: ``dataset_info.json``, ``features.json`` and TFRecord files, one Example an
episode. Nothing in it is trusted: names of files stay in the folder, sizes have limits, and
whatever is wrong is one error with file and record.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unblind.errors import UnblindError
from unblind.formats import example, features, pictures, tfrecord
from unblind.formats.episodes import EXTRAS, Episode, Kind, Source, order
from unblind.formats.features import Leaf

INFO, FEATURES = "dataset_info.json", "features.json"
#: Beside them in a set that was written here: what its own source told of itself.
FACTS = "unblind.json"
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
IMAGE, ACTION = "steps/observation/image", "steps/action"
INSTRUCTION = "steps/language_instruction"
FILE_PATH, EPISODE_ID = "episode_metadata/file_path", "episode_metadata/episode_id"
_LARGEST_DOCUMENT = 1 << 24  # bytes
_REMEDY = "fetch the data set again, or ask who made it"


@dataclass(frozen=True)
class _Shard:
    split: str
    path: Path
    episodes: int


def is_rlds(folder: Path) -> bool:
    """Return whether a folder is one of TFDS, or has the one of its only version in it."""
    return (_version_folder(folder) / INFO).is_file()


def _version_folder(folder: Path) -> Path:
    inside = [path.parent for path in folder.glob(f"*/{INFO}")]
    return inside[0] if len(inside) == 1 and not (folder / INFO).exists() else folder


def read(folder: Path) -> Source:
    """Return a data set of TFDS; its records are checked as they are read.

    Raises:
        UnblindError: its documents are missing or none of such a set, or features are missing;
            while reading, a file is missing or damaged, or a record is not what is announced.
    """
    folder = _version_folder(folder)
    info, leaves = _document(folder / INFO), _features(folder)
    shards = _shards(folder, info)
    facts = {key: info[key] for key in ("name", "version") if isinstance(info.get(key), str)}
    if (folder / FACTS).exists():
        facts["source"] = _document(folder / FACTS)
    counts: dict[str, int] = {}
    for shard in shards:
        counts[shard.split] = counts.get(shard.split, 0) + shard.episodes
    return Source("rlds", counts, facts, lambda: _episodes(shards, leaves), unit_cpu_s=0.3)


def _document(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as handle:
            text = handle.read(_LARGEST_DOCUMENT + 1)
        if len(text) > _LARGEST_DOCUMENT:
            raise UnblindError(f"{path} has more than {_LARGEST_DOCUMENT} bytes", _REMEDY)
        values = json.loads(text)
    except OSError as error:
        raise UnblindError(f"cannot read {path}: {error.strerror}", "fetch it") from None
    except (ValueError, RecursionError):
        raise UnblindError(f"{path} is not JSON", _REMEDY) from None
    if not isinstance(values, dict):
        raise UnblindError(f"{path} is no JSON object", _REMEDY)
    return values


def _features(folder: Path) -> dict[str, Leaf]:
    """Return the features that are read, by path; those needed are there as they should be."""
    path = folder / FEATURES
    try:
        leaves = features.flatten(_document(path))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise UnblindError(f"{path} describes no features of TFDS", _REMEDY) from None
    needed = {
        IMAGE: lambda leaf: leaf.kind == "image" and leaf.dtype == "uint8",
        ACTION: lambda leaf: (leaf.dtype, leaf.shape) == ("float32", (7,)),
        INSTRUCTION: lambda leaf: leaf.dtype == "string" and not leaf.shape,
    }
    for name, fits in needed.items():
        if name not in leaves or not fits(leaves[name]):
            state = "has no" if name not in leaves else "has another kind of"
            there = ", ".join(sorted(leaves)[:20])
            cause = f"{path} {state} {name}; it has {there}"
            raise UnblindError(cause, "only sets with the features of the authors' are read")
    optional = {f"steps/{name}": kind for name, kind in EXTRAS.items()}
    optional |= {FILE_PATH: Kind("string", ()), EPISODE_ID: Kind("int64", ())}
    return {
        name: leaf
        for name, leaf in leaves.items()
        if name in needed or optional.get(name) == (leaf.dtype, leaf.shape)
    }


def _shards(folder: Path, info: Mapping[str, Any]) -> list[_Shard]:
    """Return the record files of all splits, in order."""
    found = []
    try:
        if info.get("fileFormat", "tfrecord") != "tfrecord":
            cause = f"{folder / INFO}: records are in {info['fileFormat']!r}"
            raise UnblindError(cause, "only 'tfrecord' is read")
        for split in info["splits"]:
            lengths = [int(length) for length in split["shardLengths"]]
            for number, length in enumerate(lengths):
                name = _file_name(info, split, f"{number:05d}-of-{len(lengths):05d}")
                found.append(_Shard(split["name"], folder / name, length))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnblindError(f"{folder / INFO} describes no splits of TFDS", _REMEDY) from None
    if not any(shard.episodes for shard in found):
        raise UnblindError(f"{folder / INFO} announces no episode", _REMEDY)
    return sorted(found, key=lambda shard: order(shard.split))


def _file_name(info: Mapping[str, Any], split: Mapping[str, Any], place: str) -> str:
    """Return the name of a record file, which lies in the folder.

    Raises:
        ValueError: the split's or the file's name is none.
    """
    name = split.get("filepathTemplate", TEMPLATE)
    index, _, shards = place.partition("-of-")
    values = {"DATASET": info["name"], "SPLIT": split["name"], "FILEFORMAT": "tfrecord"}
    values |= {"SHARD_X_OF_Y": place, "SHARD_INDEX": index, "NUM_SHARDS": shards}
    for key, value in values.items():
        name = name.replace(f"{{{key}}}", value)
    if not re.fullmatch(r"[A-Za-z]\w*", split["name"]) or not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(name)
    return name


def _episodes(shards: list[_Shard], leaves: Mapping[str, Leaf]) -> Iterator[Episode]:
    first: pictures.Form | None = None
    for shard in shards:
        number = -1
        for number, record in enumerate(tfrecord.read(shard.path)):
            where = f"{shard.path}, record {number}"
            try:
                episode = _episode(shard.split, example.parse(record, leaves), leaves)
                first = _check_pictures(episode.images, first)
            except ValueError as error:
                raise UnblindError(f"{where}: {error}", _REMEDY) from None
            yield episode
        if number + 1 != shard.episodes:
            cause = f"{shard.path} has {number + 1} records, {INFO} announces {shard.episodes}"
            raise UnblindError(cause, "fetch both again")


def _check_pictures(images: list[bytes], first: pictures.Form | None) -> pictures.Form:
    """Return the form that all pictures have.

    Raises:
        ValueError: one of them cannot be decoded or has another form than those before.
    """
    for number, image in enumerate(images):
        try:
            found = pictures.check(image)
        except ValueError as error:
            raise ValueError(f"picture {number} {error}") from None
        first = first or found
        if found != first:
            raise ValueError(f"picture {number} is {_said(found)}, others {_said(first)}")
    assert first is not None  # an episode has a step
    return first


def _said(form: pictures.Form) -> str:
    return f"{form.kind} {form.width} x {form.height}"


def _episode(
    split: str, values: Mapping[str, example.Values], leaves: Mapping[str, Leaf]
) -> Episode:
    """Return the episode of a record.

    Raises:
        ValueError: the record lacks a feature, or one has not as many values as there are steps.
    """
    missing = [name for name in leaves if name not in values]
    if missing:
        raise ValueError(f"has no {missing[0]}")
    images = values[IMAGE]
    if isinstance(images, np.ndarray) or not len(images):
        raise ValueError(f"{IMAGE} holds no pictures")
    steps = len(images)
    columns = {
        name: _column(name, values[name], Kind(leaf.dtype, leaf.shape), steps)
        for name, leaf in leaves.items()
        if name.startswith("steps/") and name != IMAGE
    }
    instructions = set(columns[INSTRUCTION].tolist())
    if len(instructions) > 1:
        raise ValueError("the instruction changes within the episode")
    if not np.isfinite(columns[ACTION]).all():
        raise ValueError(f"{ACTION} has values that are not finite")
    alone = {name: _alone(name, values, leaves) for name in (FILE_PATH, EPISODE_ID)}
    return Episode(
        split=split,
        episode_id=alone[EPISODE_ID],
        instruction=instructions.pop(),
        file_path=alone[FILE_PATH] or "",
        images=list(images),
        actions=columns[ACTION],
        extras={name: columns[key] for name in EXTRAS if (key := f"steps/{name}") in columns},
    )


def _alone(name: str, values: Mapping[str, example.Values], leaves: Mapping[str, Leaf]) -> Any:
    """Return the one value of a feature of the episode; None without it."""
    if name not in leaves:
        return None
    return _column(name, values[name], Kind(leaves[name].dtype, ()), 1).tolist()[0]


def _column(name: str, values: example.Values, kind: Kind, steps: int) -> np.ndarray:
    """Return (steps, *shape) of a feature's values.

    Raises:
        ValueError: they are of another type or number, or text is not UTF-8.
    """
    is_text = kind.dtype == "string"
    stored = "float32" if kind.dtype == "float32" else "int64"
    if is_text == isinstance(values, np.ndarray) or (not is_text and values.dtype != stored):
        raise ValueError(f"{name} has values of another type than {kind.dtype}")
    wanted = steps * int(np.prod(kind.shape))
    if len(values) != wanted:
        raise ValueError(f"{name} has {len(values)} values, {wanted} are needed")
    if is_text:
        return np.array([bytes(value).decode() for value in values], object)
    return values.reshape(steps, *kind.shape).astype(kind.dtype)
