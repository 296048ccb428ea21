"""Writing RLDS as TensorFlow Datasets reads it: one Example an episode, in files of some 256 MB."""

import itertools
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unblind import files
from unblind.errors import UnblindError
from unblind.formats import example, features, rlds, tfrecord
from unblind.formats.episodes import EXTRAS, Episode, Source
from unblind.formats.features import Leaf
from unblind.formats.known import Known
from unblind.progress import Progress

VERSION = "1.0.0"
_FILE_BYTES = 1 << 28
_FLAGS = ("is_first", "is_last", "is_terminal")


def check_name(name: str) -> None:
    """Refuse a name that TFDS does not take for a data set.

    Raises:
        UnblindError: it is no such name.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        cause = f"TFDS takes no data set called '{name}'"
        raise UnblindError(cause, "name the folder in small letters, digits and _: my_set")


def write(source: Source, folder: Path, name: str, progress: Progress) -> int:
    """Write ``folder/1.0.0`` as the data set ``name``; return how many steps there are.

    Raises:
        UnblindError: see the source, or its episodes do not all tell the same.
    """
    inside = folder / VERSION
    inside.mkdir()
    known, steps = Known(), 0
    splits: dict[str, _Files] = {}
    for split, group in itertools.groupby(source.episodes(), key=lambda e: e.split):
        with _Files(inside, name, split) as written:
            for episode in group:
                known.check(episode)
                written.add(example.serialise(_values(episode, known)))
                steps += len(episode)
                progress.advance()
        splits[split] = written
    files.write_json(inside / rlds.FEATURES, features.document(_leaves(known)))
    files.write_json(inside / rlds.INFO, _info(name, splits))
    files.write_json(inside / rlds.FACTS, {"format": source.format, **source.facts})
    return steps


class _Files:
    """The record files of a split; they get their names when their number is known."""

    def __init__(self, folder: Path, name: str, split: str) -> None:
        self._folder, self._name, self.split = folder, name, split
        self._open: BinaryIO | None = None
        self.lengths: list[int] = []
        self.bytes = 0
        self._left = 0

    def __enter__(self) -> "_Files":
        return self

    def add(self, record: bytes) -> None:
        """Append a record; a full file is followed by the next one."""
        if self._open is None or self._left < len(record):
            self._close()
            self._open = open(self._temporary(len(self.lengths)), "wb")
            self.lengths.append(0)
            self._left = _FILE_BYTES
        tfrecord.write(self._open, record)
        self.lengths[-1] += 1
        self.bytes += len(record)
        self._left -= len(record)

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._close()
        if failed is None:
            for number in range(len(self.lengths)):
                self._temporary(number).rename(self._folder / self._file(number))

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _temporary(self, number: int) -> Path:
        return self._folder / f"{self.split}-{number}.part"

    def _file(self, number: int) -> str:
        return f"{self._name}-{self.split}.tfrecord-{number:05d}-of-{len(self.lengths):05d}"


def _leaves(known: Known) -> dict[str, Leaf]:
    """Return the features of the set, by path."""
    form = known.form
    leaves = {
        rlds.IMAGE: Leaf("image", "uint8", (form.height, form.width, 3), form.kind),
        rlds.ACTION: Leaf("tensor", "float32", (7,)),
        rlds.INSTRUCTION: Leaf("text", "string"),
    }
    leaves |= {f"{features.STEPS}/{name}": Leaf("tensor", "bool") for name in _FLAGS}
    for name in known.extras:
        kind = EXTRAS[name]
        of = "text" if kind.dtype == "string" else "tensor"
        leaves[f"{features.STEPS}/{name}"] = Leaf(of, *kind)
    leaves[rlds.FILE_PATH] = Leaf("text", "string")
    if known.has_ids:
        leaves[rlds.EPISODE_ID] = Leaf("tensor", "int64")
    return leaves


def _values(episode: Episode, known: Known) -> dict[str, example.Values]:
    """Return an episode's values, by path of the feature."""
    steps = np.arange(len(episode))
    last = steps == len(episode) - 1
    columns = dict(zip(_FLAGS, (steps == 0, last, last), strict=True))
    columns |= {name: episode.extras[name] for name in known.extras}
    values: dict[str, example.Values] = {
        rlds.IMAGE: episode.images,
        rlds.ACTION: episode.actions,
        rlds.INSTRUCTION: [episode.instruction.encode()] * len(episode),
        rlds.FILE_PATH: [episode.file_path.encode()],
    }
    for name, column in columns.items():
        values[f"{features.STEPS}/{name}"] = _stored(column)
    if known.has_ids:
        values[rlds.EPISODE_ID] = np.array([episode.episode_id], np.int64)
    return values


def _stored(column: np.ndarray) -> example.Values:
    if column.dtype == object:
        return [text.encode() for text in column]
    return column if column.dtype == np.float32 else column.astype(np.int64)


def _info(name: str, splits: dict[str, _Files]) -> dict:
    """Return the content of dataset_info.json."""
    return {
        "name": name,
        "version": VERSION,
        "description": (
            "Demonstrations of unblind. episode_metadata/episode_id, where it is there, is the "
            "initial state; episodes are not numbered by their place in the files."
        ),
        "fileFormat": "tfrecord",
        "moduleName": "unblind.formats",
        "releaseNotes": {VERSION: "As exported."},
        "splits": [
            {
                "name": split,
                "filepathTemplate": rlds.TEMPLATE,
                "numBytes": str(written.bytes),
                "shardLengths": [str(length) for length in written.lengths],
            }
            for split, written in splits.items()
        ],
    }
