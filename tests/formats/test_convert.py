"""Whole sets from one format into another, through the command and in this process."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import commands
import cv2
import demonstrations
import golden
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import unblind
from unblind import files, png
from unblind.config import load
from unblind.demos import shards
from unblind.errors import UnblindError
from unblind.formats import convert, lerobot, rlds, rlds_writing, tfrecord
from unblind.vla.tokens import ActionNormalizer

GOLDEN = Path(__file__).parents[1] / "data" / "rlds" / golden.NAME
CONFIG = load(commands.SMOKE, {"demos.noop_filter": "released"})
TRAIN, HELD_OUT = 5, 2
STEPS = demonstrations.STEPS


@pytest.fixture
def own(tmp_path):
    """Seven made-up episodes of ours, two held out."""
    return demonstrations.write(tmp_path / "own", CONFIG, TRAIN, HELD_OUT)


def to(form, source, out):
    return convert.convert(CONFIG, source, out, form)


def everything(folder):
    """Return all values of a set of ours, arrays as bytes."""
    found = {}
    for split in ("train", "held_out"):
        for number, episode in enumerate(shards.load(folder, split)):
            for name, value in episode.items():
                plain = (value.dtype.str, value.tobytes()) if hasattr(value, "tobytes") else value
                found[split, number, name] = plain
    return found


# ---- there and back ---------------------------------------------------------------------------


def test_to_rlds_and_back_gives_the_same_bytes(own, tmp_path):
    assert to("rlds", own, tmp_path / "my_set") == (7, 7 * STEPS)
    assert to("unblind", tmp_path / "my_set", tmp_path / "back") == (7, 7 * STEPS)
    assert everything(tmp_path / "back") == everything(own)
    before, after = shards.load_manifest(own), shards.load_manifest(tmp_path / "back")
    assert after["episodes"] == before["episodes"] == {"train": [*range(5)], "held_out": [100, 101]}
    assert after["frames"]["raw"] == before["frames"]["raw"]
    assert after["statistics"] == before["statistics"]
    assert after["source"]["source"]["config"] == before["config"], "settings travel, too"


def test_a_set_of_tensorflow_becomes_ours_and_rlds_again(tmp_path):
    to("unblind", GOLDEN, tmp_path / "ours")
    manifest = shards.load_manifest(tmp_path / "ours")
    assert manifest["episodes"] == {"train": [None] * 3}, "attempts are no ids"
    assert manifest["file_paths"]["train"][1].endswith("_epsid_10.npz")
    ActionNormalizer.from_json(manifest["statistics"], "manifest.json")
    assert [path.name for path in sorted((tmp_path / "ours").glob("*.parquet"))] == [
        "train-00000.parquet",  # smoke.yaml: two episodes each
        "train-00001.parquet",
    ]
    episode = shards.load(tmp_path / "ours", "train")[1]
    assert episode["instruction"] == "put café on plate"
    np.testing.assert_array_equal(episode["executed"], episode["actions"])
    assert np.isnan(episode["object_xyz"]).all() and episode["held"].tolist() == [None] * 4
    assert set(episode["stages"]) == {None} and episode["episode_id"] is None
    to("rlds", tmp_path / "ours", tmp_path / "again")
    here, there = list(rlds.read(GOLDEN).episodes()), list(rlds.read(tmp_path / "again").episodes())
    for one, other in zip(here, there, strict=True):
        assert (one.images, one.instruction, one.file_path) == (
            *(other.images, other.instruction, other.file_path),
        )
        assert one.actions.tobytes() == other.actions.tobytes()
        assert other.episode_id is None and "held" not in other.extras


# ---- RLDS as it is written --------------------------------------------------------------------


def test_files_and_documents_are_those_of_tfds(own, tmp_path, monkeypatch):
    monkeypatch.setattr(rlds_writing, "_FILE_BYTES", 60_000)  # two episodes
    to("rlds", own, tmp_path / "my_set")
    folder = tmp_path / "my_set" / "1.0.0"
    wanted = {f"my_set-train.tfrecord-0000{n}-of-00003" for n in range(3)}
    wanted |= {"my_set-held_out.tfrecord-00000-of-00001"}
    wanted |= {"dataset_info.json", "features.json", "unblind.json"}
    assert {path.name for path in folder.iterdir()} == wanted
    info = json.loads((folder / "dataset_info.json").read_text())
    by_name = {split["name"]: split for split in info["splits"]}
    assert by_name["train"]["shardLengths"] == ["2", "2", "1"]
    written = sum(
        len(record) for path in folder.glob("my_set-train*") for record in tfrecord.read(path)
    )
    assert int(by_name["train"]["numBytes"]) == written
    made = json.loads((folder / "features.json").read_text())
    real = json.loads((GOLDEN / "1.0.0" / "features.json").read_text())
    assert contains(made, real, {"dimensions": ["48", "64", "3"], "encodingFormat": "png"})


def contains(made, real, other):
    """Whether a document has all that another one has, but for these values."""
    if isinstance(real, dict):
        parts = [
            made[key] == other[key] or contains(made[key], real[key], other)
            for key in real
            if key in other
        ]
        return all(parts) and all(
            contains(made[key], real[key], other) for key in real if key not in other
        )
    return made == real


# ---- LeRobot as it is written -----------------------------------------------------------------


@pytest.fixture
def exported(own, tmp_path):
    to("lerobot", own, tmp_path / "lerobot")
    return tmp_path / "lerobot"


def test_rows_of_lerobot_are_the_steps(own, exported):
    rows = pq.read_table(exported / "data" / "chunk-000" / "file-000.parquet").to_pylist()
    info = json.loads((exported / "meta" / "info.json").read_text())
    assert len(rows) == info["total_frames"] == 7 * STEPS
    assert list(rows[0]) == list(info["features"]), "readers rely on the order"
    episodes = shards.load(own, "train") + shards.load(own, "held_out")
    for index, row in enumerate(rows):
        episode, step = episodes[index // STEPS], index % STEPS
        assert (row["index"], row["frame_index"], row["episode_index"]) == (
            *(index, step, index // STEPS),
        )
        assert row["episode_id"] == episode["episode_id"]
        assert row["timestamp"] == np.float32(step / 5)
        assert row["observation.image"] == {"bytes": episode["images"][step], "path": None}
        assert row["action"] == episode["actions"][step].tolist()
        assert row["stage"] == episode["stages"][step] and row["held"] == episode["held"][step]


def test_documents_of_lerobot(exported):
    info = json.loads((exported / "meta" / "info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["video_path"]) == ("v3.0", 5, None)
    assert info["splits"] == {"train": "0:5", "held_out": "5:7"}
    assert info["features"]["observation.image"]["shape"] == [48, 64, 3]
    assert info["features"]["action"]["shape"] == [7]
    rows = pq.read_table(exported / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["episode_id"] for row in rows] == [0, 1, 2, 3, 4, 100, 101]
    assert [row["dataset_to_index"] for row in rows] == [STEPS * n for n in range(1, 8)]
    tasks = pd.read_parquet(exported / "meta" / "tasks.parquet")
    assert tasks.iloc[0].name == "put carrot on plate" and tasks.iloc[0].task_index == 0
    stats = json.loads((exported / "meta" / "stats.json").read_text())
    assert stats["action"]["count"] == [7 * STEPS] and stats["index"]["max"] == [7 * STEPS - 1]
    assert "stage" not in stats and np.shape(stats["observation.image"]["mean"]) == (3, 1, 1)


def test_a_full_file_is_followed_by_the_next(own, tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot, "_FILE_MB", 0.06)
    monkeypatch.setattr(lerobot, "_CHUNK_FILES", 2)
    to("lerobot", own, tmp_path / "lerobot")
    found = sorted((tmp_path / "lerobot" / "data").rglob("*.parquet"))
    names = [str(path.relative_to(tmp_path / "lerobot" / "data")) for path in found]
    assert names[:3] == [f"chunk-00{n // 2}/file-00{n % 2}.parquet" for n in range(3)]
    rows = pq.read_table(tmp_path / "lerobot/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for row in rows:
        place = (row["data/chunk_index"], row["data/file_index"])
        steps = pq.read_table(found[place[0] * 2 + place[1]], columns=["episode_index"])
        assert row["episode_index"] in steps["episode_index"].to_pylist()


def test_frames_come_as_often_as_control_steps():
    source = (Path(unblind.__file__).parent / "sim" / "env.py").read_text()
    assert re.search(r"SIM_HZ, CONTROL_HZ = \d+, (\d+)\n", source)[1] == str(lerobot.HZ)


# ---- the readers of others --------------------------------------------------------------------


def expected(own):
    """What a reader should tell of our set, by episode id."""
    found = {}
    for split in ("train", "held_out"):
        for episode in shards.load(own, split):
            pictures = np.stack([png.decode(image) for image in episode["images"]])
            found[episode["episode_id"]] = {
                "split": split,
                "episode_id": episode["episode_id"],
                "file_path": f"{split}-00000.parquet",
                "instruction": episode["instruction"],
                "pictures": hashlib.sha256(pictures.tobytes()).hexdigest()[:16],
                "actions": hashlib.sha256(episode["actions"].tobytes()).hexdigest()[:16],
                "held": episode["held"].tolist(),
                "stages": episode["stages"],
                "ends": STEPS - 1,
            }
    return found


@pytest.mark.parametrize(
    ("form", "script", "variable"),
    [
        ("rlds", "with_tfds.py", "UNBLIND_TFDS_PYTHON"),
        ("lerobot", "with_lerobot.py", "UNBLIND_LEROBOT_PYTHON"),
    ],
)
def test_the_readers_of_others_find_the_same(form, script, variable, own, tmp_path):
    """The variable names a Python that has TensorFlow Datasets, or LeRobot 0.4 or later."""
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} names no Python with that reader")
    to(form, own, tmp_path / "my_set")
    folder = tmp_path / "my_set" / ("1.0.0" if form == "rlds" else "")
    program = Path(__file__).with_name(script)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, program, folder], capture_output=True, text=True, timeout=500, env=clean
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["episode_id"]: one for one in told} == expected(own)


# ---- the command ------------------------------------------------------------------------------


def run(*words):
    return commands.run("convert", *words, "--config", commands.SMOKE)


def test_the_command_says_what_it_wrote(tmp_path):
    done = run(GOLDEN, tmp_path / "out", "--to", "lerobot")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out'}: 3 episodes, 12 steps\n"
    assert "episodes: 3 to do, about 1 CPU-seconds" in done.stderr
    assert "episodes: 3/3" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_damaged_set_is_one_line_and_leaves_nothing(tmp_path):
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "set")) / "1.0.0"
    path = next(folder.glob("*.tfrecord-*"))
    path.write_bytes(path.read_bytes()[:-100])
    line = commands.problem(run(folder, tmp_path / "out", "--to", "unblind"))
    assert line.startswith(f"error: {path}, record 2: ")
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def lerobot_folder(folder):
    files.write_json(folder / "meta" / "info.json", {})


def manifest_alone(folder):
    files.write_json(folder / "manifest.json", {"shards": {}, "statistics": {}})


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: None, "holds neither demonstrations .manifest.json. nor RLDS"),
        (lerobot_folder, "is of LeRobot, which is only written"),
        (manifest_alone, "does not list its episodes"),
    ],
)
def test_a_source_of_no_known_format(prepare, words, tmp_path):
    prepare(tmp_path / "source")
    with pytest.raises(UnblindError, match=words):
        to("rlds", tmp_path / "source", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_and_folders_that_cannot_be(own, tmp_path):
    with pytest.raises(UnblindError, match="takes no data set called 'My-Set'"):
        to("rlds", own, tmp_path / "My-Set")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(UnblindError, match="out already holds something"):
        to("lerobot", own, tmp_path / "out")


@pytest.mark.parametrize("form", ["unblind", "rlds", "lerobot"])
def test_a_full_disk_is_one_line(form, own, small_disk):
    """The small disk takes the first episodes, not all."""
    with pytest.raises(UnblindError, match=r"disk full while writing .*free space"):
        to(form, own, small_disk / "out")
    assert list(small_disk.iterdir()) == []


def test_a_damaged_shard_of_ours(own, tmp_path):
    with open(own / "train-00000.parquet", "ab") as handle:
        handle.write(b"x")
    with pytest.raises(UnblindError, match="differs from its manifest"):
        to("rlds", own, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"own"}


def test_pictures_of_two_sizes_are_refused(own, tmp_path):
    table = pq.read_table(own / "held_out-00000.parquet")
    images = table["image"].to_pylist()
    images[20] = cv2.imencode(".png", np.zeros((6, 8, 3), np.uint8))[1].tobytes()
    table = table.set_column(2, table.schema.field("image"), [images])
    pq.write_table(table, own / "held_out-00000.parquet")
    manifest = json.loads((own / "manifest.json").read_text())
    manifest["shards"]["held_out-00000.parquet"] = files.sha256(own / "held_out-00000.parquet")
    files.write_json(own / "manifest.json", manifest)
    with pytest.raises(UnblindError, match="an episode has pictures of 2 kinds"):
        to("lerobot", own, tmp_path / "out")


def test_neither_tensorflow_nor_lerobot_is_imported():
    nodes = [
        node
        for path in Path(convert.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
    ]
    found = {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in found}
    assert {"unblind", "numpy", "pyarrow"} <= roots
    assert not roots & {"tensorflow", "tensorflow_datasets", "lerobot", "datasets", "google"}
