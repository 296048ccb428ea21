"""The pictures of the probes: what they show, where, and how they are split."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from unblind.config import load
from unblind.diagnosis import emblems, probe_pictures
from unblind.errors import UnblindError
from unblind.sim import camera
from unblind.sim.catalogs import load_catalog

SMOKE = Path(__file__).parents[2] / "workflow" / "config" / "smoke.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The smallest set, of two objects, two plates, and a table of each split."""
    everything, folder = load_catalog(), tmp_path_factory.mktemp("pictures")
    tables = (everything.tables[0], everything.tables[-1])
    few = SimpleNamespace(
        objects=everything.objects[:2], plates=everything.plates[:2], tables=tables
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe_pictures, "load_catalog", lambda _: few)
        patch.setattr(emblems, "CONCEPTS", emblems.CONCEPTS[:3])
        config = load(SMOKE, {"probe.stills": 6, "probe.stills_test": 4})
        probe_pictures.write(config, folder, 0.01)
    return folder


def columns(folder, task, split):
    return pd.concat([frame for _, frame in probe_pictures.read(folder, task, split)])


def test_the_manifest_counts_what_the_files_hold(folder):
    assert probe_pictures.counts(folder) == {
        "icons": {"train": 3 * 3, "test": 3 * 3},
        "portraits": {"train": 4, "test": 4},
        "stills": {"train": 12, "test": 8},
    }
    for task, splits in probe_pictures.counts(folder).items():
        for split, count in splits.items():
            images = [
                image for some, _ in probe_pictures.read(folder, task, split) for image in some
            ]
            assert len(images) == count == len(columns(folder, task, split))
            assert {image.shape for image in images} == {(96, 128, 3)}
            assert len({image.tobytes() for image in images}) == count


def test_names_and_looks(folder):
    icons = columns(folder, "icons", "test")
    assert set(icons["look"]) == {"contour", "poster", "hatched"}
    assert set(icons["name"]) == set(emblems.CONCEPTS[:3])
    assert set(columns(folder, "portraits", "test")["name"]) == {
        *("carrot", "kitchen shovel", "plate", "cloth"),
    }
    assert icons["row"].isna().all()


def test_a_stills_place_is_that_of_one_point_in_the_room(folder):
    """Along the camera's ray through row and column, at the distance, lies the height."""
    frame = columns(folder, "stills", "train").astype(
        {name: float for name in probe_pictures.PLACE}
    )
    u = frame["column"] * camera.FRAME[0] - camera.CENTER[0]
    v = frame["row"] * camera.FRAME[1] - camera.CENTER[1]
    rays = np.stack([u / camera.FOCAL, v / camera.FOCAL, np.ones(len(frame))], axis=1)
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True) @ camera.AXES
    points = camera.EYE + rays * frame[["distance_cm"]].to_numpy() / 100
    heights = 100 * (points[:, 2] - camera.TABLE_Z)
    np.testing.assert_allclose(heights, frame["height_cm"], atol=1e-2)
    assert (frame["height_cm"] > 0).all()
    assert frame[["row", "column"]].stack().between(0, 1).all()
    assert len(frame["distance_cm"].unique()) == len(frame)


def test_a_missing_file_is_one_error(folder, tmp_path):
    with pytest.raises(
        UnblindError, match=r"icons-test\.parquet is missing or unreadable"
    ) as caught:
        list(probe_pictures.read(tmp_path, "icons", "test"))
    assert "unblind probe-pictures" in caught.value.remedy


def test_real_pictures_take_the_place_of_icons(tmp_path, monkeypatch):
    for split in ("train", "val"):
        for number in range(100):
            place = tmp_path / "in" / split / f"n{number:03d}"
            place.mkdir(parents=True)
            (place / "one.png").write_bytes(_png(number))
    empty = SimpleNamespace(objects=(), plates=(), tables=())
    monkeypatch.setattr(probe_pictures, "load_catalog", lambda _: empty)
    for renderer in ("portraits", "stills"):
        source = probe_pictures._Source(
            renderer, dict.fromkeys(("train", "test"), 0), lambda _: iter(())
        )
        monkeypatch.setattr(probe_pictures, f"_{renderer}", lambda *_, source=source: source)
    config = load(SMOKE, {"probe.imagenet": str(tmp_path / "in")})
    probe_pictures.write(config, tmp_path / "out", 0.01)
    assert probe_pictures.tasks(tmp_path / "out")[0] == "imagenet"
    ((images, frame),) = probe_pictures.read(tmp_path / "out", "imagenet", "test")
    assert list(frame["name"]) == [f"n{number:03d}" for number in range(100)]
    assert {image.shape for image in images} == {(config.base.model.image_size,) * 2 + (3,)}
    assert images[7][0, 0].tolist() == [7, 0, 0]


def _png(red):
    from unblind import png

    return png.encode(np.full((5, 9, 3), (red, 0, 0), np.uint8))
