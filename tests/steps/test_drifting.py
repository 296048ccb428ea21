"""Drift and the landscape of two real trainings in miniature, from base to page."""

import json
from pathlib import Path

import demonstrations
import models
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unblind.config import load
from unblind.diagnosis import models as diagnosed
from unblind.errors import UnblindError
from unblind.pictures import shards
from unblind.steps import answering, drifting, finetuning, gradients, surveying
from unblind.study import jobs, provenance
from unblind.study.jobs import Job
from unblind.vla import checkpoint, lora

SMOKE = Path(__file__).parents[2] / "workflow" / "config" / "smoke.yaml"
STEPS, RUNS = 6, ("default", "align")
CHANGES = {
    "rebuild_base": True,
    "training.schedule": dict(steps=STEPS, batch=4, rate=0.01, warm_up=1, weight_decay=0.0),
    "training.snapshots": 2,
    "gradients": {"batches": 2, "frames": 3},
    "runs.align": {"policy": "vla", "label": "Align", "method": "align"},
    "table1.rows": [*RUNS, "base"],
    "landscape": {
        **{"runs": [*RUNS], "grid": 2, "margin": 0.1, "edge": 1},
        **{"frames": 2, "pictures": 1, "edge_frames": 3, "edge_pictures": 2},
    },
}


def write_held_out(config):
    """Write three pictures of each split with two questions each."""
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
    names = {"object": [["carrot"]], "plate": [["plate"]]}
    (folder / "manifest.json").write_text(json.dumps({"names": names}))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two trained runs, what they were trained on, and held-out pictures."""
    root = tmp_path_factory.mktemp("study")
    config = load(SMOKE, CHANGES | {"results": str(root)})
    statistics = models.STATISTICS.to_json()
    checkpoint.save(jobs.base_folder(config), models.small(), models.VOCABULARY, statistics)
    demonstrations.write(jobs.demos_folder(config), config, train=3)
    write_held_out(config)
    finetuning.low(config)
    finetuning.teacher(config)
    for run in RUNS:
        finetuning.train(config, run, 0)
        drifting.drift(config, run, 0)
        gradients.gradients(config, run, 0)
    surveying.landscape(config)
    return config


def test_a_run_is_followed_from_the_base_to_its_end(study):
    tokens, answers = (pd.read_parquet(p) for p in Job(study, "drift", "default", 0).outputs)
    assert sorted(tokens["step"].unique()) == sorted(answers["step"].unique()) == [0, 2, 4, STEPS]
    assert set(tokens["pictures"]) == {"held out", "demonstrations"} and set(tokens["n"]) == {3}
    start, end = (tokens[tokens["step"] == step] for step in (0, STEPS))
    assert start["cka"].to_numpy() == pytest.approx(1)
    assert (end["cka"] < start["cka"].to_numpy()).all()
    assert (answers.groupby("step").size() == 2 * 3 * 2).all()


def test_its_end_answers_as_the_run_itself(study):
    answering.ask(study, "default", 0)
    wanted = pd.read_parquet(jobs.Job(study, "answers", "default", 0).outputs[0])
    followed = pd.read_parquet(Job(study, "drift", "default", 0).outputs[1])
    end = followed[followed["step"] == STEPS].reset_index(drop=True)
    assert end["right"].tolist() == wanted["right"].tolist()
    assert end["kind"].astype(str).tolist() == wanted["kind"].astype(str).tolist()


def test_sidecars_name_the_snapshots(study):
    for path in Job(study, "drift", "align", 0).outputs:
        meta = provenance.read(path)
        assert list(meta["extra"]["snapshots"]) == ["2", "4"]
        assert any(name.endswith("adapter_model.safetensors") for name in meta["inputs"])
    meta = provenance.read(Job(study, "landscape").outputs[0])
    assert set(meta["extra"]["snapshots"]) == set(RUNS)
    adapters = [name for name in meta["inputs"] if name.endswith("adapter_model.safetensors")]
    assert len(adapters) == 2


def test_trainings_end_at_the_corners_of_the_plane(study):
    points, values = (pd.read_parquet(p) for p in Job(study, "landscape").outputs)
    for run, corner in zip(RUNS, ((1, 0), (0, 1)), strict=True):
        path = points[(points["part"] == "path") & (points["name"] == run)]
        assert path["step"].tolist() == [0, 2, 4, STEPS]
        end = path.iloc[-1]
        assert (end["first"], end["second"]) == pytest.approx(corner, abs=1e-5)
        assert end["off"] == pytest.approx(0, abs=1e-3 * end["x"])
    measured = values.groupby(["point", "measure"], observed=True).size().unstack()
    parts = points.set_index("point")["part"]
    assert (measured.loc[parts[parts == "edge"].index, "action loss"] == 3).all()
    assert (measured.loc[parts[parts == "grid"].index, "answers"] == 2).all()
    assert len(measured) == 3 * 3 + 2 * 2


def test_without_snapshots_the_ends_remain(study, capsys):
    job = Job(study, "drift", "default", 0)
    folder = jobs.run_folder(study, "default", 0) / "snapshots"
    aside = folder.rename(folder.with_name("aside"))
    try:
        assert diagnosed.snapshots(job) == {}
        assert "holds 0 of 2 snapshots" in capsys.readouterr().err
        assert list(diagnosed.on_the_way(job, {})) == [0, STEPS]
    finally:
        aside.rename(folder)


def test_another_adapters_snapshot_is_refused(study, tmp_path):
    other = tmp_path / "000002.safetensors"
    other.write_bytes(Path(jobs.base_folder(study), "model.safetensors").read_bytes())
    with pytest.raises(UnblindError, match="is no snapshot of the training"):
        diagnosed.load(Job(study, "drift", "default", 0), other)


def test_what_cannot_be_measured_is_refused(study):
    with pytest.raises(UnblindError, match="nothing to do for run 'base'") as caught:
        drifting.drift(study, "base", 0)
    assert caught.value.remedy == "runs for drift: default, align"
    few = study.model_copy(update={"table1": study.table1.model_copy(update={"rows": ["align"]})})
    with pytest.raises(UnblindError, match="are not two trained runs"):
        surveying.landscape(few)
    asked = study.landscape.model_copy(update={"edge_pictures": 9})
    with pytest.raises(UnblindError, match="holds 3 held-out pictures, not 9"):
        surveying.landscape(study.model_copy(update={"landscape": asked}))


def test_both_gradients_are_compared_on_the_same_frames_for_all_runs(study):
    found = {
        run: pd.read_parquet(Job(study, "gradients", run, 0).outputs[0]).set_index("batch")
        for run in RUNS
    }
    for frame in found.values():
        assert frame["n"].tolist() == [3, 3]
        assert frame["cosine"].between(-1, 1).all() and (frame["alignment_norm"] > 0).all()
        # One layer and the loss "cosine".
        assert frame["alignment"].to_numpy() == pytest.approx(-frame["similarity"], abs=1e-6)
    assert (found["align"]["similarity"] != found["default"]["similarity"]).all()
    base = checkpoint.load(jobs.base_folder(study)).identity
    for run in RUNS:
        lora.check_adapter(jobs.run_folder(study, run, 0), base)


def test_more_frames_than_there_are_is_one_error(study):
    few = study.model_copy(
        update={"gradients": study.gradients.model_copy(update={"frames": 100_000})}
    )
    with pytest.raises(UnblindError, match="frames, not 200000"):
        gradients.gradients(few, "default", 0)
