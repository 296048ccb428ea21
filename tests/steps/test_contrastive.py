"""The teacher that is trained here: from pictures to its features, and what it has not seen."""

import json
import re
from pathlib import Path

import demonstrations
import models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from unblind.config import load
from unblind.diagnosis.emblems import CONCEPTS
from unblind.errors import UnblindError
from unblind.pictures import icons, shards
from unblind.pictures.scenes import Scene, Thing
from unblind.sim.catalogs import load_catalog
from unblind.steps import base, finetuning
from unblind.study import graph, jobs, making, provenance
from unblind.study.jobs import Job
from unblind.teachers.loading import load_teacher
from unblind.training import loop
from unblind.vla import checkpoint

SMOKE = Path(__file__).parents[2] / "workflow" / "config" / "smoke.yaml"
SCENES = (
    Scene((Thing("carrot", "object", (0.5, 0.25)),), table="picnic table"),
    Scene((Thing("star", "shape", (0.3, 0.7), "red"),)),
)
TINY = {
    "results": "results",
    "rebuild_base": True,
    "contrastive.model.projector_width": 16,
    "contrastive.model.hidden_size": 32,
    "contrastive.schedule": dict(
        steps=2, batch=4, rate=0.002, warm_up=1, weight_decay=0.05, loss="names"
    ),
    "runs.own": dict(
        policy="vla", label="O", method="align", training={"align": {"teacher": "contrastive"}}
    ),
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A study in the working folder: a base, five frames of two scenes, a few demonstrations."""
    monkeypatch.chdir(tmp_path)
    config, rng = load(SMOKE, TINY), np.random.default_rng(0)
    folder = jobs.path(config, "contrastive_pictures").parent
    rows = [
        {
            "image": demonstrations.picture(rng),
            "turns": [],
            "kind": "still",
            "scene": SCENES[k % 2].to_json(),
        }
        for k in range(5)
    ]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, shards.SCHEMA), folder / "train-00000.parquet")
    (folder / "manifest.json").write_text(json.dumps({"names": {}}))
    statistics = models.STATISTICS.to_json()
    checkpoint.save(jobs.base_folder(config), models.small(), models.VOCABULARY, statistics)
    demonstrations.write(jobs.demos_folder(config), config, train=2)
    return config


def test_it_is_trained_from_its_pictures_and_its_tower_gives_the_features(config):
    base.contrastive(config, 1)
    folder = jobs.path(config, "contrastive").parent
    assert not (folder / "low").exists() and not list(folder.glob("checkpoint*"))
    told = provenance.read(folder / "model.safetensors")
    assert told["seed"] == config.seed + 2_000_000
    assert list(told["inputs"]) == ["results/contrastive-pictures/manifest.json"]
    assert told["seed"] != Job(config, "tower").seed, "other first weights, too"

    finetuning.teacher(config, "own")
    rows = np.load("results/features/contrastive.npy")
    grid = models.small().config.grid
    assert rows.shape[1:] == (grid * grid, 120 + 4 * 48)
    told = provenance.read(Path("results/features/contrastive.npy"))["extra"]["teacher"]
    assert (told["teacher"], told["network"], told["width"]) == ("contrastive", "lite2_fine", 312)
    assert told["input_size"] == 16 * grid

    # What the file holds is the tower's own tokens, of pictures of any size.
    teacher = load_teacher("contrastive", str(folder))
    tower = checkpoint.load(folder).model.vision_backbone
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(teacher.features(images, 8), tower(tower.low(images)))
    assert (folder / "model.safetensors").stat().st_size < 8e6


def test_a_killed_training_goes_on_to_the_same_bytes(config, monkeypatch):
    from unblind.training import tower

    monkeypatch.setattr(tower, "_CHECKPOINT_STEPS", 1)
    folder = jobs.path(config, "contrastive").parent
    do_step, done = loop.do_step, []

    def one_step(*words, **facts):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(1)
        return do_step(*words, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "do_step", one_step)
        with pytest.raises(KeyboardInterrupt):
            base.contrastive(config, 1)
    assert (folder / "checkpoint.safetensors").is_file()
    base.contrastive(config, 1)
    continued = (folder / "model.safetensors").read_bytes()
    for path in (*folder.iterdir(), folder):
        if path.is_file():
            path.unlink()
    base.contrastive(config, 1)
    assert (folder / "model.safetensors").read_bytes() == continued


def test_without_it_its_features_name_the_command(config):
    with pytest.raises(UnblindError, match=r"contrastive/config\.json is missing") as caught:
        making.check_inputs(Job(config, "features_teacher", "own"))
    assert caught.value.remedy == "run: unblind contrastive"
    with pytest.raises(UnblindError, match="no folder of it is named"):
        load_teacher("contrastive")


def test_its_pictures_name_no_concept_of_the_probe():
    """Its pictures are drawn by the code of the base's, from whose names the concepts are kept."""
    study = load(SMOKE, TINY)
    own, others = Job(study, "contrastive_pictures"), Job(study, "questions")
    assert own.stage.modules == others.stage.modules and own.seed != others.seed
    assert own.told_settings["catalog"] == others.told_settings["catalog"] == "pretraining"
    catalog = load_catalog("pretraining")
    names = [thing.name for thing in (*catalog.objects, *catalog.plates, *catalog.tables)]
    names += [name for drawn in icons.NAMES.values() for name in drawn]
    shown = {word for name in names for word in re.split(r"[\W_]+", name.lower())}
    assert {"carrot", "star", "picnic"} <= shown
    assert {word for name in CONCEPTS for word in name.split("-")} & shown == set()


def test_only_a_study_whose_run_aligns_with_it_has_it():
    mini = SMOKE.with_name("mini.yaml")
    names = {"contrastive_pictures", "contrastive"}
    for config, there in (
        (load(mini), set()),
        (load(mini, {"training.align.teacher": "contrastive"}), names),
        (load(SMOKE.with_name("ablations.yaml")), names),
        (load(SMOKE.with_name("ablations-paper.yaml")), set()),
    ):
        assert {job.name for job in graph.of_study(config)} & names == there
    with pytest.raises(UnblindError, match=r"'contrastive' is trained here .*must be null"):
        load(
            mini,
            {"training.align.teacher": "contrastive", "training.align.teacher_weights": "folder"},
        )
