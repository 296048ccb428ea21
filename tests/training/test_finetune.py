"""Fine-tuning of Default, Freeze and Align at both scales, whole runs of tiny models."""

import json
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import METHODS
from safetensors.torch import load_file

from unblind.errors import UnblindError
from unblind.training import finetune, losses, state, team
from unblind.vla import checkpoint, lora


def adapter(folder):
    return load_file(folder / lora.WEIGHTS)


def assert_same(folder, other):
    """Compare all that a run leaves; of the state the tensors, whose header has no order."""
    for name in (lora.WEIGHTS, "projector.safetensors", "run.json"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    tensors, others = (load_file(place / state.FILE) for place in (folder, other))
    assert tensors.keys() == others.keys()
    assert all(torch.equal(others[name], tensor) for name, tensor in tensors.items())


def log(folder):
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def test_align_with_lambda_zero_is_default_bit_for_bit(study, finished, tmp_path):
    """The alignment is still measured."""
    study.train("align", tmp_path, **{"training.align.lambda": 0.0})
    default = finished / "default"
    assert (tmp_path / lora.WEIGHTS).read_bytes() == (default / lora.WEIGHTS).read_bytes()
    (layer,) = study.configured().training.align.layers
    assert f"alignment_{layer}" in log(tmp_path)[-1]
    assert log(tmp_path)[-1]["loss"] == log(default)[-1]["loss"]


def test_methods_differ(finished):
    default, align, freeze = (adapter(finished / m) for m in ("default", "align", "freeze"))
    assert default.keys() == align.keys()
    assert any(not torch.equal(default[name], align[name]) for name in default)
    assert set(freeze) == {name for name in default if "vision_backbone" not in name}
    assert len(freeze) < len(default)


@torch.no_grad()
def test_freeze_leaves_the_towers_as_they_were_and_default_does_not(study, finished):
    def seen(method):
        loaded = checkpoint.load(study.inputs.base, dtype=torch.float32, record=study.inputs.record)
        if method:
            wrapped = lora.load_adapter(loaded.model, finished / method, loaded.identity)
            loaded = replace(loaded, model=lora.merge(wrapped))
        images = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
        tower, pixels = loaded.model.vision_backbone, loaded.pixels.training(images)
        return tower(tower.low(pixels.float())).numpy().tobytes()

    before = seen(None)
    assert seen("freeze") == before
    assert seen("default") != before
    assert seen("align") != before


def test_the_log_tells_the_terms_apart(study, finished):
    last = log(finished / "align")[-1]
    assert last["loss"] == pytest.approx(last["action"] + 0.2 * last["alignment"], abs=2e-5)
    (layer,) = study.configured().training.align.layers
    assert last["alignment"] == last[f"alignment_{layer}"]
    assert last["step"] == study.configured().training.schedule.steps
    assert "alignment" not in log(finished / "default")[-1]
    assert {"accuracy_x", "accuracy_gripper", "l1", "gradient_norm"} <= last.keys()
    assert 0 < last["l1"] <= 2 and "accuracy_answers" not in last
    batch = study.configured().training.schedule.batch
    assert last["step_s"] * last["pictures_per_s"] == pytest.approx(batch, rel=0.01)
    assert last["memory_gib"] > 0.1


def test_a_run_tells_what_tables_need(study, finished):
    facts = {m: json.loads((finished / m / "run.json").read_text()) for m in METHODS}
    loaded, training = checkpoint.load(study.inputs.base), study.configured().training
    for method in METHODS:
        modules = lora.target_modules(loaded.model, vision=method != "freeze")
        shapes = lora.shapes(loaded.model, modules, training.rank).values()
        count = sum(torch.Size(shape).numel() for shape in shapes)
        assert facts[method]["trainable_parameters"] == count
        assert facts[method]["samples"] == training.schedule.steps * training.schedule.batch
        identity = json.loads((finished / method / "identity.json").read_text())["base_sha256"]
        assert identity.startswith(facts[method]["base"])
    assert facts["align"]["lambda"] == 0.2
    assert facts["align"]["layer"] == str(training.align.layers[0])
    assert "lambda" not in facts["default"]


def test_snapshots_are_the_adapters_on_the_way(study, finished):
    names = [path.name for path in (finished / "default" / "snapshots").iterdir()]
    halfway = study.configured().training.schedule.steps // 2
    assert names == [f"{halfway:06d}.safetensors"]
    kept, final = load_file(finished / "default" / "snapshots" / names[0]), finished / "default"
    assert kept.keys() == adapter(final).keys()
    assert any(not torch.equal(kept[name], weight) for name, weight in adapter(final).items())


def test_the_seed_decides(study, finished, tmp_path):
    study.train("default", tmp_path / "again")
    study.train("default", tmp_path / "other", seed=1)
    same, other = (tmp_path / name / lora.WEIGHTS for name in ("again", "other"))
    assert same.read_bytes() == (finished / "default" / lora.WEIGHTS).read_bytes()
    assert other.read_bytes() != same.read_bytes()


def test_killed_and_continued_gives_the_same_bytes(study, finished, tmp_path, capfd):
    child = os.fork()
    if not child:
        signal.alarm(300)  # ends a child that hangs, which the assertions then tell
        call = losses.Learner.__call__

        def die(learner, step, part):
            if (step, part) == (3, 1):
                os.kill(os.getpid(), signal.SIGKILL)
            return call(learner, step, part)

        losses.Learner.__call__ = die
        try:
            study.train("align", tmp_path)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert not (tmp_path / lora.WEIGHTS).exists()
    study.train("align", tmp_path)
    left = study.configured().training.schedule.steps - 2
    assert f"training steps: {left} to do" in capfd.readouterr().err
    assert_same(tmp_path, finished / "align")


def test_two_processes_give_the_bytes_of_one(study, finished, tmp_path):
    config = study.configured()
    facts = team.run(finetune.train, 2, "cpu", config, "align", 0, study.inputs, tmp_path)
    assert facts == json.loads((finished / "align" / "run.json").read_text())
    assert_same(tmp_path, finished / "align")
    timed = ("step_s", "cpu_s", "pictures_per_s", "tokens_per_s", "memory_gib")
    alone, together = log(finished / "align"), log(tmp_path)
    for line, other in zip(alone, together, strict=True):
        terms = {name: value for name, value in line.items() if name not in timed}
        assert terms == pytest.approx({name: other[name] for name in terms}, abs=2e-5)


def test_a_projector_that_is_trained_is_trained(study, finished, tmp_path):
    study.train("align", tmp_path, **{"training.align.frozen": False})
    frozen, learned = (
        load_file(folder / "projector.safetensors") for folder in (finished / "align", tmp_path)
    )
    weights = {name.replace(".projector.", "."): w for name, w in frozen.items()}
    assert weights.keys() == learned.keys()
    assert any(not torch.equal(weights[name], learned[name]) for name in learned)


def test_shuffled_teacher_features_end_less_aligned(mini, tmp_path):
    schedule = dict(steps=50, batch=8, rate=0.01, warm_up=5, weight_decay=0.0)
    changes = {
        "training.schedule": schedule,
        "training.rank": 16,
        "training.alpha": 16,
        "training.align.lambda": 5.0,
        "training.align.projector_width": 64,
    }
    tokens = np.load(mini.inputs.teacher)
    rows = tokens.reshape(-1, tokens.shape[-1])
    shuffled = np.random.default_rng(1).permutation(rows).reshape(tokens.shape)
    np.save(tmp_path / "shuffled.npy", shuffled)
    reached = {}
    for name, path in (("true", mini.inputs.teacher), ("shuffled", tmp_path / "shuffled.npy")):
        given = replace(mini.inputs, teacher=path)
        mini.train("align", tmp_path / name, inputs=given, **changes)
        reached[name] = -log(tmp_path / name)[-1]["alignment"]
    assert reached["true"] > reached["shuffled"] + 0.15


# ---- what is refused --------------------------------------------------------------------------


def test_a_layer_that_does_not_exist_is_refused(study, tmp_path):
    deep, known = study.layers + 1, ", ".join(map(str, range(study.layers + 1)))
    with pytest.raises(UnblindError, match=rf"layers \[{deep}\].*valid layers, each once: {known}"):
        study.train("align", tmp_path, **{"training.align.layers": [deep]})


def test_a_teacher_of_another_grid_is_refused(mini, tmp_path):
    np.save(tmp_path / "teacher.npy", np.load(mini.inputs.teacher)[:, :9])
    given = replace(mini.inputs, teacher=tmp_path / "teacher.npy")
    with pytest.raises(UnblindError, match=r"16\) visual tokens.*9\)"):
        mini.train("align", tmp_path / "run", inputs=given)


def test_what_was_computed_of_other_demonstrations_is_refused(study, tmp_path):
    np.save(tmp_path / "seen.npy", np.load(study.inputs.seen)[:-1])
    given = replace(study.inputs, seen=tmp_path / "seen.npy")
    with pytest.raises(UnblindError, match=r"seen\.npy has \d+ rows for \d+ pictures"):
        study.train("default", tmp_path / "run", inputs=given)


def test_a_missing_base_is_refused(mini, tmp_path):
    given = replace(mini.inputs, base=tmp_path / "nowhere")
    with pytest.raises(UnblindError, match=r"no .*nowhere"):
        mini.train("default", tmp_path / "run", inputs=given)


def test_a_run_of_another_seed_or_base_is_not_continued(study, mini, finished, tmp_path):
    out = shutil.copytree(finished / "default", tmp_path / "run")
    with pytest.raises(UnblindError, match="checkpoint of another training"):
        study.train("default", out, seed=1)
    other = shutil.copytree(study.inputs.base, tmp_path / "base")
    given = replace(study.inputs, base=other)
    if study is mini:
        model = checkpoint.load(other).model
        model.language_model.lm_head.weight.mul_(0.5)
        checkpoint.save(
            other,
            model,
            checkpoint.load(other).vocabulary,
            checkpoint.load(other).codec().normalizer.to_json(),
        )
    else:
        record = tmp_path / "record.json"
        record.write_text(study.inputs.record.read_text() + " ")
        given = replace(given, record=record)
    with pytest.raises(UnblindError, match="checkpoint of another training"):
        study.train("default", out, inputs=given)


@pytest.mark.parametrize("rate", [1e30])
def test_a_rate_beyond_all_measure_ends_the_training(study, tmp_path, rate):
    with pytest.raises(UnblindError, match=r"loss of step \d+ is .*lower the rate"):
        study.train("default", tmp_path, **{"training.schedule.rate": rate})
    assert not (tmp_path / lora.WEIGHTS).exists()
