"""Published LoRA adapters, and a merged model as the hub holds it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from unblind.openvla import adapters, checkpoint, export, sequence
from unblind.openvla.checkpoint import load

from unblind import twin
from unblind.errors import Note, UnblindError
from unblind.vla import lora

PREFIX = "base_model.model."


@pytest.fixture(scope="session")
def adapter_folder(tmp_path_factory):
    return twin.make("openvla-lora", tmp_path_factory.mktemp("adapters") / "lora", seed=0)


@pytest.fixture
def own_adapter(adapter_folder, tmp_path):
    import shutil

    return shutil.copytree(adapter_folder, tmp_path / "lora")


@pytest.fixture
def model(twin_folder):
    """A model that a test may change."""
    return load(twin_folder, dtype=torch.float32).model


def damage(folder, change):
    tensors = load_file(folder / adapters.WEIGHTS)
    change(tensors)
    save_file(tensors, folder / adapters.WEIGHTS)


def configure(folder, **changes):
    path = folder / adapters.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(model, folder):
    with pytest.raises(UnblindError) as caught:
        adapters.load(model, folder)
    return str(caught.value)


def test_merged_weights_are_w_plus_half_b_a(adapter_folder, twin_folder, model):
    """r = 32, alpha = 16; also in the output head and the convolutions of the patches."""
    pairs = load_file(adapter_folder / adapters.WEIGHTS)
    before = load(twin_folder, dtype=torch.float32).model.state_dict()
    after = adapters.merge(model, adapter_folder).state_dict()
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
    assert torch.equal(pairs[adapters.HEAD].float(), before["language_model.lm_head.weight"])


def test_the_twin_covers_what_the_release_adapts(adapter_folder, model):
    names = {n for n in load_file(adapter_folder / adapters.WEIGHTS) if n != adapters.HEAD}
    wanted = lora.target_modules(model, vision=True)
    assert names == {f"{PREFIX}{n}.lora_{part}.weight" for n in wanted for part in "AB"}
    assert f"{PREFIX}vision_backbone.featurizer.patch_embed.proj.lora_A.weight" in names
    assert f"{PREFIX}vision_backbone.fused_featurizer.attn_pool.kv.lora_B.weight" in names


def test_unmerged_and_merged_agree_and_peft_reads_the_folder(
    adapter_folder, twin_folder, model, loaded, pictures
):
    pixels = loaded.pixels.evaluation(pictures, dtype=torch.float32)
    prompts = sequence.pad_left([loaded.vocabulary.action_prompt("put carrot on plate")] * 2, 0)

    @torch.no_grad()
    def run(one):
        return one.logits(sequence.run(one, pixels, prompts).last_hidden_state[:, -1])

    wrapped = adapters.load(model, adapter_folder, trainable=True)
    unmerged = run(wrapped.get_base_model())
    trained = lora.trainable_parameters(wrapped)
    assert trained == lora.lora_parameters(loaded.model, rank=32, vision=True)
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
    wrapped = adapters.load(model, own_adapter)
    assert lora.trainable_parameters(wrapped) == 0
    assert type(wrapped.get_base_model().language_model.lm_head) is torch.nn.Linear


def test_loading_leaves_the_global_generator_alone(adapter_folder, model):
    before = torch.random.get_rng_state()
    adapters.load(model, adapter_folder)
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
    damage(own_adapter, lambda tensors: tensors[adapters.HEAD].mul_(2))
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
    own = adapters.merge(model, tmp_path).state_dict()
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
    plain = adapters.merge(load(twin_folder, dtype=torch.float32).model, adapter_folder)
    for name, weight in adapters.merge(model, own_adapter).state_dict().items():
        assert torch.equal(weight, plain.state_dict()[name]), name


def test_every_setting_of_peft_is_known(model):
    """A setting that a new PEFT brings must be looked at before it is believed to be harmless."""
    import dataclasses

    from peft import LoraConfig

    names = {field.name for field in dataclasses.fields(LoraConfig)}
    refused_unless_empty = {
        *("alora_invocation_tokens", "arrow_config", "ensure_weight_tying", "kasa_config"),
        *("lora_bias", "monteclora_config", "target_parameters", "trainable_token_indices"),
        *("use_bdlora", "use_qalora", "velora_config"),
    }
    assert names == {*adapters._HARMLESS, *adapters._PLAIN, *refused_unless_empty}


# ---- what is stored ---------------------------------------------------------------------------


def test_no_adapter_at_all_is_one_line(own_adapter, model):
    save_file({}, own_adapter / adapters.WEIGHTS)
    assert "none of its 0 tensors is an adapter" in refused(model, own_adapter)
    head = {adapters.HEAD: model.language_model.lm_head.weight.bfloat16()}
    save_file(head, own_adapter / adapters.WEIGHTS)
    assert "none of its 1 tensors is an adapter" in refused(model, own_adapter)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(own_adapter, model, number):
    name = f"{PREFIX}projector.fc2.lora_A.weight"
    damage(own_adapter, lambda tensors: tensors[name].view(-1)[7].fill_(number))
    assert f"{name} holds numbers that are not finite" in refused(model, own_adapter)


def test_integers_are_no_adapter(own_adapter, model):
    name = f"{PREFIX}projector.fc2.lora_A.weight"
    damage(own_adapter, lambda t: t.update({name: t[name].to(torch.int8)}))
    assert f"{name} is int8, not one of float64" in refused(model, own_adapter)


@pytest.mark.parametrize("stored", [torch.float16, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("used", [torch.bfloat16, torch.float32])
def test_a_head_in_another_precision_is_the_model_s(twin_folder, own_adapter, stored, used):
    model = load(twin_folder, dtype=used).model
    damage(own_adapter, lambda t: t.update({n: x.to(stored) for n, x in t.items()}))
    adapters.load(model, own_adapter)


def test_a_checkpoint_is_no_adapter_though_it_may_hold_one(twin_folder, own_adapter, model):
    """A folder may hold both; without the adapter's file the model's shards are not tried."""
    for path in twin_folder.iterdir():
        (own_adapter / path.name).symlink_to(path)
    adapters.load(model, own_adapter)
    with pytest.warns(Note, match="also holds a LoRA adapter, which is not applied"):
        load(own_adapter)
    (own_adapter / adapters.WEIGHTS).unlink()
    said = refused(load(twin_folder, dtype=torch.float32).model, own_adapter)
    assert "no adapter_model.safetensors in" in said and "only model-00001-of" in said


def test_pickled_and_missing_adapters_are_refused(own_adapter, model, tmp_path):
    (own_adapter / adapters.WEIGHTS).rename(own_adapter / "adapter_model.bin")
    assert "adapter_model.bin" in refused(model, own_adapter)
    assert "no folder" in refused(model, tmp_path / "absent")
    (own_adapter / adapters.CONFIG).unlink()
    assert "adapter_config.json is missing" in refused(model, own_adapter)


# ---- writing ----------------------------------------------------------------------------------


def test_a_merged_model_is_saved_as_the_hub_holds_it(
    adapter_folder, twin_folder, model, loaded, tmp_path
):
    adapters.merge(model, adapter_folder)
    merged = checkpoint.OpenVla(
        model, loaded.config, loaded.vocabulary, loaded.pixels, loaded.statistics, loaded.folder
    )
    export.save(tmp_path / "merged", merged, shard_bytes=2 * 2**20)
    assert len(list((tmp_path / "merged").glob("model-*-of-*.safetensors"))) > 2
    again = load(tmp_path / "merged", dtype=torch.float32)
    assert again.statistics == loaded.statistics
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name].bfloat16().float()), name
    for name in checkpoint.SMALL_FILES:
        assert (tmp_path / "merged" / name).read_bytes() == (twin_folder / name).read_bytes()


def test_an_unmerged_copy_has_the_same_weights_byte_for_byte(twin_folder, tmp_path):
    export.save(tmp_path / "copy", load(twin_folder), shard_bytes=4 * 2**20)
    for path in twin_folder.iterdir():
        assert path.read_bytes() == (tmp_path / "copy" / path.name).read_bytes(), path.name


def test_no_place_to_write_is_one_error(loaded, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnblindError, match="cannot write"):
        export.save(tmp_path / "file" / "below", loaded)
