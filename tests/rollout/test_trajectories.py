"""Rollouts with every control step on record."""

import commands
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from unblind.config import load
from unblind.rollout import run, trajectories
from unblind.sim.studio import TABLE_HEIGHT

NAME = "in_distribution"
STEPS = 40


@pytest.fixture(scope="module")
def config():
    return load(commands.SMOKE, {"rollout.in_distribution_episodes": 1, "rollout.max_steps": STEPS})


@pytest.fixture(scope="module")
def record(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trajectories")
    trajectories.rollout(config, "oracle", 0, folder, [NAME], 1)
    return folder / f"{NAME}.parquet"


def test_outcomes_are_those_without_steps(config, record, tmp_path):
    run.rollout(config, "oracle", 0, tmp_path, [NAME], 1)
    plain, full = (pd.read_parquet(path) for path in (tmp_path / f"{NAME}.parquet", record))
    pd.testing.assert_frame_equal(full[list(plain.columns)], plain)
    assert pq.read_schema(record).remove_metadata().equals(trajectories.SCHEMA)


def test_every_step_has_its_action_and_poses(record):
    (row,) = pd.read_parquet(record).to_dict("records")
    actions, success = np.stack(row["action"]), row["success"]
    gripper, thing = np.stack(row["gripper_pose"]), np.stack(row["object_pose"])
    assert actions.shape == (STEPS, 7) and gripper.shape == thing.shape == (STEPS + 1, 7)
    assert len(success) == STEPS and success[-1] == row["success_final"] == 1
    assert set(actions[:, 6]) == {-1, 1}
    # Rotations are unit quaternions, and the object is carried by the closed gripper.
    assert np.linalg.norm(gripper[:, 3:], axis=1) == pytest.approx(1, abs=1e-5)
    assert thing[0, 2] - TABLE_HEIGHT < 0.05 < thing[:, 2].max() - thing[0, 2]
    carried = thing[:, 2] > thing[0, 2] + 0.03
    assert np.linalg.norm((gripper - thing)[carried, :3], axis=1).max() < 0.06
    assert row["finger_m"].min() < row["finger_m"][0]


def test_a_plain_record_is_not_taken_for_one_with_steps(config, record):
    before = record.stat().st_mtime_ns
    trajectories.rollout(config, "oracle", 0, record.parent, [NAME], 1)
    assert record.stat().st_mtime_ns == before
    run.rollout(config, "oracle", 0, record.parent, [NAME], 1)
    assert "action" not in pq.read_schema(record).names
