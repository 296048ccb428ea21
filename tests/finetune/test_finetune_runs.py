"""Fine-tuning at paper scale, whole runs of a shortened twin on made-up frames."""

from unblind.study import jobs
import json
import os
import signal
from dataclasses import replace

import models
import numpy as np
import pytest
import small_study
import torch
from safetensors.torch import load_file

from unblind import files
from unblind.errors import UnblindError
from unblind.finetune import feed, launch, runs, state
from unblind.rollout.factory import load_policy
from unblind.teachers.teacher import Teacher
from unblind.vla import checkpoint, lora

METHODS = ("default", "freeze", "align")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """One finished run of each method."""
    out, config = tmp_path_factory.mktemp("runs"), small_study.configured(root)
    for method in METHODS:
        runs.train(config, method, 0, small_study.inputs(config), out / method)
    return out


def train(root, method, out, **changes):
    config = small_study.configured(root, **changes)
    return runs.train(config, method, 0, small_study.inputs(config), out)


def adapter(folder):
    return load_file(folder / lora.WEIGHTS)


def log(folder):
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def test_align_with_lambda_zero_is_default_bit_for_bit(root, finished, tmp_path):
    train(root, "align", tmp_path, **{"training.align.lambda": 0.0})
    assert (tmp_path / lora.WEIGHTS).read_bytes() == (
        finished / "default" / lora.WEIGHTS
    ).read_bytes()
    assert "alignment_2" in log(tmp_path)[-1]


def test_methods_differ(finished):
    default, align, freeze = (adapter(finished / m) for m in ("default", "align", "freeze"))
    assert default.keys() == align.keys()
    assert any(not torch.equal(default[name], align[name]) for name in default)
    assert set(freeze) == {name for name in default if "vision_backbone" not in name}


def test_what_no_token_comes_from_does_not_learn(finished):
    """Both towers end with their second-to-last block; B starts as zero."""
    found = adapter(finished / "default")
    moved = {name for name, w in found.items() if "lora_B" in name and w.any()}
    towers = {name for name in found if "lora_B" in name and "vision_backbone" in name}
    unused = {name for name in towers if "blocks.2." in name or "attn_pool" in name}
    assert unused and towers - unused <= moved
    assert not unused & moved


def test_freeze_leaves_the_towers_as_they_were_and_default_does_not(root):
    config = small_study.configured(root)
    from unblind.steps import openvla

    for run in ("default", "freeze"):
        openvla.train(config, run, 0)
    pixels = torch.randn(1, 6, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = {
            run: load_policy(config, run, 0).loaded.model.vision_backbone(pixels)
            for run in ("base", "freeze", "default")
        }
    assert torch.equal(seen["base"], seen["freeze"])
    assert not torch.equal(seen["base"], seen["default"])


def test_the_teacher_sees_the_very_pictures_that_the_model_sees(root, tmp_path, monkeypatch):
    seen, fed = [], []
    features, call = Teacher.features, feed.Feed.__call__

    def look(teacher, images, grid):
        seen.append(images)
        return features(teacher, images, grid)

    def note(self, step):
        fed.append(call(self, step))
        return fed[-1]

    monkeypatch.setattr(Teacher, "features", look)
    monkeypatch.setattr(feed.Feed, "__call__", note)
    train(root, "align", tmp_path)
    assert len(seen) == len(fed) == small_study.STEPS
    loaded = checkpoint.load(root / "openvla")
    mean, deviation = (
        torch.tensor(values[1]).view(1, 3, 1, 1)  # SigLIP's half of the pixel values
        for values in (loaded.pixels.means, loaded.pixels.deviations)
    )
    for images, (pixels, _, _, tokens) in zip(seen, fed, strict=True):
        torch.testing.assert_close(pixels[:, 3:] * deviation + mean, images, atol=1e-5, rtol=0)
        assert tokens.shape[:2] == (2, 256)
    stored = np.load(jobs.path(small_study.configured(root), "features_low")) / 255
    distance = np.abs(stored.transpose(0, 3, 1, 2) - seen[0][0].numpy()).mean((1, 2, 3))
    assert distance.min() > 0.005  # the pictures were changed


def test_the_log_tells_terms_speed_and_memory(root, finished):
    last = log(finished / "align")[-1]
    assert last["loss"] == pytest.approx(last["action"] + 0.2 * last["alignment"], abs=2e-5)
    assert last["step"] == small_study.STEPS and last["rate"] == 0.002
    assert {"accuracy_x", "accuracy_gripper", "l1", "gradient_norm"} <= last.keys()
    assert 0 < last["l1"] <= 2
    # BOS, 256 visual tokens, the prompt's and seven of the action.
    prompt = checkpoint.load(root / "openvla").vocabulary.action_prompt("put carrot on plate")
    length = last["tokens_per_s"] / last["pictures_per_s"]
    assert length == pytest.approx(1 + 256 + len(prompt) + 7, abs=0.1)
    assert last["step_s"] * last["pictures_per_s"] == pytest.approx(2, rel=0.01)
    assert last["memory_gib"] > 0.1
    assert last["mfu"] is None  # no peak is known of a CPU
    assert "alignment" not in log(finished / "default")[-1]


def test_a_run_tells_what_tables_need(root, finished):
    facts = {m: json.loads((finished / m / "run.json").read_text()) for m in METHODS}
    loaded = checkpoint.load(root / "openvla")
    config = small_study.configured(root)
    for method in METHODS:
        count = models.adapter_weights(loaded.model, 4, vision=method != "freeze")
        assert facts[method]["trainable_parameters"] == count
        assert facts[method]["base"] == files.sha256(jobs.base_weights(config))[:12]
    assert facts["align"]["lambda"] == 0.2 and facts["align"]["teacher"] == "c-radiov3-l"
    assert facts["align"]["recipe"] == "corrected" and facts["align"]["augmented"]


def test_a_run_keeps_its_own_action_statistics(root, finished):
    own = json.loads((finished / "default" / "dataset_statistics.json").read_text())
    demos = jobs.demos_folder(small_study.configured(root))
    numbers = json.loads((demos / "manifest.json").read_text())["statistics"]
    assert own["sft"]["action"]["q99"] == numbers["q99"]
    assert own["sft"]["action"]["min"] == numbers["minimum"]
    assert own["sft"]["action"]["mask"] == [True] * 6 + [False]


def test_killed_and_continued_gives_the_same_bytes(root, finished, tmp_path, capfd):
    child = os.fork()
    if not child:
        signal.alarm(300)  # ends a child that hangs, which the assertions then tell
        call = feed.Feed.__call__

        def die(self, step):
            if step == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(self, step)

        feed.Feed.__call__ = die
        try:
            train(root, "align", tmp_path)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert not (tmp_path / lora.WEIGHTS).exists()
    train(root, "align", tmp_path)
    assert "training steps: 2 to do" in capfd.readouterr().err
    for name in (lora.WEIGHTS, "projector.safetensors", "run.json"):
        assert (tmp_path / name).read_bytes() == (finished / "align" / name).read_bytes(), name
    wanted, found = (load_file(folder / state.FILE) for folder in (finished / "align", tmp_path))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_two_processes_compute_the_losses_of_one(root, finished, tmp_path):
    config = small_study.configured(root)
    launch.run(runs.train, 2, config, "align", 0, small_study.inputs(config), tmp_path)
    alone, together = log(finished / "align")[-1], log(tmp_path)[-1]
    for name in ("loss", "action", "alignment", "l1", "gradient_norm"):
        assert together[name] == pytest.approx(alone[name], rel=2e-4), name
    first, second = adapter(finished / "align"), adapter(tmp_path)
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, atol=2e-3, rtol=0)


def test_computing_activations_twice_changes_nothing(root, finished, tmp_path):
    train(root, "align", tmp_path, **{"openvla.gradient_checkpointing": True})
    for name, weight in adapter(finished / "align").items():
        torch.testing.assert_close(adapter(tmp_path)[name], weight, atol=1e-3, rtol=0)
    assert log(tmp_path)[-1]["loss"] == pytest.approx(log(finished / "align")[-1]["loss"], abs=1e-4)


def test_a_projector_that_is_trained_is_trained(root, finished, tmp_path):
    train(root, "align", tmp_path, **{"training.align.frozen": False})
    frozen, learned = (
        load_file(folder / "projector.safetensors") for folder in (finished / "align", tmp_path)
    )
    weights = {name.replace(".projector.", "."): w for name, w in frozen.items()}
    assert weights.keys() == learned.keys()
    assert any(not torch.equal(weights[name], learned[name]) for name in learned)


def test_the_seed_decides(root, finished, tmp_path):
    config = small_study.configured(root)
    runs.train(config, "default", 1, small_study.inputs(config), tmp_path)
    assert not torch.equal(
        next(iter(adapter(tmp_path).values())), next(iter(adapter(finished / "default").values()))
    )


def test_what_does_not_fit_is_refused(root, finished, tmp_path):
    config = small_study.configured(root, **{"training.align.layers": [4]})
    with pytest.raises(UnblindError, match=r"layers \[4\].*valid layers, each once: 1, 2, 3"):
        runs.train(config, "align", 0, small_study.inputs(config), tmp_path)
    config = small_study.configured(root)
    short = tmp_path / "low.npy"
    np.save(short, np.load(jobs.path(config, "features_low"))[:-1])
    given = small_study.inputs(config)
    with pytest.raises(UnblindError, match=r"low\.npy has \d+ rows for \d+ frames"):
        runs.train(
            config,
            "default",
            0,
            runs.Inputs(given.base, given.record, given.demos, short),
            tmp_path,
        )
    with pytest.raises(UnblindError, match="checkpoint of another training"):
        runs.train(config, "default", 1, given, finished / "default")


def test_a_rate_beyond_all_measure_ends_the_training(root, tmp_path):
    with pytest.raises(UnblindError, match=r"is (nan|inf).*lower the rate"):
        train(root, "default", tmp_path, **{"training.schedule.rate": 1e30})
    assert not (tmp_path / state.FILE).exists()


@pytest.mark.parametrize(("recipe", "wanted"), [("released", 31872), ("corrected", 31744)])
def test_the_recipe_decides_how_actions_are_normalised(root, tmp_path, monkeypatch, recipe, wanted):
    """A gripper that is open all the time: the release's training tells it as 0, ours as 1."""
    codecs = []
    monkeypatch.setattr(runs, "tune", lambda *given: codecs.append(given[3].codec))
    config = small_study.configured(
        root, **{"openvla.recipe": recipe, "openvla.precision": "bfloat16"}
    )
    inputs = small_study.inputs(config)
    runs.train(config, "default", 0, inputs, tmp_path / "run")
    runs.warm_up(config, inputs, tmp_path / "work", tmp_path / "out")
    assert len(codecs) == 2
    for codec in codecs:
        open_ends = {"minimum": codec.normalizer.minimum, "maximum": codec.normalizer.maximum}
        still = replace(codec.normalizer, **{k: (*v[:6], 1.0) for k, v in open_ends.items()})
        token = replace(codec, normalizer=still).encode(np.array([[0.0] * 6 + [1.0]]))[0, 6]
        assert token == wanted
