import json
from pathlib import Path

import models
import pytest
import torch
from safetensors.torch import load_file, save_file

from unblind import files
from unblind.errors import UnblindError
from unblind.vla import lora
from unblind.vla.prismatic import Prismatic, PrismaticConfig, Text

SMALL = models.SMALL | {
    "projector_width": 24,
    "hidden_size": 16,
    "intermediate_size": 20,
    "vocab_size": 300,
    "bos": 0,
    "max_positions": 64,
}
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
TEXT = Text(
    torch.arange(6).view(2, 3), torch.arange(3).expand(2, 3), torch.zeros(2, 3, dtype=torch.long)
)


def make(seed=0, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Prismatic(PrismaticConfig(**{**SMALL, **changes})).eval()


@torch.no_grad()
def run(model):
    model = getattr(model, "base_model", model)
    model = getattr(model, "model", model)
    (states,) = model.hidden(model.vision_backbone.low(IMAGES), TEXT)
    return model.logits(states)


def train(model, seed=0):
    """Give the adapters an effect, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 10)
    return model


@pytest.fixture
def base(tmp_path) -> Path:
    path = tmp_path / "base.safetensors"
    save_file({k: v.contiguous() for k, v in make().state_dict().items()}, path)
    return path


def test_modules_of_the_small_model():
    names = lora.target_modules(make(), vision=True)
    vision = [f"vision_backbone.featurizer.blocks.{i}" for i in range(5, 11)]
    wanted = [f"{block}.{part}" for block in vision for part in ("expand", "project")]
    wanted += ["projector.fc1", "projector.fc2", "language_model.lm_head"]
    for block in (f"language_model.model.layers.{i}" for i in range(2)):
        wanted += [f"{block}.self_attn.{p}_proj" for p in "qkvo"]
        wanted += [f"{block}.mlp.{p}_proj" for p in ("gate", "up", "down")]
    assert sorted(names) == sorted(wanted)
    frozen = lora.target_modules(make(), vision=False)
    assert sorted(frozen) == sorted(n for n in wanted if not n.startswith("vision_backbone"))


@pytest.mark.parametrize("vision", [True, False])
def test_count_equals_the_formula(vision):
    decoder = 4 * (16 + 16) + 3 * (16 + 20)
    rest = (112 + 24) + (24 + 16) + (16 + 300)
    # EfficientNet-Lite0, blocks 5 to 10: inputs, outputs (expansion 6).
    blocks = [(40, 80), (80, 80), (80, 80), (80, 112), (112, 112), (112, 112)]
    tower = sum((i + 6 * i) + (6 * i + o) for i, o in blocks)
    wanted = 4 * (2 * decoder + rest + vision * tower)
    assert lora.lora_parameters(make(), rank=4, vision=vision) == wanted
    wrapped = lora.add_lora(make(), vision=vision, seed=0, rank=4)
    assert lora.trainable_parameters(wrapped) == wanted


def test_count_at_paper_scale_is_the_published_one():
    with torch.device("meta"):
        model = Prismatic(PrismaticConfig(**models.OPENVLA))
    # Released set-up of finetune_align.py: rank 32, "all-linear" with the output head and both
    # patch embeddings.
    assert lora.lora_parameters(model, rank=32, vision=True) == 110_828_288
    # Freeze: decoder, projector, output head.
    assert lora.lora_parameters(model, 32, vision=False) == 79_953_920 + 1_019_904 + 1_157_120


def test_untrained_adapters_change_nothing_and_train_alone():
    model = make()
    before = run(model)
    wrapped = lora.add_lora(model, vision=True, seed=0)
    assert torch.equal(run(wrapped), before)
    trainable = {name for name, p in wrapped.named_parameters() if p.requires_grad}
    assert trainable == {name for name, _ in wrapped.named_parameters() if ".lora_" in name}
    assert wrapped.peft_config["default"].r == 32
    head = wrapped.get_base_model().language_model.lm_head
    assert head.scaling["default"] == 0.5


def test_freeze_leaves_the_tower_without_gradient():
    wrapped = lora.add_lora(make(), vision=False, seed=0)
    tower = wrapped.get_base_model().vision_backbone
    assert not [p for p in tower.parameters() if p.requires_grad]
    low = tower.low(IMAGES)
    assert torch.equal(tower(low), make().vision_backbone(low))


def test_seed_decides_and_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    one, two, other = (
        lora.adapter_weights(lora.add_lora(make(), vision=True, seed=seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    name = next(name for name in one if "lora_A" in name)
    assert not torch.equal(one[name], other[name])
    assert one[name].std().item() == pytest.approx(1 / 32, rel=0.1)  # PEFT's gaussian: 1 / rank
    assert torch.equal(before, torch.random.get_rng_state())


def test_stored_weights_are_the_evaluated_ones(base, tmp_path):
    trained = train(lora.add_lora(make(), vision=True, seed=0))
    exact = run(trained)
    lora.save_adapter(trained, tmp_path / "adapter", base)
    evaluated = run(trained)
    assert not torch.equal(exact, evaluated)  # rounding did happen
    loaded = lora.load_adapter(make(), tmp_path / "adapter", base)
    assert torch.equal(run(loaded), evaluated)
    assert lora.trainable_parameters(loaded) == 0
    stored = load_file(tmp_path / "adapter" / lora.WEIGHTS)
    assert {w.dtype for w in stored.values()} == {torch.float16}
    assert all(".lora_" in name for name in stored)


def test_the_folder_is_one_that_peft_reads(base, tmp_path):
    from peft import PeftModel

    trained = train(lora.add_lora(make(), vision=False, seed=0))
    lora.save_adapter(trained, tmp_path / "adapter", base)
    theirs = PeftModel.from_pretrained(make(), str(tmp_path / "adapter"))
    assert torch.allclose(run(theirs), run(trained), atol=1e-6)


def test_saving_twice_gives_the_same_bytes(base, tmp_path):
    for name in ("one", "two"):
        trained = train(lora.add_lora(make(), vision=True, seed=0))
        lora.save_adapter(trained, tmp_path / name, base)
    for file in (lora.WEIGHTS, lora.CONFIG, lora.IDENTITY):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_merged_model_computes_the_same_with_the_base_names():
    names = set(make().state_dict())
    trained = train(lora.add_lora(make(), vision=True, seed=0))
    adapted = run(trained)
    merged = lora.merge(trained)
    assert isinstance(merged, Prismatic)
    assert set(merged.state_dict()) == names
    assert (run(merged) - adapted).abs().max() < 1e-5


def test_adapter_of_another_base_is_refused(base, tmp_path):
    lora.save_adapter(lora.add_lora(make(), vision=True, seed=0), tmp_path / "adapter", base)
    other = tmp_path / "other.safetensors"
    save_file({k: v.contiguous() for k, v in make(seed=1).state_dict().items()}, other)
    with pytest.raises(UnblindError, match="trained on another base"):
        lora.load_adapter(make(seed=1), tmp_path / "adapter", other)


def test_adapter_of_another_architecture_is_refused(base, tmp_path):
    lora.save_adapter(lora.add_lora(make(), vision=True, seed=0), tmp_path / "adapter", base)
    with pytest.raises(UnblindError, match=r"does not fit.*no module.*layers\.1"):
        lora.load_adapter(make(layers=1), tmp_path / "adapter", base)
    with pytest.raises(UnblindError, match="shapes"):
        lora.load_adapter(make(intermediate_size=24), tmp_path / "adapter", base)


def test_damaged_or_missing_files_are_refused(base, tmp_path):
    folder = tmp_path / "adapter"
    with pytest.raises(UnblindError, match="missing or incomplete"):
        lora.load_adapter(make(), folder, base)
    lora.save_adapter(lora.add_lora(make(), vision=True, seed=0), folder, base)
    with pytest.raises(UnblindError, match=r"no base.*dvc pull"):
        lora.load_adapter(make(), folder, tmp_path / "absent")
    weights = folder / lora.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(UnblindError, match="damaged"):
        lora.load_adapter(make(), folder, base)


def test_adapters_that_are_not_finite_are_refused_by_name(base, tmp_path):
    """Also where the checksum was mended: such an adapter answers seven equal tokens."""
    model = lora.add_lora(make(), vision=True, seed=0)
    lora.save_adapter(model, tmp_path, base)
    tensors = load_file(tmp_path / lora.WEIGHTS)
    name = next(name for name in tensors if "lora_A" in name)
    tensors[name][:] = float("nan")
    save_file(tensors, tmp_path / lora.WEIGHTS)
    identity = json.loads((tmp_path / lora.IDENTITY).read_text())
    identity["adapter_sha256"] = files.sha256(tmp_path / lora.WEIGHTS)
    files.write_json(tmp_path / lora.IDENTITY, identity)
    with pytest.raises(UnblindError, match=f"{name} holds numbers that are not finite"):
        lora.load_adapter(make(), tmp_path, base)
