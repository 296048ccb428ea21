"""The files of pictures with text."""

import json
from collections import Counter

import numpy as np
import pytest

from unblind import files, png
from unblind.errors import UnblindError
from unblind.pictures import shards
from unblind.pictures.questions import PLACE_KINDS, vocabulary, words
from unblind.pictures.scenes import Scene


@pytest.fixture(scope="module")
def made(renderer, tmp_path_factory):
    """A set of three small shards, made by two processes."""
    folder = tmp_path_factory.mktemp("vlm") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_IMAGES", 20)
        shards.write(folder, 30, seed=5, workers=2, heldout=10, catalog="builtin")
    return folder


def rewrite(folder, workers=1):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_IMAGES", 20)
        shards.write(folder, 30, seed=5, workers=workers, heldout=10, catalog="builtin")


def test_shards_and_manifest_agree(made):
    manifest = json.loads((made / "manifest.json").read_text())
    names = {"train-00000.parquet", "train-00001.parquet"}
    names |= {"heldout-00000.parquet", "style-00000.parquet"}
    assert set(manifest["shards"]) == {path.name for path in made.glob("*.parquet")} == names
    for name, checksum in manifest["shards"].items():
        assert files.sha256(made / name) == checksum
    for split, stills, collages in (("train", 15, 15), ("heldout", 5, 5), ("style", 0, 10)):
        rows = shards.read(made, split)
        kinds = {"still": stills, "collage": collages}
        assert manifest["counts"][split]["images"] == {k: n for k, n in kinds.items() if n}
        assert Counter(row["kind"] for row in rows) == {k: n for k, n in kinds.items() if n}
        asked = sum(len(row["turns"]) for row in rows)
        assert sum(manifest["counts"][split]["questions"].values()) == asked


def test_rows_hold_a_picture_and_turns_in_the_closed_vocabulary(made):
    known = set(vocabulary())
    for row in shards.read(made, "train"):
        image = png.decode(row["image"])
        assert image.shape == (96, 128, 3)
        assert image.dtype == np.uint8
        assert row["turns"]
        for turn in row["turns"]:
            said = words(f"{turn['question']} {turn['answer']}")
            assert {word for word in said if not word.startswith("<loc")} <= known
            assert turn["answer"].startswith("<loc") == (turn["kind"] in PLACE_KINDS)


def test_pictures_are_stored_without_loss_and_splits_differ(made):
    rows = shards.read(made, "train")
    renderer, artist, _ = shards._artists("builtin")
    np.testing.assert_array_equal(png.decode(rows[21]["image"]), artist.draw([5, 0, 21, 0]).image)
    still = renderer.draw([5, 0, 20, 0])
    np.testing.assert_array_equal(png.decode(rows[20]["image"]), still.image)
    assert Scene.from_json(rows[20]["scene"]) == still.scene
    assert (png.decode(rows[22]["image"]) != renderer.draw([5, 0, 22, 0]).image).mean() > 0.3
    train = {row["image"] for row in rows}
    assert len(train) == 30
    assert not train & {row["image"] for row in shards.read(made, "heldout")}


def test_a_damaged_and_a_missing_shard_are_made_again_by_any_number_of_workers(made):
    before = {path.name: path.read_bytes() for path in made.glob("*.parquet")}
    (made / "train-00000.parquet").unlink()
    (made / "heldout-00000.parquet").write_bytes(b"torn")
    kept = (made / "train-00001.parquet").stat().st_mtime_ns
    rewrite(made)
    assert {path.name: path.read_bytes() for path in made.glob("*.parquet")} == before
    assert (made / "train-00001.parquet").stat().st_mtime_ns == kept
    stamp = (made / "manifest.json").stat().st_mtime_ns
    rewrite(made)  # finished: nothing is done
    assert (made / "manifest.json").stat().st_mtime_ns == stamp


def test_held_out_pictures_do_not_depend_on_the_number_of_training_pictures(made, tmp_path):
    """So a set of them alone can be drawn, as `unblind base held-out` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_IMAGES", 20)
        shards.write(tmp_path, 1, seed=5, workers=1, heldout=10, catalog="builtin")
    for name in ("heldout-00000.parquet", "style-00000.parquet"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()
    assert shards.names(tmp_path) == shards.names(made)


@pytest.mark.parametrize("wrong", [{"images": 0}, {"workers": 0}, {"seed": -1}, {"heldout": 0}])
def test_numbers_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(UnblindError, match=next(iter(wrong))):
        shards.write(tmp_path / "set", **({"images": 4, "seed": 0, "workers": 1} | wrong))
    assert not (tmp_path / "set").exists()


def test_an_unknown_split_and_a_torn_file_are_one_error(tmp_path):
    with pytest.raises(UnblindError, match="no pictures with text of split 'validation'"):
        shards.read(tmp_path, "validation")
    (tmp_path / "train-00000.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(UnblindError, match="unreadable"):
        shards.read(tmp_path, "train")
