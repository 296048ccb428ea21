"""Probes of the base, of the weights before it, of a trained run, and of the references."""

import json
import shutil
from pathlib import Path

import demonstrations
import models
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from unblind import files
from unblind.config import load
from unblind.diagnosis import probe_pictures
from unblind.errors import UnblindError
from unblind.steps import probing, thinking
from unblind.study import jobs, provenance
from unblind.vla import checkpoint, lora

RUNS = ("base", "vlm", "default")
SMOKE = Path(__file__).parents[2] / "workflow" / "config" / "smoke.yaml"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A study in the working folder: a small base, other weights, one adapter, a few pictures."""
    monkeypatch.chdir(tmp_path)
    config = load(SMOKE, {"rebuild_base": True, "results": "results"})
    base = jobs.base_folder(config)
    statistics = models.STATISTICS.to_json()
    for seed, name in ((1, "vlm.safetensors"), (0, "model.safetensors")):
        checkpoint.save(tmp_path / "made", models.small(seed), models.VOCABULARY, statistics)
        base.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "made" / "model.safetensors", base / name)
    for name in ("config.json", "tokenizer.json", "statistics.json"):
        shutil.copy(tmp_path / "made" / name, base / name)
    adapter(config)
    write_pictures(jobs.path(config, "probe_pictures").parent)
    write_first_frames(config)
    return config


def write_first_frames(config):
    rng, episodes = np.random.default_rng(0), thinking.asked_about(config)
    columns = {
        "domain": [episode.condition for episode in episodes],
        "episode_id": [episode.episode_id for episode in episodes],
        "style": [episode.style for episode in episodes],
        "image": [demonstrations.picture(rng) for _ in episodes],
    }
    path = jobs.path(config, "think_frames")
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)


def write_pictures(folder):
    rng, counts = np.random.default_rng(0), {}
    for task, place in (("icons", {}), ("stills", dict.fromkeys(probe_pictures.PLACE, 1.0))):
        for split, count in (("train", 8), ("test", 4)):
            rows = [
                {"image": demonstrations.picture(rng), "name": f"n{k % 4}", "look": "line"} | place
                for k in range(count)
            ]
            path = folder / f"{task}-{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows, probe_pictures.SCHEMA), path)
            counts.setdefault(task, {})[split] = count
    files.write_json(folder / "manifest.json", {"pictures": counts})


def adapter(config):
    """Write an adapter for 'default' that changes the base."""
    base = checkpoint.load(jobs.base_folder(config))
    wrapped = lora.add_lora(base.model, rank=4, alpha=4, seed=0, vision=True)
    with torch.no_grad():
        for name, weights in wrapped.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    lora.save_adapter(wrapped, jobs.run_folder(config, "default", 0), base.identity)


def test_every_model_and_reference_is_probed_at_its_own_sites(config):
    for run in RUNS:
        probing.model(config, run, 0)
    probing.teacher(config)
    probing.references(config)
    frames = {
        path.relative_to("results/probe").as_posix(): pd.read_parquet(path)
        for path in Path("results/probe").rglob("*.parquet")
    }
    assert set(frames) == {
        *("base/0.parquet", "vlm/0.parquet", "default/0.parquet"),
        *("teachers/lite2-128.parquet", "random.parquet", "pixels.parquet"),
    }
    sites = ["tower", "projector", "block 1", "block 2"]
    alone = {"teachers/lite2-128.parquet": ["teacher"], "pixels.parquet": ["pixels"]}
    for name, frame in frames.items():
        own = alone.get(name, sites)
        assert list(frame["site"].unique()) == own
        assert len(frame) == 2 * 4 * len(own)
    named = {run: pd.read_parquet(f"results/named-board/{run}/0.parquet") for run in RUNS}
    for frame in named.values():
        assert list(frame["site"].unique()) == ["embedding", "block 1", "block 2"]
        assert len(frame) == 3 * 7 * 3, "seven domains have three boards"
    inputs = provenance.read("results/named-board/default/0.parquet")["inputs"]
    assert "results/think-frames/frames.parquet" in inputs
    inputs = provenance.read("results/probe/default/0.parquet")["inputs"]
    assert any(name.endswith("adapter_model.safetensors") for name in inputs)
    assert "results/probe-pictures/manifest.json" in inputs
    inputs = provenance.read("results/probe/vlm/0.parquet")["inputs"]
    assert "results/rebuilt-base/vlm.safetensors" in inputs
    told = provenance.read("results/probe/teachers/lite2-128.parquet")
    assert json.dumps(sorted(told["inputs"])) == json.dumps(
        ["results/probe-pictures/manifest.json", "results/rebuilt-base/config.json"]
    )
    assert told["extra"]["teacher"]["teacher"] == "lite2-128"


def test_a_scripted_run_and_missing_pictures_are_refused(config):
    with pytest.raises(UnblindError, match="nothing to do for run 'oracle'") as caught:
        probing.model(config, "oracle", 0)
    assert "runs for probe: default, vlm, base" in caught.value.remedy
    jobs.path(config, "probe_pictures").unlink()
    with pytest.raises(UnblindError, match=r"manifest\.json is missing") as caught:
        probing.model(config, "base", 0)
    assert caught.value.remedy == "run: unblind probe-pictures"
    assert not Path("results/probe").exists()
