"""Writing LeRobot data sets, version 3.0: Parquet files with the pictures inside, no video.

``data/chunk-000/file-000.parquet`` holds a row a step, ``meta/episodes/...`` a row an episode,
``meta/tasks.parquet`` the instructions, ``meta/stats.json`` statistics and ``meta/info.json`` the
table of features.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files, png
from unblind.formats import statistics
from unblind.formats.episodes import ACTION, EXTRAS, Episode, Kind, Source
from unblind.formats.known import Known
from unblind.formats.own import vectors
from unblind.formats.rlds import FACTS
from unblind.formats.statistics import PICTURES, PictureCounts
from unblind.progress import Progress

FORMAT_VERSION = "v3.0"
#: Control steps a second, as in the environment (`sim.env.CONTROL_HZ`).
HZ = 5
IMAGE = "observation.image"
_FILE_MB, _VIDEO_MB, _CHUNK_FILES = 100, 200, 1000
_PATH = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
#: Columns that every such data set has.
_COUNTED = {
    "timestamp": Kind("float32", ()),
    **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), Kind("int64", ())),
}


def write(source: Source, folder: Path, progress: Progress) -> int:
    """Write a data set; return how many steps there are.

    Raises:
        UnblindError: see the source, or its episodes do not all tell the same.
    """
    meta = folder / "meta"
    meta.mkdir()
    whole = _Whole()
    with _Data(folder / "data") as data:
        for episode in source.episodes():
            whole.known.check(episode)
            columns = whole.columns(episode)
            place = data.add(episode, columns, whole.known)
            whole.add(episode, columns, place)
            progress.advance()
    episodes = meta / "episodes" / _PATH.format(chunk_index=0, file_index=0)
    episodes.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(whole.rows), episodes)
    tasks = pd.Index(whole.tasks, name="task")
    pd.DataFrame({"task_index": range(len(tasks))}, index=tasks).to_parquet(meta / "tasks.parquet")
    files.write_json(meta / "stats.json", whole.statistics())
    files.write_json(meta / "info.json", whole.info(source))
    files.write_json(meta / FACTS, {"format": source.format, **source.facts})
    return whole.steps


class _Whole:
    """The whole set, gathered episode by episode; of its numbers all are kept, of pictures none."""

    def __init__(self) -> None:
        self.known, self.steps = Known(), 0
        self.tasks: dict[str, int] = {}
        self.rows: list[dict[str, Any]] = []
        self._values: dict[str, list[np.ndarray]] = {}
        self._pictures = PictureCounts()

    def columns(self, episode: Episode) -> dict[str, np.ndarray]:
        """Return all columns of an episode but its pictures, by name."""
        task = self.tasks.setdefault(episode.instruction, len(self.tasks))
        frames = np.arange(len(episode))
        same = {"episode_index": len(self.rows), "task_index": task}
        if self.known.has_ids:
            same["episode_id"] = episode.episode_id
        return {
            "action": episode.actions,
            **{name: episode.extras[name] for name in self.known.extras},
            "timestamp": (frames / HZ).astype(np.float32),
            "frame_index": frames,
            "index": self.steps + frames,
            **{name: np.full(len(frames), value, np.int64) for name, value in same.items()},
        }

    def add(self, episode: Episode, columns: dict[str, np.ndarray], place: tuple[int, int]) -> None:
        """Count an episode that stands in a file of the data, by its chunk and its number."""
        counts = PictureCounts()
        chosen = np.linspace(0, len(episode) - 1, min(PICTURES, len(episode))).astype(int)
        counts.add(png.decode(episode.images[step]) for step in chosen)
        self._pictures.join(counts)
        numbers = {name: rows_of(values) for name, values in columns.items() if is_number(values)}
        for name, values in numbers.items():
            self._values.setdefault(name, []).append(values)
        told = {IMAGE: counts.to_json()}
        told |= {name: statistics.of_values(values) for name, values in numbers.items()}
        row = {
            "episode_index": len(self.rows),
            "tasks": [episode.instruction],
            "length": len(episode),
            "split": episode.split,
            "file_path": episode.file_path,
            "data/chunk_index": place[0],
            "data/file_index": place[1],
            "dataset_from_index": self.steps,
            "dataset_to_index": self.steps + len(episode),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        if self.known.has_ids:
            row["episode_id"] = episode.episode_id
        for name, values in told.items():
            row |= {f"stats/{name}/{key}": value for key, value in values.items()}
        self.rows.append(row)
        self.steps += len(episode)

    def statistics(self) -> dict[str, Any]:
        """Return the content of stats.json."""
        found = {
            name: statistics.of_values(np.concatenate(parts))
            for name, parts in self._values.items()
        }
        return {IMAGE: self._pictures.to_json(), **found}

    def info(self, source: Source) -> dict[str, Any]:
        """Return the content of info.json."""
        splits, start = {}, 0
        for split, count in source.counts.items():
            splits[split] = f"{start}:{start + count}"
            start += count
        return {
            "codebase_version": FORMAT_VERSION,
            "robot_type": "widowx",
            "total_episodes": len(self.rows),
            "total_frames": self.steps,
            "total_tasks": len(self.tasks),
            "chunks_size": _CHUNK_FILES,
            "data_files_size_in_mb": _FILE_MB,
            "video_files_size_in_mb": _VIDEO_MB,
            "fps": HZ,
            "splits": splits,
            "data_path": f"data/{_PATH}",
            "video_path": None,
            "features": self._features(),
        }

    def _features(self) -> dict[str, Any]:
        form = self.known.form
        size = [form.height, form.width, 3]
        image = {"dtype": "image", "shape": size, "names": ["height", "width", "channels"]}
        found = {IMAGE: image}
        for name, kind in kinds(self.known).items():
            names = list(ACTION) if kind.shape == (7,) else None
            names = ["x", "y", "z"] if kind.shape == (3,) else names
            found[name] = {"dtype": kind.dtype, "shape": list(kind.shape or (1,)), "names": names}
        return found


def kinds(known: Known) -> dict[str, Kind]:
    """Return the columns of the data but the pictures."""
    found = {"action": Kind("float32", (7,))} | {name: EXTRAS[name] for name in known.extras}
    return found | _COUNTED | ({"episode_id": Kind("int64", ())} if known.has_ids else {})


def is_number(values: np.ndarray) -> bool:
    """Return whether a column has statistics: text has none."""
    return values.dtype != object


def rows_of(values: np.ndarray) -> np.ndarray:
    """Return (N, D) of a column of N numbers or N lists of D."""
    return values if values.ndim == 2 else values[:, None]


class _Data:
    """The files of steps, of some 100 MB each; an episode is whole in one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: pq.ParquetWriter | None = None
        self._number, self._bytes = -1, 0

    def __enter__(self) -> "_Data":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(
        self, episode: Episode, columns: dict[str, np.ndarray], known: Known
    ) -> tuple[int, int]:
        """Append an episode; return chunk and number of its file."""
        table = _table(episode, columns, known)
        if self._writer is None or self._bytes + table.nbytes > _FILE_MB * 10**6:
            self.__exit__()
            self._number, self._bytes = self._number + 1, 0
            path = self._folder / _PATH.format(**self._place())
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema, compression="snappy")
        self._writer.write_table(table)
        self._bytes += table.nbytes
        return tuple(self._place().values())

    def _place(self) -> dict[str, int]:
        chunk, number = divmod(self._number, _CHUNK_FILES)
        return {"chunk_index": chunk, "file_index": number}


def _table(episode: Episode, columns: dict[str, np.ndarray], known: Known) -> pa.Table:
    """Return an episode's rows; columns in the order of the table of features, which is sorted."""
    pictures = [{"bytes": image, "path": None} for image in episode.images]
    arrays = {IMAGE: pa.array(pictures, _PICTURE)}
    for name, kind in kinds(known).items():
        values = columns[name]
        is_list = values.ndim == 2
        arrays[name] = vectors(values) if is_list else pa.array(values, type=_arrow(kind))
    return pa.table(dict(sorted(arrays.items())))


def _arrow(kind: Kind) -> pa.DataType:
    if kind.dtype == "string":
        return pa.string()
    return pa.bool_() if kind.dtype == "bool" else pa.from_numpy_dtype(kind.dtype)
