"""Stored low features of generated pictures."""

import json

import demonstrations
import models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from unblind import png
from unblind.errors import UnblindError
from unblind.pictures import shards
from unblind.pictures.scenes import Gripper, Scene, Thing
from unblind.training import album
from unblind.training.team import Team
from unblind.vla.pixels import Squeezed

SCENES = [
    Scene(
        (Thing("carrot", "object", (0.5, 0.25), on="cloth", xyz=(0.1, 0.2, 0.9)),),
        frozenset({"cloth", "banana"}),
        "picnic table",
        Gripper((0.1, 0.4), (-0.1, 0.0, 1.0), opened=False),
    ),
    Scene((Thing("star", "shape", (0.3, 0.7), "red"),)),
]
COUNTS = (3, 2)


@pytest.fixture(scope="module")
def model():
    return models.small()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two shards whose pictures show one scene or the other in turn."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for shard, count in enumerate(COUNTS):
        rows = [
            {
                "image": demonstrations.picture(rng),
                "turns": [],
                "kind": "still",
                "scene": SCENES[(3 * shard + k) % 2].to_json(),
            }
            for k in range(count)
        ]
        table = pa.Table.from_pylist(rows, shards.SCHEMA)
        pq.write_table(table, folder / f"train-{shard:05d}.parquet")
    names = {"object": [["carrot"]]}
    (folder / "manifest.json").write_text(json.dumps({"names": names}))
    return folder


@pytest.fixture(scope="module")
def low(model, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("low")
    album.write_low(model, pictures, "train", folder, Team(0, 1))
    return folder


def test_a_scene_survives_its_text():
    for scene in SCENES:
        assert Scene.from_json(scene.to_json()) == scene


def test_an_album_gives_scenes_names_and_what_the_frozen_blocks_make_of_pictures(
    model, pictures, low
):
    pages = album.Album(pictures, "train", low)
    assert len(pages) == 5
    assert pages.scenes == [SCENES[k % 2] for k in range(5)]
    assert pages.names == {"object": [["carrot"]]}
    rows = shards.read(pictures, "train")
    for numbers in ([4], [3, 0, 2]):
        images = np.stack([png.decode(rows[n]["image"]) for n in numbers])
        expected = model.vision_backbone.low(Squeezed(model.config.image_size).training(images))
        torch.testing.assert_close(pages.low(numbers), expected, rtol=2e-3, atol=2e-3)


def test_two_processes_share_the_shards_and_what_is_there_is_kept(model, pictures, low, tmp_path):
    before = {path.name: path.read_bytes() for path in low.iterdir()}
    for rank, mine in ((0, 1), (1, 2)):
        album.write_low(model, pictures, "train", tmp_path, Team(rank, 2))
        assert len(list(tmp_path.iterdir())) == mine
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    album.write_low(model, pictures, "train", tmp_path, Team(0, 1))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps


def test_missing_torn_and_foreign_features_are_one_error(pictures, low, tmp_path):
    with pytest.raises(UnblindError, match="no readable features"):
        album.Album(pictures, "train", tmp_path)
    (tmp_path / "train-00000.npy").write_bytes(b"torn")
    with pytest.raises(UnblindError, match="no readable features"):
        album.Album(pictures, "train", tmp_path)
    (tmp_path / "train-00000.npy").write_bytes((low / "train-00001.npy").read_bytes())
    with pytest.raises(UnblindError, match="has 2 rows for 3 pictures"):
        album.Album(pictures, "train", tmp_path)
