"""Held-out questions to the base, to the weights before it, and to a trained run."""

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

from unblind.config import load
from unblind.diagnosis import models as diagnosed
from unblind.errors import UnblindError
from unblind.pictures import shards
from unblind.steps import answering
from unblind.study import jobs, provenance
from unblind.vla import checkpoint, lora

SMOKE = Path(__file__).parents[2] / "workflow" / "config" / "smoke.yaml"
NAMES = {"object": [["carrot"]], "plate": [["plate"]]}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A study in the working folder: a small base, other weights, one adapter, six pictures."""
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
    folder = jobs.path(config, "held_out").parent
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    place = {"question": "where is the carrot", "answer": "<loc010><loc100>", "kind": "where"}
    yes = {"question": "is the cube on the plate", "answer": "yes", "kind": "is_on"}
    for split in ("heldout", "style"):
        rows = [
            {"image": demonstrations.picture(rng), "turns": [place, yes], "kind": "still"}
            for _ in range(3)
        ]
        pq.write_table(pa.Table.from_pylist(rows, shards.SCHEMA), folder / f"{split}-0.parquet")
    (folder / "manifest.json").write_text(json.dumps({"names": NAMES}))
    return config


def adapter(config):
    """Write an adapter for 'default' that changes the base."""
    base = checkpoint.load(jobs.base_folder(config))
    folder = jobs.run_folder(config, "default", 0)
    wrapped = lora.add_lora(base.model, rank=4, alpha=4, seed=0, vision=True)
    with torch.no_grad():
        for name, weights in wrapped.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    lora.save_adapter(wrapped, folder, base.identity)


def asked_of(config, run, monkeypatch):
    """Return the weights of the output head of the model that is asked."""
    seen = {}
    load = diagnosed.load

    def note(job):
        loaded = load(job)
        seen["head"] = loaded.model.state_dict()["language_model.lm_head.weight"].clone()
        return loaded

    monkeypatch.setattr(diagnosed, "load", note)
    answering.ask(config, run, 0)
    return seen["head"]


def test_every_model_is_asked_with_its_own_weights(config, monkeypatch):
    adapter(config)
    heads = {run: asked_of(config, run, monkeypatch) for run in ("base", "vlm", "default")}
    for run, seed in (("base", 0), ("vlm", 1)):
        wanted = models.small(seed).state_dict()["language_model.lm_head.weight"].half().float()
        assert torch.equal(heads[run], wanted)
    assert not torch.equal(heads["default"], heads["base"])
    for run in heads:
        frame = pd.read_parquet(f"results/answers/{run}/0.parquet")
        assert len(frame) == 2 * 3 * 2
        assert frame["blind"].notna().all() == (run != "default")
    inputs = provenance.read("results/answers/default/0.parquet")["inputs"]
    assert any(name.endswith("adapter_model.safetensors") for name in inputs)
    inputs = provenance.read("results/answers/vlm/0.parquet")["inputs"]
    assert "results/rebuilt-base/vlm.safetensors" in inputs


def test_a_scripted_run_and_missing_pictures_are_refused(config):
    with pytest.raises(UnblindError, match="nothing to do for run 'oracle'") as caught:
        answering.ask(config, "oracle", 0)
    assert "runs for answers: default, vlm, base" in caught.value.remedy
    with pytest.raises(UnblindError, match=r"adapter_model\.safetensors is missing"):
        answering.ask(config, "default", 0)
    jobs.path(config, "held_out").unlink()
    with pytest.raises(UnblindError, match=r"manifest\.json is missing") as caught:
        answering.ask(config, "base", 0)
    assert caught.value.remedy == "run: unblind base held-out"
    assert not Path("results/answers").exists()
