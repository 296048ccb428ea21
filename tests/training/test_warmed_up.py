"""The warm-up before every method: a short training, merged into the model it started from."""

import json
from types import SimpleNamespace

import commands
import demonstrations
import models
import pytest
import torch
from safetensors.torch import load_file

from unblind.config import load
from unblind.steps import finetuning
from unblind.study import jobs
from unblind.training.finetune import Inputs, warm_up
from unblind.training.team import Team
from unblind.vla import checkpoint

SETTINGS = {
    "base.warm_up": dict(steps=3, batch=4, rate=0.01, warm_up=1, weight_decay=0.0),
}
UNCHANGED = (checkpoint.CONFIG, checkpoint.TOKENIZER, checkpoint.STATISTICS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, demonstrations, and the model after its warm-up."""
    root = tmp_path_factory.mktemp("warm-up")
    config, start = load(commands.SMOKE, SETTINGS), root / "start"
    checkpoint.save(start, models.small(), models.VOCABULARY, models.STATISTICS.to_json())
    config = config.model_copy(update={"results": str(root), "rebuild_base": True})
    demos = demonstrations.write(jobs.demos_folder(config, "warm-up"), config, train=2)
    finetuning.write_low(config, start, "warm-up", root / "low.npy")
    inputs = Inputs(start, None, demos, root / "low.npy")
    warm_up(Team(), config, inputs, root / "work", root / "out")
    return SimpleNamespace(config=config, inputs=inputs, start=start, demos=demos, out=root / "out")


def weights(folder):
    return load_file(folder / checkpoint.WEIGHTS)


def test_the_result_is_a_whole_model_without_adapters(made):
    before, after = weights(made.start), weights(made.out)
    shapes = [{name: w.shape for name, w in some.items()} for some in (before, after)]
    assert shapes[0] == shapes[1]
    assert all(w.dtype == torch.float16 and w.isfinite().all() for w in after.values())
    stored = checkpoint.load(made.out).model.state_dict()
    assert all(torch.equal(stored[name], after[name].float()) for name in after)


def test_tower_projector_and_decoder_have_learned_and_the_rest_stands(made):
    before, after = weights(made.start), weights(made.out)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    decoder = "language_model.model.layers.0"
    assert changed >= {
        "projector.fc1.weight",
        "projector.fc2.weight",
        "language_model.lm_head.weight",
        f"{decoder}.self_attn.q_proj.weight",
        f"{decoder}.mlp.down_proj.weight",
    }
    tower = {name for name in changed if name.startswith("vision_backbone.")}
    numbers = {int(name.split("blocks.")[1].split(".")[0]) for name in tower}
    assert numbers == set(range(5, 11)), "the first five blocks are frozen"
    stands = {"visual_positions", "language_model.model.embed_tokens.weight"}
    stands |= {name for name in before if "norm" in name or name.endswith(".bias")}
    assert stands <= before.keys() and not changed & stands


def test_statistics_tokenizer_and_sizes_are_the_start_s(made):
    """Actions keep the meaning that pretraining gave them."""
    for name in UNCHANGED:
        assert (made.out / name).read_bytes() == (made.start / name).read_bytes()
    other = json.loads((made.demos / "manifest.json").read_text())["statistics"]
    stored = json.loads((made.out / checkpoint.STATISTICS).read_text())
    assert stored["q99"] != other["q99"], "the demonstrations' own are not taken"


def test_the_same_again_gives_the_same_bytes(made, tmp_path):
    kept = (made.out / checkpoint.WEIGHTS).read_bytes()
    work, out = tmp_path / "work", tmp_path / "out"
    warm_up(Team(), made.config, made.inputs, work, out)
    assert (out / checkpoint.WEIGHTS).read_bytes() == kept
    lines = (work / "training.jsonl").read_text()
    warm_up(Team(), made.config, made.inputs, work, out)  # goes on behind its last step
    assert (out / checkpoint.WEIGHTS).read_bytes() == kept
    assert (work / "training.jsonl").read_text() == lines


def test_another_seed_gives_another_model(made, tmp_path):
    config = made.config.model_copy(update={"seed": 1})
    warm_up(Team(), config, made.inputs, tmp_path / "work", tmp_path / "out")
    other = (tmp_path / "out" / checkpoint.WEIGHTS).read_bytes()
    assert other != (made.out / checkpoint.WEIGHTS).read_bytes()
