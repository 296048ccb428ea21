"""Frames with masks: area shares by hand, parts of real pictures, and rows that are read back."""

from pathlib import Path

import numpy as np
import pytest

from unblind.config import load
from unblind.diagnosis import drawing, frames
from unblind.diagnosis.frames import PARTS, area_shares
from unblind.errors import UnblindError
from unblind.sim.episodes import decode, sample_ids

SMOKE = Path(__file__).parents[2] / "workflow" / "config" / "smoke.yaml"


def test_shares_are_areas_also_where_cells_cut_pixels():
    mask = np.zeros((1, 3, 4), bool)
    mask[0, 1, 0] = True  # the middle row of three lies half in each of two rows of cells
    shares = area_shares(mask, 2)
    # A cell has 1.5 x 2 pixels; half a pixel is a sixth of that.
    assert shares[0].tolist() == pytest.approx([1 / 6, 0, 1 / 6, 0])
    whole = area_shares(np.ones((2, 9, 12), bool), 4)
    assert whole == pytest.approx(np.ones((2, 16)))
    rng = np.random.default_rng(0)
    masks = rng.random((3, 48, 64)) < 0.3
    assert area_shares(masks, 5).mean(1) == pytest.approx(masks.mean((1, 2)))


@pytest.fixture(scope="module")
def config():
    return load(SMOKE, {"frames.episodes": 1, "frames.class_episodes": 2})


@pytest.fixture(scope="module")
def env(renderer):
    from unblind.diagnosis.segments import SegmentedEnv

    made = SegmentedEnv(width=64, height=48)
    yield made
    made.close()


@pytest.mark.parametrize("condition", ["in_distribution", "multi_carrot", "multi_plate"])
def test_parts_are_what_the_picture_shows(env, condition):
    (number,) = sample_ids(condition, 1, 3, purpose="validation")
    episode = decode(condition, number)
    env.reset(options={"episode": episode})
    segments = env.segments()
    _, shown = env.render_raw()
    assert np.array_equal(segments > 0, shown)
    parts = {PARTS[n] for n in np.unique(segments)}
    third = {"multi_carrot": {"distractor"}, "multi_plate": {"distractor_plate"}}
    assert parts == {"background", "object", "plate", "robot"} | third.get(condition, set())
    # The object lies where the camera sees its centre.
    from unblind.sim import camera

    column, row = camera.project(env.object.pose.p[None])[0] / np.array(camera.FRAME)
    found = np.argwhere(segments == PARTS.index("object")).mean(0) / segments.shape
    assert np.abs(found - [row, column]).max() < 0.08


@pytest.fixture(scope="module")
def drawn(config, renderer, tmp_path_factory):
    rows = drawing.of_episodes(config, 0.0)
    path = tmp_path_factory.mktemp("frames") / "episodes.parquet"
    frames.write(path, rows)
    return path


def test_each_condition_has_its_moments_with_the_planner_s_action(drawn):
    found = frames.read(drawn)
    assert found.rows["frame"].tolist() == list(range(len(found)))
    by_condition = found.rows.groupby("condition", observed=True)["moment"].agg(list)
    assert by_condition.to_dict() == {
        name: ["start", "approach", "grasp", "carry"] for name in drawing.CONDITIONS
    }
    actions = np.stack(found.rows["action"])
    closing = (found.rows["moment"] == "grasp").to_numpy()
    assert (actions[closing, 6] == -1).all() and (actions[closing, :6] == 0).all()
    start = (found.rows["moment"] == "start").to_numpy()
    assert (actions[start, 6] == 1).all()
    assert np.linalg.norm(actions[start, :3], axis=1).min() > 0.005
    # Carried objects are above the table, the others stand on it.
    height = np.stack(found.rows["object_xyz"])[:, 2]
    carried = (found.rows["moment"] == "carry").to_numpy()
    assert height[carried].min() > height[start].max()


def test_parts_of_the_token_grid_add_up_to_the_picture(drawn):
    found = frames.read(drawn)
    shares = found.shares(4)
    assert list(shares) == list(PARTS)
    assert sum(shares.values()) == pytest.approx(np.ones((len(found), 16)))
    pixels = (found.segments == PARTS.index("object")).mean((1, 2))
    assert shares["object"].mean(1) == pytest.approx(pixels)


def test_the_same_frames_have_the_same_content(drawn, config, monkeypatch, tmp_path):
    first = drawing.CONDITIONS[0]
    monkeypatch.setattr(drawing, "CONDITIONS", (first,))
    frames.write(tmp_path / "some.parquet", drawing.of_episodes(config, 0.0))
    some, all_of = frames.read(tmp_path / "some.parquet"), frames.read(drawn)
    chosen = all_of.where((all_of.rows["condition"] == first).to_numpy())
    assert np.array_equal(some.images, chosen.images)
    assert np.array_equal(some.segments, chosen.segments)


def test_classes_have_first_frames_of_their_objects(config, renderer, tmp_path):
    rows = drawing.of_classes(config.model_copy(update={"collapse": _classes(config, "cup")}), 0.0)
    names = [row["object"] for row in rows]
    assert names == ["cup"] * 2 + ["plastic bottle"] * 2
    # 'cup' is an unseen object, so that its frames are of the condition that shows it.
    assert [row["condition"] for row in rows] == ["carrot"] * 2 + ["in_distribution"] * 2
    assert {row["moment"] for row in rows} == {"start"}
    frames.write(tmp_path / "classes.parquet", rows)
    found = frames.read(tmp_path / "classes.parquet")
    assert found.rows["action"].isna().all() and len(found) == 4
    with pytest.raises(UnblindError, match="names no object: 'cupp'"):
        drawing.of_classes(config.model_copy(update={"collapse": _classes(config, "cupp")}), 0.0)


def _classes(config, name):
    return config.collapse.model_copy(update={"classes": [name, "plastic bottle"]})


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "episodes.parquet").write_bytes(b"torn")
    with pytest.raises(UnblindError, match="is unreadable"):
        frames.read(tmp_path / "episodes.parquet")
