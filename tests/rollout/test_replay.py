"""Replay of stored demonstrations: two at the smallest size."""

import commands
import made_up_release
import numpy as np
import pandas as pd
import pytest
from synthetic import CrewStandIn

from unblind.config import load
from unblind.demos import collect, labels, shards
from unblind.errors import UnblindError
from unblind.rollout import replay
from unblind.rollout.loop import Outcome
from unblind.study import provenance


@pytest.fixture(scope="module")
def config():
    return load(commands.SMOKE)


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory, renderer):
    """Two demonstrations."""
    out = tmp_path_factory.mktemp("demos")
    collect.collect(config, out, 1)
    return out


def test_what_the_planner_did_works_again(config, folder, tmp_path):
    out = tmp_path / "replay.parquet"
    replay.replay(config, folder, out, 1)
    frame = pd.read_parquet(out)
    assert frame["raw_success"].tolist() == [True, True]
    assert frame["tokenised_success"].dtype == bool
    episodes = {e["episode_id"]: e for e in shards.load(folder, "train")}
    assert sorted(frame["episode_id"]) == sorted(episodes)
    for row in frame.itertuples():
        assert row.steps_raw == len(episodes[row.episode_id]["executed"])
        assert 0 < row.steps_tokenised <= row.steps_raw, "merged steps are fewer"
        assert f"put {row.object} on plate" == episodes[row.episode_id]["instruction"]
    meta = provenance.read(out)
    assert [name.rsplit("/", 1)[-1] for name in meta["inputs"]] == ["manifest.json"]


@pytest.fixture
def crew(monkeypatch):
    """Replace the workers; ``played`` collects the sequences of each run."""

    class FakeCrew(CrewStandIn):
        played: list = []  # noqa: RUF012

        def run(self, episodes):
            self.played.append(self.policy._actions)
            yield from (Outcome(episode, success_final=True) for episode in episodes)

    monkeypatch.setattr(replay, "Crew", FakeCrew)
    return FakeCrew


def test_raw_is_what_was_executed_and_tokenised_is_within_half_a_bin(
    config, folder, tmp_path, crew
):
    replay.replay(config, folder, tmp_path / "replay.parquet", 1)
    raw, tokenised = crew.played
    statistics = shards.load_manifest(folder)["statistics"]
    low, high = np.array(statistics["q01"])[:6], np.array(statistics["q99"])[:6]
    for episode in shards.load(folder, "train"):
        number = episode["episode_id"]
        np.testing.assert_array_equal(raw[number], episode["executed"])
        chain = labels.apply("merge", episode["actions"], episode["executed"]).chain()
        # 256 bin edges over [-1, 1] make 255 bins between the quantiles; beyond them is cut off.
        error = np.abs(tokenised[number][:, :6] - np.clip(chain[:, :6], low, high))
        assert (error <= (high - low) / 255 / 2 + 1e-6).all()
        np.testing.assert_allclose(tokenised[number][:, 6], chain[:, 6], atol=1 / 255 + 1e-6)


def test_a_choice_is_seeded(config, folder, crew, tmp_path):
    chosen = {}
    for seed in range(6):
        one = load(commands.SMOKE, {"replay.episodes": 1, "seed": seed})
        paths = [tmp_path / f"{seed}{again}.parquet" for again in "ab"]
        for path in paths:
            replay.replay(one, folder, path, 1)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        chosen[seed] = int(pd.read_parquet(paths[0])["episode_id"].item())
    assert len(set(chosen.values())) == 2


def test_demonstrations_whose_files_have_gone_stop_it(folder, crew, made_up_assets, tmp_path):
    plate = made_up_release.folder_of("more_plate", "plate", 1)
    (made_up_assets / plate / "collision.obj").unlink()
    changes = {"catalog": str(made_up_assets), "catalog_missing": "skip"}
    with pytest.raises(UnblindError, match=r"cannot run 2 episodes \(in_distribution 2\) without"):
        replay.replay(load(commands.SMOKE, changes), folder, tmp_path / "replay.parquet", 1)
    assert crew.played == [] and not (tmp_path / "replay.parquet").exists()


def test_more_than_there_are_is_one_error(folder, crew, tmp_path):
    config = load(commands.SMOKE, {"replay.episodes": 3})
    with pytest.raises(UnblindError, match=r"3 demonstrations to replay, 2 there .lower replay\."):
        replay.replay(config, folder, tmp_path / "replay.parquet", 1)
    assert crew.played == [] and list(tmp_path.iterdir()) == []
