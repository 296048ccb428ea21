"""Fine-tuning of Default, Freeze and Align, whole runs of a tiny model on made-up frames."""

import functools
import json
import os
import shutil
import signal

import commands
import cv2
import demonstrations
import models
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from unblind.training.finetuning import Inputs

from unblind import png
from unblind.config import load
from unblind.errors import UnblindError
from unblind.training import data, features, finetuning, loop
from unblind.vla import checkpoint, lora, policy

METHODS = ("default", "freeze", "align")
WIDTH = 12
SETTINGS = {
    "training.schedule": dict(steps=6, batch=4, rate=0.005, warm_up=1, weight_decay=0.0),
    **{f"runs.{m}": dict(policy="vla", label=m.title(), method=m) for m in METHODS},
}


def configured(**changes):
    return load(commands.SMOKE, SETTINGS | changes)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A base, demonstrations, and the features that are computed once."""
    root = tmp_path_factory.mktemp("inputs")
    statistics = models.STATISTICS.to_json()
    checkpoint.save(root / "base", models.small(), models.VOCABULARY, statistics)
    config = configured()
    demonstrations.write(root / "demos", config, train=3)
    base = checkpoint.load(root / "base")
    demos = finetuning.demonstrations(config, base, root / "demos", "train", 0)
    features.write_low(base.model, demos, root / "low.npy")
    np.save(root / "teacher.npy", colors(demos))
    return Inputs(root / "base", root / "demos", root / "low.npy", root / "teacher.npy")


def colors(demos):
    """Return made-up teacher tokens (N, 16, WIDTH): mixtures of each cell's mean colour."""
    pictures = [png.decode(frame.image) for frame in demos.frames]
    cells = np.stack([cv2.resize(p, (4, 4), interpolation=cv2.INTER_AREA) for p in pictures])
    mixture = np.random.default_rng(0).normal(size=(3, WIDTH))
    return ((cells.reshape(len(cells), 16, 3) / 255 - 0.5) @ mixture).astype(np.float16)


@pytest.fixture(scope="module")
def runs(inputs, tmp_path_factory):
    """One finished run of each method."""
    root = tmp_path_factory.mktemp("runs")
    config = configured()
    for method in METHODS:
        finetuning.train(config, method, 0, inputs, root / method)
    return root


def adapter(folder):
    return load_file(folder / lora.WEIGHTS)


def log(folder):
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def test_align_with_lambda_zero_is_default_bit_for_bit(inputs, runs, tmp_path):
    """Six steps; the alignment is still measured."""
    config = configured(**{"training.align.lambda": 0.0})
    finetuning.train(config, "align", 0, inputs, tmp_path)
    assert (tmp_path / lora.WEIGHTS).read_bytes() == (runs / "default" / lora.WEIGHTS).read_bytes()
    assert "alignment_1" in log(tmp_path)[-1]
    assert log(tmp_path)[-1]["loss"] == log(runs / "default")[-1]["loss"]


def test_methods_differ(runs):
    default, align, freeze = (adapter(runs / m) for m in ("default", "align", "freeze"))
    assert default.keys() == align.keys()
    assert any(not torch.equal(default[name], align[name]) for name in default)
    assert set(freeze) == {name for name in default if "vision_backbone" not in name}
    assert len(freeze) < len(default)


@torch.no_grad()
def test_freeze_leaves_the_tower_as_it_was_and_default_does_not(inputs, runs):
    images = models.pictures(3)

    def seen(adapted):
        tower = policy.load(inputs.base, adapted).loaded.model.vision_backbone
        return tower(tower.low(images)).numpy().tobytes()

    before = seen(None)
    assert seen(runs / "freeze") == before
    assert seen(runs / "default") != before
    assert seen(runs / "align") != before


def test_shuffled_teacher_features_end_less_aligned(inputs, tmp_path):
    schedule = dict(steps=50, batch=8, rate=0.01, warm_up=5, weight_decay=0.0)
    more = {"lambda": 5.0, "projector_width": 64}
    changes = {f"training.align.{key}": value for key, value in more.items()}
    config = configured(
        **{"training.schedule": schedule, "training.rank": 16, "training.alpha": 16}, **changes
    )
    values = np.load(inputs.teacher)
    shuffled = np.random.default_rng(1).permutation(values.reshape(-1, WIDTH)).reshape(values.shape)
    np.save(tmp_path / "shuffled.npy", shuffled)
    found = {}
    for name, path in (("true", inputs.teacher), ("shuffled", tmp_path / "shuffled.npy")):
        given = Inputs(inputs.base, inputs.demos, inputs.low, path)
        finetuning.train(config, "align", 0, given, tmp_path / name)
        found[name] = -log(tmp_path / name)[-1]["alignment"]
    assert found["true"] > found["shuffled"] + 0.15


def test_the_log_tells_the_terms_apart(runs):
    last = log(runs / "align")[-1]
    total = last["action"] + 0.2 * last["alignment"]
    assert last["loss"] == pytest.approx(total, abs=2e-5)
    assert last["alignment"] == last["alignment_1"]
    assert "alignment" not in log(runs / "default")[-1]
    assert {"accuracy_x", "accuracy_gripper"} <= last.keys()


def test_a_run_tells_what_tables_need(inputs, runs):
    facts = {m: json.loads((runs / m / "run.json").read_text()) for m in METHODS}
    base = models.small()
    for method in METHODS:
        count = models.adapter_weights(base, 4, vision=method != "freeze")
        assert facts[method]["trainable_parameters"] == count
        assert facts[method]["samples"] == 24
        assert facts[method]["base"] == checkpoint.load(inputs.base).identity[:12]
    assert facts["align"]["lambda"] == 0.2 and facts["align"]["layer"] == "1"
    assert "lambda" not in facts["default"]


def test_snapshots_are_the_adapters_on_the_way(runs):
    names = [path.name for path in (runs / "default" / "snapshots").iterdir()]
    assert names == ["000003.safetensors"]
    halfway = load_file(runs / "default" / "snapshots" / "000003.safetensors")
    final = adapter(runs / "default")
    assert halfway.keys() == final.keys()
    assert any(not torch.equal(halfway[name], final[name]) for name in final)


def test_the_seed_decides(inputs, runs, tmp_path):
    finetuning.train(configured(), "default", 0, inputs, tmp_path / "again")
    finetuning.train(configured(), "default", 1, inputs, tmp_path / "other")
    same, other = (tmp_path / name / lora.WEIGHTS for name in ("again", "other"))
    assert same.read_bytes() == (runs / "default" / lora.WEIGHTS).read_bytes()
    assert other.read_bytes() != same.read_bytes()


def test_killed_and_continued_gives_the_same_adapter(inputs, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "fit", functools.partial(loop.fit, every=2))
    child = os.fork()
    if not child:
        signal.alarm(300)  # ends a child that hangs, which the assertions then tell
        step_loss = finetuning.FineTuner.__call__

        def die(tuner, step, part):
            if (step, part) == (3, 1):
                os.kill(os.getpid(), signal.SIGKILL)
            return step_loss(tuner, step, part)

        finetuning.FineTuner.__call__ = die
        try:
            finetuning.train(configured(), "align", 0, inputs, tmp_path)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert not (tmp_path / lora.WEIGHTS).exists()
    finetuning.train(configured(), "align", 0, inputs, tmp_path)
    assert (tmp_path / lora.WEIGHTS).read_bytes() == (runs / "align" / lora.WEIGHTS).read_bytes()


# ---- what is refused --------------------------------------------------------------------------


def test_a_layer_that_does_not_exist_is_refused(inputs, tmp_path):
    config = configured(**{"training.align.layers": [3]})
    with pytest.raises(UnblindError, match=r"layers \[3\].*valid layers, each once: 1, 2"):
        finetuning.train(config, "align", 0, inputs, tmp_path)


def test_a_teacher_of_another_grid_is_refused(inputs, tmp_path):
    np.save(tmp_path / "teacher.npy", np.load(inputs.teacher)[:, :9])
    given = Inputs(inputs.base, inputs.demos, inputs.low, tmp_path / "teacher.npy")
    with pytest.raises(UnblindError, match=r"16\) visual tokens.*9\)"):
        finetuning.train(configured(), "align", 0, given, tmp_path / "run")


def test_features_of_other_demonstrations_are_refused(inputs, tmp_path):
    np.save(tmp_path / "low.npy", np.load(inputs.low)[:-1])
    given = Inputs(inputs.base, inputs.demos, tmp_path / "low.npy", None)
    with pytest.raises(UnblindError, match=r"low\.npy has \d+ rows for \d+ frames"):
        finetuning.train(configured(), "default", 0, given, tmp_path / "run")


def test_a_missing_base_is_refused(inputs, tmp_path):
    given = Inputs(tmp_path / "nowhere", inputs.demos, inputs.low, None)
    with pytest.raises(UnblindError, match=r"no folder .*nowhere"):
        finetuning.train(configured(), "default", 0, given, tmp_path / "run")


def test_a_run_of_another_seed_or_base_is_not_continued(inputs, runs, tmp_path):
    out = shutil.copytree(runs / "default", tmp_path / "run")
    with pytest.raises(UnblindError, match="checkpoint of another training"):
        finetuning.train(configured(), "default", 1, inputs, out)
    other = tmp_path / "base"
    checkpoint.save(other, models.small(seed=1), models.VOCABULARY, models.STATISTICS.to_json())
    given = Inputs(other, inputs.demos, inputs.low, None)
    with pytest.raises(UnblindError, match="checkpoint of another training"):
        finetuning.train(configured(), "default", 0, given, out)
