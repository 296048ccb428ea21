"""The list of artifacts against what the steps themselves write down."""

from pathlib import Path

import models
import pytest
import whole_study

from unblind.demos import collect
from unblind.pictures import shards
from unblind.rollout import replay, run
from unblind.steps import (
    answering,
    attending,
    base,
    drifting,
    finetuning,
    probing,
    surveying,
    thinking,
)
from unblind.study import jobs, making, record_names
from unblind.study.jobs import Origin


class Captured(Exception):
    pass


@pytest.fixture
def captured(monkeypatch):
    """Origins by path, of steps that then do nothing."""
    found = {}

    def make(paths, origin, work, beside=()):
        found.update({path: origin for path in paths})

    def is_current(path, lacking=(), **made_from):
        found[path] = Origin(**{"inputs": (), **made_from})
        raise Captured

    monkeypatch.setattr(making, "make", make)
    monkeypatch.setattr(collect, "is_current", is_current)
    monkeypatch.setattr(shards, "is_current", is_current)
    monkeypatch.setattr(replay, "record", is_current)
    manifest = {"statistics": models.STATISTICS.to_json(), "shards": {}}
    monkeypatch.setattr(replay, "_choose", lambda *_: [])
    for name in ("load", "load_manifest"):
        monkeypatch.setattr(replay.shards, name, lambda *_, **__: manifest)
    return found


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = whole_study.settings()
    whole_study.write(config)
    return config


def plain(origin):
    return (dict(origin.config), set(origin.code), set(origin.inputs), origin.seed)


def check(config, captured, group):
    """Assert that captured origins are the listed ones, and that each of a group is captured."""
    listed = {one.path: one for one in whole_study.study(config)}
    assert captured.keys() == {path for path, one in listed.items() if one.group in group}
    for path, origin in captured.items():
        assert plain(listed[path].origin) == plain(origin), path


def test_fine_tuning(study, captured):
    finetuning.low(study)
    finetuning.teacher(study)
    for name in ("default", "align"):
        finetuning.train(study, name, 0)
    check(study, captured, {"features", "training"})


def rollouts(study, name, rule):
    return jobs.Job(study, jobs.stage_of(study, rule, name), name, 0)


def test_demonstrations_replay_and_rollouts(study, captured):
    with pytest.raises(Captured):
        collect.collect(study, jobs.demos_folder(study), 1)
    with pytest.raises(Captured):
        replay.replay(study, jobs.demos_folder(study), Path("results/replay.parquet"), 1)
    for name in study.runs:
        folder, job = Path("results/rollouts", name, "0"), rollouts(study, name, "rollout")
        origin = Origin(**run.made_from(job))
        captured |= {folder / f"{one.name}.parquet": origin for one in run.conditions.CONDITIONS}
        if study.runs[name].policy == "vla":
            origin = Origin(**run.made_from(rollouts(study, name, "arms")))
            captured |= {
                folder / f"{record}.parquet": origin for record in record_names.arms(study)
            }
    check(study, captured, {"demos", "replay", "rollouts"})


def test_held_out_pictures_and_answers(study, captured):
    with pytest.raises(Captured):
        base.held_out(study, 1)
    whole_study.make(next(a for a in whole_study.study(study) if a.path.parts[1] == "held-out"))
    for name in ("default", "align"):
        answering.ask(study, name, 0)
        drifting.drift(study, name, 0)
        attending.attend(study, name, 0)
        attending.collapse(study, name, 0)
        thinking.answer(study, name, 0)
        job = rollouts(study, name, "knockout")
        captured |= dict.fromkeys(job.outputs, Origin(**run.made_from(job)))
    attending.frames(study)
    surveying.landscape(study)
    thinking.frames(study)
    check(study, captured, {"answers", "diagnosis"})


def test_vl_think(study, captured):
    for name in study.runs:
        job = rollouts(study, name, "think")
        captured |= dict.fromkeys(job.outputs, Origin(**run.made_from(job)))
    check(study, captured, {"think"})


def test_probes(study, captured):
    probing.pictures(study)
    whole_study.make(next(a for a in whole_study.study(study) if "probe-pictures" in a.path.parts))
    for name in ("default", "align"):
        probing.model(study, name, 0)
    probing.teacher(study)
    probing.references(study)
    check(study, captured, {"probe"})


def test_the_making_of_a_base(tmp_path, monkeypatch, captured):
    monkeypatch.chdir(tmp_path)
    config = whole_study.settings(rebuild_base=True)
    for one in whole_study.study(config):
        if one.group == "base":
            whole_study.make(one)
    base.tower(config, 1)
    base.vlm(config, 1)
    base.robot(config, 1)
    base.warm_up(config)
    with pytest.raises(Captured):
        base.questions(config, 1)
    for which in ("pretraining", "warm-up"):
        with pytest.raises(Captured):
            collect.collect(config, jobs.demos_folder(config, which), 1, which)
    check(config, captured, {"base"})
