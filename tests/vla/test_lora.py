"""Adapters: ours and published ones, where they sit, what is stored, merged and refused."""

import dataclasses
import json
import shutil

import models
import pytest
import torch
from safetensors.torch import load_file, save_file

from unblind import twin
from unblind.errors import Note, UnblindError
from unblind.vla import checkpoint, lora
from unblind.vla.batch import Turn, collate
from unblind.vla.checkpoint import load
from unblind.vla.prismatic import Prismatic, PrismaticConfig, Text

PREFIX = "base_model.model."
BASE = "0123456789abcdef" * 4

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
    assert models.adapter_weights(make(), 4, vision) == wanted
    wrapped = lora.add_lora(make(), vision=vision, seed=0, rank=4)
    assert lora.trainable_parameters(wrapped) == wanted


def test_count_at_paper_scale_is_the_published_one(full_size):
    # Released set-up of finetune_align.py: rank 32, "all-linear" with the output head and both
    # patch embeddings.
    assert models.adapter_weights(full_size, 32, vision=True) == 110_828_288
    # Freeze: decoder, projector, output head.
    assert models.adapter_weights(full_size, 32, vision=False) == (
        79_953_920 + 1_019_904 + 1_157_120
    )


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


def test_stored_weights_are_the_evaluated_ones(tmp_path):
    trained = train(lora.add_lora(make(), vision=True, seed=0))
    exact = run(trained)
    lora.save_adapter(trained, tmp_path / "adapter", BASE)
    evaluated = run(trained)
    assert not torch.equal(exact, evaluated)  # rounding did happen
    loaded = lora.load_adapter(make(), tmp_path / "adapter", BASE)
    assert torch.equal(run(loaded), evaluated)
    assert lora.trainable_parameters(loaded) == 0
    stored = load_file(tmp_path / "adapter" / lora.WEIGHTS)
    assert {w.dtype for w in stored.values()} == {torch.float16}
    assert all(".lora_" in name for name in stored)


def test_the_folder_is_one_that_peft_reads(tmp_path):
    from peft import PeftModel

    trained = train(lora.add_lora(make(), vision=False, seed=0))
    lora.save_adapter(trained, tmp_path / "adapter", BASE)
    theirs = PeftModel.from_pretrained(make(), str(tmp_path / "adapter"))
    assert torch.allclose(run(theirs), run(trained), atol=1e-6)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        trained = train(lora.add_lora(make(), vision=True, seed=0))
        lora.save_adapter(trained, tmp_path / name, BASE)
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


def test_adapter_of_another_base_is_refused(tmp_path):
    lora.save_adapter(lora.add_lora(make(), vision=True, seed=0), tmp_path / "adapter", BASE)
    with pytest.raises(UnblindError, match=r"\(0123456789ab, this one is ffffffffffff"):
        lora.load_adapter(make(seed=1), tmp_path / "adapter", "f" * 64)


def test_adapter_of_another_architecture_is_refused(tmp_path):
    lora.save_adapter(lora.add_lora(make(), vision=True, seed=0), tmp_path / "adapter", BASE)
    with pytest.raises(UnblindError, match=r"another model.*layers\.1.* is unknown"):
        lora.load_adapter(make(layers=1), tmp_path / "adapter", BASE)
    with pytest.raises(UnblindError, match=r"another model.*mlp.* has shape"):
        lora.load_adapter(make(intermediate_size=24), tmp_path / "adapter", BASE)


def test_damaged_or_missing_files_are_refused(tmp_path):
    folder = tmp_path / "adapter"
    with pytest.raises(UnblindError, match="missing or incomplete"):
        lora.load_adapter(make(), folder, BASE)
    lora.save_adapter(lora.add_lora(make(), vision=True, seed=0), folder, BASE)
    weights = folder / lora.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(UnblindError, match="damaged"):
        lora.load_adapter(make(), folder, BASE)


# ---- published adapters ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def adapter_folder(tmp_path_factory):
    return twin.make("openvla-lora", tmp_path_factory.mktemp("adapters") / "lora", seed=0)


@pytest.fixture
def own_adapter(adapter_folder, tmp_path):
    return shutil.copytree(adapter_folder, tmp_path / "lora")


@pytest.fixture
def model(twin_folder):
    """A model that a test may change."""
    return load(twin_folder, dtype=torch.float32).model


def damage(folder, change):
    tensors = load_file(folder / lora.WEIGHTS)
    change(tensors)
    save_file(tensors, folder / lora.WEIGHTS)


def configure(folder, **changes):
    path = folder / lora.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(model, folder):
    with pytest.raises(UnblindError) as caught:
        lora.load_adapter(model, folder)
    return str(caught.value)


def test_merged_weights_are_w_plus_half_b_a(adapter_folder, twin_folder, model):
    """r = 32, alpha = 16; also in the output head and the convolutions of the patches."""
    pairs = load_file(adapter_folder / lora.WEIGHTS)
    before = load(twin_folder, dtype=torch.float32).model.state_dict()
    after = lora.merge(lora.load_adapter(model, adapter_folder)).state_dict()
    assert after.keys() == before.keys()
    changed = 0
    for name, weight in before.items():
        stem = PREFIX + name.removesuffix(".weight")
        if f"{stem}.lora_A.weight" in pairs:
            a, b = (pairs[f"{stem}.lora_{part}.weight"].float().flatten(1) for part in "AB")
            weight = weight + 0.5 * (b @ a).view(weight.shape)
            changed += 1
        torch.testing.assert_close(after[name], weight, atol=1e-5, rtol=0)
    assert changed == len(pairs) // 2
    assert torch.equal(pairs[lora.HEAD].float(), before["language_model.lm_head.weight"])


def test_the_twin_covers_what_the_release_adapts(adapter_folder, model):
    names = {n for n in load_file(adapter_folder / lora.WEIGHTS) if n != lora.HEAD}
    wanted = lora.target_modules(model, vision=True)
    assert names == {f"{PREFIX}{n}.lora_{part}.weight" for n in wanted for part in "AB"}
    assert f"{PREFIX}vision_backbone.featurizer.patch_embed.proj.lora_A.weight" in names
    assert f"{PREFIX}vision_backbone.fused_featurizer.attn_pool.kv.lora_B.weight" in names


def test_unmerged_and_merged_agree_and_peft_reads_the_folder(
    adapter_folder, twin_folder, model, loaded, pictures
):
    pixels = loaded.pixels.evaluation(pictures, dtype=torch.float32)
    prompt = loaded.vocabulary.action_prompt("put carrot on plate")
    text = collate([[Turn(prompt, (0,), (0.0,))]] * len(pictures)).text

    @torch.no_grad()
    def run(one):
        return one.logits(one.hidden(pixels, text)[0][:, -1])

    wrapped = lora.load_adapter(model, adapter_folder, trainable=True)
    unmerged = run(wrapped.get_base_model())
    trained = lora.trainable_parameters(wrapped)
    assert trained == models.adapter_weights(loaded.model, 32, vision=True)
    assert (run(loaded.model) - unmerged).abs().max() > 0.1
    assert (run(wrapped.merge_and_unload()) - unmerged).abs().max() < 1e-3
    from peft import PeftModel

    own = load(twin_folder, dtype=torch.float32).model
    own.eval()
    theirs = PeftModel.from_pretrained(own, str(adapter_folder)).eval()
    torch.testing.assert_close(run(theirs.get_base_model()), unmerged, atol=1e-4, rtol=1e-4)


def test_adapters_without_the_output_head_are_complete_too(own_adapter, model):
    def without_head(tensors):
        for name in [n for n in tensors if "lm_head" in n]:
            del tensors[name]

    damage(own_adapter, without_head)
    wrapped = lora.load_adapter(model, own_adapter)
    assert lora.trainable_parameters(wrapped) == 0
    assert type(wrapped.get_base_model().language_model.lm_head) is torch.nn.Linear


def test_loading_leaves_the_global_generator_alone(adapter_folder, model):
    before = torch.random.get_rng_state()
    lora.load_adapter(model, adapter_folder)
    assert torch.equal(before, torch.random.get_rng_state())


# ---- refusals ---------------------------------------------------------------------------------


def test_adapters_of_another_model_are_refused_with_three_names(own_adapter, model):
    def rename(tensors):
        for name in [n for n in tensors if ".layers.5.mlp" in n]:
            tensors[name.replace(".layers.5.", ".layers.77.")] = tensors.pop(name)

    damage(own_adapter, rename)
    said = refused(model, own_adapter)
    assert said.count("layers.77.mlp") == 3 and "and 3 more" in said
    assert "trained on this checkpoint" in said


def test_half_a_pair_and_other_ranks_are_refused(own_adapter, model):
    name = f"{PREFIX}projector.fc1.lora_B.weight"
    damage(own_adapter, lambda tensors: tensors.pop(name))
    assert f"{name} is missing" in refused(model, own_adapter)
    configure(own_adapter, r=16)
    assert "has shape (32, " in refused(model, own_adapter)


def test_adapters_of_a_base_with_another_head_are_refused(own_adapter, model):
    damage(own_adapter, lambda tensors: tensors[lora.HEAD].mul_(2))
    assert "lm_head.base_layer.weight is not that of the model" in refused(model, own_adapter)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_dora": True}, "use_dora is True, not False"),
        ({"use_rslora": True}, "use_rslora"),
        ({"peft_type": "IA3"}, "'IA3', not 'LORA'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        ({"alora_invocation_tokens": [5]}, "alora_invocation_tokens is [5]"),
        ({"lora_bias": True}, "lora_bias is True"),
        ({"use_qalora": True}, "use_qalora is True"),
        ({"arrow_config": {"top_k": 3}}, "arrow_config"),
        ({"trainable_token_indices": [7]}, "trainable_token_indices"),
        ({"target_parameters": ["x"]}, "target_parameters"),
        ({"a_key_of_tomorrow": 1}, "a_key_of_tomorrow is 1"),
        ({"r": 0}, "r is 0"),
        ({"r": True}, "r is True"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_alpha": float("inf")}, "lora_alpha is inf"),
        ({"target_modules": ["q_proj"]}, "target_modules does not name"),
        ({"exclude_modules": ["fc1"]}, "target_modules does not name"),
        ({"layers_to_transform": [0, 1]}, "target_modules does not name"),
        ({"target_modules": "("}, "target_modules are unreadable"),
    ],
)
def test_other_kinds_of_adapters_are_refused(own_adapter, model, changes, said):
    configure(own_adapter, **changes)
    assert said in refused(model, own_adapter)


# ---- how adapters were started ----------------------------------------------------------------

QUERIES = [f"language_model.model.layers.{k}.self_attn.q_proj" for k in (0, 31)]


def started(twin_folder, folder, start):
    """Save adapters as PEFT makes them, with a B that acts where the start leaves the base alone.

    Returns:
        the base's weights before, and those after PEFT's own load and merge.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    model, fresh = (load(twin_folder, dtype=torch.float32).model for _ in range(2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=QUERIES, init_lora_weights=start)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wrapped = get_peft_model(model, settings)
    if start not in ("pissa", "olora"):
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.data.fill_(0.1)
    wrapped.save_pretrained(str(folder))
    merged = PeftModel.from_pretrained(fresh, str(folder)).merge_and_unload()
    return before, merged.state_dict()


@pytest.mark.parametrize("start", [True, False, "gaussian", "orthogonal"])
def test_starts_that_leave_the_base_alone_merge_as_in_peft(twin_folder, model, tmp_path, start):
    before, wanted = started(twin_folder, tmp_path, start)
    own = lora.merge(lora.load_adapter(model, tmp_path)).state_dict()
    for name, weight in own.items():
        torch.testing.assert_close(weight, wanted[name], atol=1e-7, rtol=0)
    name = f"{QUERIES[0]}.weight"
    assert (own[name] - before[name]).abs().max() > 0.01


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_starts_that_change_the_base_are_refused(twin_folder, model, tmp_path, start):
    """PEFT subtracts the first adapters from the base, again at each loading."""
    before, wanted = started(twin_folder, tmp_path, start)
    for name, weight in wanted.items():  # untrained, they do nothing
        torch.testing.assert_close(weight, before[name], atol=1e-6, rtol=0)
    said = refused(model, tmp_path)
    assert f"init_lora_weights is '{start}'" in said
    assert "path_initial_model_for_weight_conversion" in said


@pytest.mark.parametrize("start", ["pissa_niter_16", "corda", "loftq", "lora_ga", "mica", {"x": 1}])
def test_other_and_unknown_starts_are_refused_too(own_adapter, model, start):
    configure(own_adapter, init_lora_weights=start)
    assert "init_lora_weights is" in refused(model, own_adapter)


def test_eva_leaves_the_base_alone(own_adapter, adapter_folder, model, twin_folder):
    configure(own_adapter, init_lora_weights="eva", eva_config={"rho": 2.0})
    plain = lora.merge(
        lora.load_adapter(load(twin_folder, dtype=torch.float32).model, adapter_folder)
    )
    for name, weight in lora.merge(lora.load_adapter(model, own_adapter)).state_dict().items():
        assert torch.equal(weight, plain.state_dict()[name]), name


def test_every_setting_of_peft_is_known(model):
    """A setting that a new PEFT brings must be looked at before it is believed to be harmless."""
    from peft import LoraConfig

    names = {field.name for field in dataclasses.fields(LoraConfig)}
    refused_unless_empty = {
        *("alora_invocation_tokens", "arrow_config", "ensure_weight_tying", "kasa_config"),
        *("lora_bias", "monteclora_config", "target_parameters", "trainable_token_indices"),
        *("use_bdlora", "use_qalora", "velora_config"),
    }
    assert names == {*lora._HARMLESS, *lora._PLAIN, *refused_unless_empty}


# ---- what is stored ---------------------------------------------------------------------------


def test_no_adapter_at_all_is_one_line(own_adapter, model):
    save_file({}, own_adapter / lora.WEIGHTS)
    assert "none of its 0 tensors is an adapter" in refused(model, own_adapter)
    head = {lora.HEAD: model.language_model.lm_head.weight.bfloat16()}
    save_file(head, own_adapter / lora.WEIGHTS)
    assert "none of its 1 tensors is an adapter" in refused(model, own_adapter)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(own_adapter, model, number):
    name = f"{PREFIX}projector.fc2.lora_A.weight"
    damage(own_adapter, lambda tensors: tensors[name].view(-1)[7].fill_(number))
    assert f"{name} holds numbers that are not finite" in refused(model, own_adapter)


@pytest.mark.parametrize("stored", [torch.float16, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("used", [torch.bfloat16, torch.float32])
def test_a_head_in_another_precision_is_the_model_s(twin_folder, own_adapter, stored, used):
    model = load(twin_folder, dtype=used).model
    damage(own_adapter, lambda t: t.update({n: x.to(stored) for n, x in t.items()}))
    lora.load_adapter(model, own_adapter)


def test_a_checkpoint_is_no_adapter_though_it_may_hold_one(twin_folder, own_adapter, model):
    """A folder may hold both; without the adapter's file the model's shards are not tried."""
    for path in twin_folder.iterdir():
        (own_adapter / path.name).symlink_to(path)
    lora.load_adapter(model, own_adapter)
    with pytest.warns(Note, match="also holds a LoRA adapter, which is not applied"):
        load(own_adapter)
    (own_adapter / lora.WEIGHTS).unlink()
    said = refused(load(twin_folder, dtype=torch.float32).model, own_adapter)
    assert "no adapter_model.safetensors in" in said and "only model-00001-of" in said


def test_pickled_and_missing_adapters_are_refused(own_adapter, model, tmp_path):
    (own_adapter / lora.WEIGHTS).rename(own_adapter / "adapter_model.bin")
    assert "adapter_model.bin" in refused(model, own_adapter)
    assert "no folder" in refused(model, tmp_path / "absent")
    (own_adapter / lora.CONFIG).unlink()
    assert "adapter_config.json is missing" in refused(model, own_adapter)


def test_a_merged_model_is_saved_as_the_hub_holds_it(
    adapter_folder, twin_folder, model, loaded, tmp_path
):
    lora.merge(lora.load_adapter(model, adapter_folder))
    merged = dataclasses.replace(loaded, model=model)
    checkpoint.save_hub(tmp_path / "merged", merged, shard_bytes=2 * 2**20)
    assert len(list((tmp_path / "merged").glob("model-*-of-*.safetensors"))) > 2
    again = load(tmp_path / "merged", dtype=torch.float32)
    assert again.statistics == loaded.statistics
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name].bfloat16().float()), name
    for name in checkpoint.SMALL_FILES:
        assert (tmp_path / "merged" / name).read_bytes() == (twin_folder / name).read_bytes()
