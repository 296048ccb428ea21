"""What only runs on a published model do: changed pictures, a teacher that runs along."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_study
import torch
from safetensors.torch import load_file

from unblind import twin
from unblind.config import load
from unblind.study.rows.names import STATISTICS
from unblind.teachers.loading import load_teacher
from unblind.teachers.teacher import Teacher
from unblind.training import feed, finetune
from unblind.training.team import Team
from unblind.vla import checkpoint, lora

ABLATIONS = Path(__file__).parents[2] / "workflow" / "config" / "ablations-paper.yaml"


def adapter(folder):
    return load_file(folder / lora.WEIGHTS)


@pytest.fixture(scope="module")
def aligned(published, tmp_path_factory):
    """The folder of a finished run of Align."""
    folder = tmp_path_factory.mktemp("aligned")
    published.train("align", folder)
    return folder


def test_what_no_token_comes_from_does_not_learn(aligned):
    """Both towers end with their second-to-last block; B starts as zero."""
    weights = adapter(aligned)
    moved = {name for name, w in weights.items() if "lora_B" in name and w.any()}
    towers = {name for name in weights if "lora_B" in name and "vision_backbone" in name}
    unused = {name for name in towers if "blocks.2." in name or "attn_pool" in name}
    assert unused and towers - unused <= moved
    assert not unused & moved


def test_the_teacher_sees_the_very_pictures_that_the_model_sees(published, tmp_path, monkeypatch):
    seen, fed = [], []
    features, call = Teacher.features, feed.Live.__call__

    def look(teacher, images, grid):
        seen.append(images)
        return features(teacher, images, grid)

    def note(live, step, part):
        fed.append(call(live, step, part))
        return fed[-1]

    monkeypatch.setattr(Teacher, "features", look)
    monkeypatch.setattr(feed.Live, "__call__", note)
    published.train("align", tmp_path)
    # Two parts a step, and before them one picture whose operations are counted.
    assert len(seen) == len(fed) == 1 + 2 * small_study.STEPS
    loaded = checkpoint.load(published.inputs.base)
    mean, deviation = (
        torch.tensor(numbers[1]).view(1, 3, 1, 1)  # SigLIP's half of the pixel values
        for numbers in (loaded.pixels.means, loaded.pixels.deviations)
    )
    for images, inputs in zip(seen, fed, strict=True):
        torch.testing.assert_close(inputs.low[:, 3:] * deviation + mean, images, atol=1e-5, rtol=0)
        assert inputs.teacher.shape[:2] == (1, 256)
    stored = np.load(published.inputs.seen) / 255
    distance = np.abs(stored.transpose(0, 3, 1, 2) - seen[0][0].numpy()).mean((1, 2, 3))
    assert distance.min() > 0.005  # the pictures were changed


def test_the_log_tells_how_many_tokens_are_read(published, aligned):
    last = json.loads((aligned / "training.jsonl").read_text().splitlines()[-1])
    # BOS, 256 visual tokens, the prompt's and seven of the action.
    vocabulary = checkpoint.load(published.inputs.base).vocabulary
    prompt = vocabulary.action_prompt("put carrot on plate")
    length = last["tokens_per_s"] / last["pictures_per_s"]
    assert length == pytest.approx(1 + 256 + len(prompt) + 7, abs=0.1)
    assert last["mfu"] is None  # no peak is known of a CPU


def test_a_run_keeps_its_own_action_statistics(published, aligned):
    own = json.loads((aligned / STATISTICS).read_text())
    numbers = json.loads((published.inputs.demos / "manifest.json").read_text())["statistics"]
    assert own["sft"]["action"]["q99"] == numbers["q99"]
    assert own["sft"]["action"]["min"] == numbers["minimum"]
    assert own["sft"]["action"]["mask"] == [True] * 6 + [False]
    facts = json.loads((aligned / "run.json").read_text())
    assert facts["recipe"] == "corrected" and facts["augmented"]
    assert facts["teacher"] == "c-radiov3-l"


def test_computing_activations_twice_changes_nothing(published, aligned, tmp_path):
    published.train("align", tmp_path, **{"training.gradient_checkpointing": True})
    for name, weight in adapter(aligned).items():
        torch.testing.assert_close(adapter(tmp_path)[name], weight, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("recipe", "gripper"), [("released", 31872), ("corrected", 31744)])
def test_the_recipe_decides_how_actions_are_normalised(
    published, tmp_path, monkeypatch, recipe, gripper
):
    """A gripper that is open all the time: the release's training tells it as 0, ours as 1."""
    codecs = []

    class Stop(Exception):
        pass

    def note(team, config, loaded, task, inputs):
        codecs.append(task.codec)
        raise Stop

    monkeypatch.setattr(finetune, "tune", note)
    changes = {"training.recipe": recipe, "training.precision": "bfloat16"}
    config, inputs = published.configured(**changes), published.inputs
    with pytest.raises(Stop):
        published.train("default", tmp_path / "run", **changes)
    with pytest.raises(Stop):
        finetune.warm_up(Team(), config, inputs, tmp_path / "work", tmp_path / "out")
    assert len(codecs) == 2
    for codec in codecs:
        open_ends = {"minimum": codec.normalizer.minimum, "maximum": codec.normalizer.maximum}
        still = replace(codec.normalizer, **{k: (*v[:6], 1.0) for k, v in open_ends.items()})
        token = replace(codec, normalizer=still).encode(np.array([[0.0] * 6 + [1.0]]))[0, 6]
        assert token == gripper


def test_a_row_of_the_papers_ablations_trains_with_its_own_teacher(published, root, tmp_path):
    """The row of DINOv2-L as it stands, its weights and OpenVLA's those of twins."""
    row = load(ABLATIONS).runs["teacher-dinov2-large"].model_dump()
    twin.make("dinov2", tmp_path / "dino")
    row["training"]["align"]["teacher_weights"] = str(tmp_path / "dino")
    config = published.configured(**{"runs.row": row})
    assert config.of("row").training.align.teacher == "dinov2-large"
    out = tmp_path / "run"
    facts = finetune.train(Team(), config.of("row"), "row", 0, published.inputs, out)
    assert facts["teacher"] == "dinov2-large"
    widths = {len(w) for w in load_file(out / "projector.safetensors").values()}
    assert load_teacher("dinov2-large", str(tmp_path / "dino")).width in widths
    assert any(w.any() for name, w in adapter(out).items() if "lora_B" in name)
