"""First frames of VL-Think, and answers of a small model about them."""

import shutil

import models
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.png import decode, encode
from unblind.steps import thinking
from unblind.study import jobs, provenance
from unblind.think.domains import DOMAINS
from unblind.vla import checkpoint


@pytest.fixture
def config(request, tmp_path, monkeypatch):
    """A study in the working folder with a small base."""
    smoke = request.config.rootpath / "workflow" / "config" / "smoke.yaml"
    monkeypatch.chdir(tmp_path)
    config = load(smoke, {"rebuild_base": True, "results": "results"})
    base = jobs.base_folder(config)
    checkpoint.save(base, models.small(), models.VOCABULARY, models.STATISTICS.to_json())
    shutil.copy(base / "model.safetensors", base / "vlm.safetensors")
    return config


def test_frames_are_the_first_of_the_episodes_that_are_asked_about(config):
    thinking.frames(config)
    rows = pq.read_table("results/think-frames/frames.parquet").to_pylist()
    assert [row["domain"] for row in rows] == [domain.name for domain in DOMAINS]
    assert {row["style"] for row in rows} == {"unseen"}
    pictures = [decode(row["image"]) for row in rows]
    size = (config.render.height, config.render.width, 3)
    assert {picture.shape for picture in pictures} == {size}
    assert len({picture.tobytes() for picture in pictures}) == len(rows)


def test_answers_are_recorded_one_a_row(config):
    episodes = thinking.asked_about(config)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (48, 64, 3), dtype="uint8") for _ in episodes]
    columns = {
        "domain": [episode.condition for episode in episodes],
        "episode_id": [episode.episode_id for episode in episodes],
        "style": [episode.style for episode in episodes],
        "image": [encode(frame) for frame in frames],
    }
    path = jobs.path(config, "think_frames")
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)
    thinking.answer(config, "base", 0)
    rows = pd.read_parquet("results/think-answers/base/0.parquet")
    # Three boards in seven domains and two in Parity; of the arrows one alone is not there.
    assert rows.groupby("kind").size().to_dict() == {
        **dict.fromkeys(("at", "present", "where"), 23),
        "absent": 21,
    }
    inputs = provenance.read("results/think-answers/base/0.parquet")["inputs"]
    assert "results/think-frames/frames.parquet" in inputs


def test_without_frames_or_a_model_there_is_one_error(config):
    with pytest.raises(UnblindError, match=r"frames\.parquet is missing") as caught:
        thinking.answer(config, "base", 0)
    assert caught.value.remedy == "run: unblind think-answers --frames"
    with pytest.raises(UnblindError, match="nothing to do for run 'oracle'"):
        thinking.answer(config, "oracle", 0)
