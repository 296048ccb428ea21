"""Which model a run rolls out with, in records and predictions, with models of few weights."""

import json
import shutil
from pathlib import Path

import commands
import models
import numpy as np
import pandas as pd
import pytest
import sizes
import synthetic
from PIL import Image

from unblind.config import load
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.rollout import run
from unblind.rollout.loop import Outcome
from unblind.rollout.predict import predict, predict_with_base
from unblind.rollout.trained import details, model_files, trained
from unblind.study import jobs, provenance
from unblind.study.rows.names import ADAPTER_FILES
from unblind.vla import checkpoint, lora

DIMENSIONS = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A rebuilt base, and an adapter on it that changes what it says."""
    folder = tmp_path_factory.mktemp("study")
    config = load(commands.SMOKE, {"results": str(folder), "rebuild_base": True})
    base = jobs.rebuilt(config)
    synthetic.tiny_base(base)
    wrapped = lora.add_lora(checkpoint.load(base).model, vision=True, seed=1, rank=2, alpha=2)
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(0.05)
    adapter = jobs.run_folder(config, "default", 0)
    lora.save_adapter(wrapped, adapter, sha256(base / "model.safetensors"))
    (adapter / "run.json").write_text(json.dumps({"steps": 4, "training_seed": 0}))
    return folder


@pytest.fixture
def config(study, tmp_path):
    folder = shutil.copytree(study, tmp_path / "results")
    change = {"results": str(folder), "rebuild_base": True, **sizes.episodes(2)}
    return load(commands.SMOKE, change)


def test_a_method_means_an_adapter_and_none_the_base(config):
    base = jobs.rebuilt(config)
    assert trained(config, "noop", 0) is None
    assert model_files(config, "noop", 0) == []
    assert (trained(config, "base", 0).base, trained(config, "base", 0).adapter) == (base, None)
    assert trained(config, "default", 3).adapter.parts[-3:] == ("training", "default", "3")
    names = [path.name for path in model_files(config, "default", 0)]
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "statistics.json"] + [
        *ADAPTER_FILES
    ]
    assert details(config, "default", 0) == {"steps": 4, "training_seed": 0}
    assert list(details(config, "base", 0)) == ["base"]
    assert details(config, "noop", 0) == {}


def test_what_is_missing_is_named_with_its_remedy(config):
    pulled = load(commands.SMOKE)
    if not jobs.base_folder(pulled).exists():
        with pytest.raises(UnblindError, match=r"no base in results/base.*dvc pull results/base"):
            model_files(pulled, "default", 0)
    with pytest.raises(UnblindError, match=r"missing .run: unblind train --run default --seed 7"):
        model_files(config, "default", 7)
    (jobs.run_folder(config, "default", 0) / "run.json").write_text("{")
    with pytest.raises(UnblindError, match=r"run\.json is unreadable"):
        details(config, "default", 0)
    (jobs.rebuilt(config) / "tokenizer.json").unlink()
    with pytest.raises(UnblindError, match=r"tokenizer\.json missing .run: unblind base warm-up"):
        model_files(config, "base", 0)


# ---- records ---------------------------------------------------------------------------------


@pytest.fixture
def crew(monkeypatch):
    """Replace the workers: the policy acts once for all episodes, which then end."""

    class FakeCrew(synthetic.CrewStandIn):
        actions: list = []  # noqa: RUF012

        def run(self, episodes):
            from unblind.rollout.policies import Observation

            image = np.full((48, 64, 3), 90, np.uint8)
            FakeCrew.actions.append(self.policy.act([Observation(e, 0, image) for e in episodes]))
            yield from (Outcome(e, True, True, steps=80) for e in episodes)

    FakeCrew.actions = []
    monkeypatch.setattr(run, "Crew", FakeCrew)
    return FakeCrew


def test_a_record_names_base_and_adapter_and_tells_of_the_training(crew, config, tmp_path):
    run.rollout(config, "default", 0, tmp_path / "default", ["carrot"], 1)
    run.rollout(config, "base", 0, tmp_path / "base", ["carrot"], 1)
    meta = provenance.read(tmp_path / "default" / "carrot.parquet")
    assert meta["extra"]["run_details"] == {"steps": 4, "training_seed": 0}
    read = [path.name for path in model_files(config, "default", 0)]
    assert sorted(name.rpartition("/")[2] for name in meta["inputs"]) == sorted(read)
    assert "unblind.vla" in meta["code"]
    assert len(pd.read_parquet(tmp_path / "default" / "carrot.parquet")) == 2
    assert "base" in provenance.read(tmp_path / "base" / "carrot.parquet")["extra"]["run_details"]
    adapted, plain = crew.actions
    assert adapted.shape == plain.shape == (2, 7)
    assert (adapted != plain).any(), "the adapter acts"


def test_a_record_of_another_adapter_is_made_again(crew, config, tmp_path):
    for _ in range(2):
        run.rollout(config, "default", 0, tmp_path, ["carrot"], 1)
    assert len(crew.actions) == 1
    folder = jobs.run_folder(config, "default", 0)
    base = jobs.rebuilt(config) / "model.safetensors"
    again = lora.add_lora(checkpoint.load(base.parent).model, vision=True, seed=2, rank=2, alpha=2)
    lora.save_adapter(again, folder, sha256(base))
    run.rollout(config, "default", 0, tmp_path, ["carrot"], 1)
    assert len(crew.actions) == 2


def test_an_adapter_of_another_base_is_refused(crew, config, tmp_path):
    folder = jobs.rebuilt(config)
    vocabulary, statistics = models.VOCABULARY, models.STATISTICS.to_json()
    checkpoint.save(folder, models.small(seed=9), vocabulary, statistics)
    with pytest.raises(UnblindError, match="was trained on another base"):
        run.rollout(config, "default", 0, tmp_path / "out", ["carrot"], 1)
    assert not (tmp_path / "out").exists()


# ---- one picture -----------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "mode"), [((128, 96), "RGB"), ((301, 77), "RGBA"), ((9, 9), "L")])
def test_a_picture_of_any_size_gives_seven_numbers(config, tmp_path, size, mode):
    Image.new("RGB", size, (200, 80, 30)).convert(mode).save(tmp_path / "picture.png")
    found = predict(config, "default", 0, tmp_path / "picture.png", "put carrot on plate")
    motion, gripper = found.action[:6], found.action[6]
    assert np.all(np.abs(motion[:3]) <= 0.02) and np.all(np.abs(motion[3:]) <= 0.1)
    assert gripper in (-1, 1)
    assert all(token in models.VOCABULARY.actions for token in found.tokens)
    assert found.unknown == ()
    assert list(found.to_json()["action"]) == DIMENSIONS
    lines = [line.split() for line in str(found).splitlines()]
    assert [(line[0], line[-1]) for line in lines] == [
        (name, str(token)) for name, token in zip(DIMENSIONS, found.tokens, strict=True)
    ]
    assert [line[2] for line in lines[:6]] == ["m"] * 3 + ["rad"] * 3
    assert lines[6][1] in ("open", "close")


def test_unknown_words_are_told(config, tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "picture.png")
    found = predict(config, "base", 0, tmp_path / "picture.png", "put zebra on plate")
    assert found.unknown == ("zebra",)


def test_a_base_is_asked_without_a_study(config, tmp_path):
    Image.new("RGB", (64, 48), (9, 90, 9)).save(tmp_path / "picture.png")
    asked = (tmp_path / "picture.png", "put carrot on plate")
    greedy = load(
        commands.SMOKE,
        {"results": config.results, "rebuild_base": True, "rollout.temperature": None},
    )
    found = predict_with_base(jobs.rebuilt(config), *asked)
    assert found.tokens == predict(greedy, "base", 0, *asked).tokens
    with pytest.raises(UnblindError, match="no folder nowhere"):
        predict_with_base(Path("nowhere"), *asked)
