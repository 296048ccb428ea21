"""What is no checkpoint of this model is refused before anything is read, and how to fix it."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from unblind import files, weights
from unblind.errors import UnblindError
from unblind.vla import checkpoint, hub_config, text
from unblind.vla.checkpoint import load


def problem(folder):
    """Return the one line that refuses a folder or a repository."""
    with pytest.raises(UnblindError) as caught:
        load(folder)
    said = str(caught.value)
    assert "\n" not in said
    return said


def edit(folder, name, **changes):
    values = json.loads((folder / name).read_text())
    files.write_json(folder / name, {**values, **changes})


def edit_tensors(folder, change):
    """Change tensors of all shards; `change` maps name and tensor to a tensor or None."""
    table = {}
    for shard in sorted(folder.glob("*.safetensors")):
        changed = {n: change(n, t) for n, t in load_file(shard).items()}
        changed = {n: t for n, t in changed.items() if t is not None}
        save_file(changed, shard)
        table |= dict.fromkeys(changed, shard.name)
    files.write_json(folder / weights.INDEX, {"metadata": {}, "weight_map": table})


# ---- files ------------------------------------------------------------------------------------


def test_a_missing_shard_is_named_with_what_it_held(own_folder):
    first, *_ = shards = sorted(own_folder.glob("model-*.safetensors"))
    held = list(load_file(first))
    first.unlink()
    said = problem(own_folder)
    assert f"1 of {len(shards)} files of weights are missing" in said and first.name in said
    assert sum(name in said for name in held) >= 3 and f"and {len(held) - 3} more" in said
    assert "belong to the same commit" in said


def test_pickles_are_never_opened(own_folder):
    for path in [*own_folder.glob("*.safetensors"), own_folder / weights.INDEX]:
        path.unlink()
    (own_folder / "pytorch_model-00001-of-00002.bin").write_bytes(b"\x80\x04code")
    said = problem(own_folder)
    assert "pytorch_model-00001-of-00002.bin" in said and "can run code" in said
    assert "use the repository's safetensors" in said


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize("damage", [None, b"", b"[]", b"{", b'{"a":' * 5000, b"\xff"])
def test_missing_and_damaged_small_files_are_named(own_folder, name, damage):
    (own_folder / name).unlink() if damage is None else (own_folder / name).write_bytes(damage)
    assert name in problem(own_folder)


def test_a_folder_without_anything_and_no_folder(tmp_path):
    assert "no model in" in problem(tmp_path) and "config.json" in problem(tmp_path)
    assert "no folder" in problem(tmp_path / "absent")


def test_a_pointer_of_git_lfs_is_told_from_a_damaged_file(own_folder):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"
    for name in ("config.json", next(own_folder.glob("model-*.safetensors")).name):
        whole = (own_folder / name).read_bytes()
        (own_folder / name).write_text(pointer)
        said = problem(own_folder)
        assert f"{name} is a Git LFS pointer, not the file" in said and "git lfs pull" in said
        (own_folder / name).write_bytes(whole)


# ---- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", ["language_model.model.norm.weight", "vision_backbone"])
def test_weights_that_are_not_finite_are_refused_by_name(own_folder, number, part):
    damaged = []

    def damage(name, tensor):
        if not damaged and name.startswith(part):
            damaged.append(name)
            tensor.view(-1)[-1] = number
        return tensor

    edit_tensors(own_folder, damage)
    assert f"{damaged[0]} holds numbers that are not finite" in problem(own_folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn])
def test_quantised_weights_are_refused(own_folder, kind):
    norm = "language_model.model.norm.weight"
    edit_tensors(own_folder, lambda n, t: t.to(kind) if n == norm else t)
    said = problem(own_folder)
    assert f"{norm} is {str(kind)[6:]}, not one of float64" in said and "not quantised" in said
    edit(own_folder, hub_config.FILE, quantization_config={"load_in_8bit": True})
    assert "quantization_config is {'load_in_8bit': True}, not None" in problem(own_folder)


def test_numbers_of_small_files_are_finite(own_folder):
    text = (own_folder / hub_config.FILE).read_text()
    (own_folder / hub_config.FILE).write_text(
        text.replace('"vocab_size": 32064', '"vocab_size": 1e999')
    )
    assert "config.json: text_config.vocab_size is inf" in problem(own_folder)


# ---- another model ----------------------------------------------------------------------------


def test_another_vocabulary_is_refused(own_folder):
    def longer(name, tensor):
        vocabulary = name.endswith(("embed_tokens.weight", "lm_head.weight"))
        return torch.cat([tensor, tensor[:64]]) if vocabulary else tensor

    edit_tensors(own_folder, longer)
    said = problem(own_folder)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert f"language_model.{name} has shape (32128, 32), not (32064, 32)" in said
    assert "use a checkpoint with Llama-2's vocabulary, padded to 32064 ids" in said
    # The same, if config.json says so too: then the tokenizer is another one's.
    values = json.loads((own_folder / hub_config.FILE).read_text())["text_config"]
    edit(
        own_folder, hub_config.FILE, text_config=values | {"vocab_size": 32128}, pad_token_id=32064
    )
    assert "32001 words below id 32064" in problem(own_folder)


def test_other_vision_towers_are_refused_by_name(own_folder):
    clip = "vit_large_patch14_clip_336.openai"
    dino = "vit_large_patch14_reg4_dinov2.lvd142m"
    edit(own_folder, hub_config.FILE, timm_model_ids=[dino, clip], image_sizes=[224, 336])
    said = problem(own_folder)
    assert f"timm_model_ids[1] is '{clip}', not one of {dino}, vit_so400m" in said
    assert "image_sizes is [224, 336]" in said


def test_other_vision_towers_are_refused_by_their_tensors(own_folder):
    part = "vision_backbone.fused_featurizer"
    edit_tensors(own_folder, lambda name, tensor: None if name.startswith(part) else tensor)
    said = problem(own_folder)
    assert said.count("is missing") == 3 and f"{part}.pos_embed is missing" in said
    assert "and 339 more" in said  # of 342
    assert "vision towers that its config.json names" in said


def test_missing_unknown_and_misshapen_tensors_are_named_three_at_a_time(own_folder):
    norm = "language_model.model.norm.weight"

    def damage(name, tensor):
        if name.startswith("language_model.model.layers.3.mlp"):
            return None
        return tensor[:5].clone() if name == norm else tensor

    edit_tensors(own_folder, damage)
    said = problem(own_folder)
    assert said.count("layers.3.mlp") == 3 and "and 1 more" in said
    assert "config.json that belongs to it" in said
    assert load_file(sorted(own_folder.glob("model-*"))[0])  # still whole


def test_nothing_is_read_before_names_and_shapes_agree(own_folder, monkeypatch):
    edit_tensors(own_folder, lambda n, t: None if n == "projector.fc1.bias" else t)
    monkeypatch.setattr(weights, "tensors", lambda *_: pytest.fail("weights were read"))
    assert "projector.fc1.bias is missing" in problem(own_folder)


# ---- code of the repository -------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "spatialvla", "auto_map": {"AutoModel": "modeling_spatialvla.SpatialVLA"}},
        {"auto_map": {"AutoModelForVision2Seq": "modeling_prismatic.OpenVLAWithHead"}},
        {"auto_map": {"AutoModelForVision2Seq": "evil/repo--modeling_x.OpenVLA"}},
        {"auto_map": "modeling_prismatic.Evil"},
    ],
)
def test_a_repository_that_wants_its_own_code_run_is_refused(own_folder, changes):
    edit(own_folder, hub_config.FILE, **changes)
    (own_folder / "modeling_prismatic.py").write_text("raise SystemExit('was run')")
    said = problem(own_folder)
    assert "wants code of its repository (" in said and "modeling_" in said
    assert "code of a repository is never run" in said


def test_openvla_s_own_note_of_code_is_ignored(own_folder):
    """The hub's config.json names classes of the repository; ours are used instead."""
    name = "modeling_prismatic.OpenVLAForActionPrediction"
    for prefix in ("", "openvla/openvla-7b--"):
        edit(own_folder, hub_config.FILE, auto_map={"AutoModelForVision2Seq": prefix + name})
        (own_folder / "modeling_prismatic.py").write_text("raise SystemExit('was run')")
        assert len(load(own_folder).model.state_dict()) == 982


# ---- config.json ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "llava"}, "model_type is 'llava', not one of openvla, prismatic"),
        ({"image_resize_strategy": "letterbox"}, "'letterbox', not 'resize-naive'"),
        ({"pad_to_multiple_of": 128}, "pad_to_multiple_of is 128, not 64"),
        ({"n_action_bins": 512}, "n_action_bins is 512"),
        ({"use_fused_vision_backbone": False}, "False with 2 timm_model_ids"),
        ({"timm_model_ids": None}, "with 0 timm_model_ids"),
        ({"timm_override_act_layers": [None, "quick_gelu"]}, "timm_override_act_layers"),
        ({"text_config": {"num_key_value_heads": 1, "vocab_size": 32064}}, "num_key_value_heads"),
        ({"text_config": {"rope_theta": 5e5, "vocab_size": 32064}}, "rope_theta is 500000.0"),
        ({"text_config": {"tie_word_embeddings": True, "vocab_size": 32064}}, "tie_word"),
        ({"text_config": {"model_type": "mistral", "vocab_size": 32064}}, "'mistral'"),
        ({"text_config": {"vocab_size": 32064, "num_hidden_layers": 10**9}}, "num_hidden_layers"),
        ({"text_config": {"vocab_size": "many"}}, "vocab_size is 'many'"),
        ({"text_config": {}}, "vocab_size is None"),
        ({"text_config": 5}, "unreadable"),
        ({hub_config.TWIN_SIZES: [{"depth": 10**9}, {}]}, "unreadable"),
        ({hub_config.TWIN_SIZES: [{"act_layer": "x"}, {}]}, "names act_layer"),
        (
            {"model_type": "x", "auto_map": None, "pad_to_multiple_of": 8, "image_sizes": [1]},
            "model_type.*; image_sizes.*; pad_to_multiple_of.*: 'resize|64",
        ),
    ],
)
def test_other_configurations_are_refused(own_folder, changes, said):
    import re

    edit(own_folder, hub_config.FILE, **{"auto_map": None, **changes})
    assert re.search(said, problem(own_folder))


def test_what_transformers_5_writes_is_understood(own_folder):
    values = json.loads((own_folder / hub_config.FILE).read_text())["text_config"]
    values["rope_parameters"] = {"rope_theta": 10000.0, "rope_type": "default"}
    edit(own_folder, hub_config.FILE, text_config=values)
    assert hub_config.read(own_folder).model.layers == 32
    values["rope_parameters"] = {"rope_theta": 5e5, "rope_type": "llama3"}
    edit(own_folder, hub_config.FILE, text_config=values)
    assert "rope_type is 'llama3'" in problem(own_folder)


# ---- other heads ------------------------------------------------------------------------------

PARTS = ("action_head", "noisy_action_projector", "proprio_projector", "vision_backbone")


@pytest.mark.parametrize("part", PARTS)
def test_a_checkpoint_of_openvla_oft_is_refused(own_folder, part):
    (own_folder / f"{part}--150000_checkpoint.pt").write_bytes(b"pickle")
    said = problem(own_folder)
    assert f"it also holds {part}--150000_checkpoint.pt" in said
    assert "do not come from tokens" in said and "trained to answer with action tokens" in said


def test_on_the_hub_the_list_of_files_is_looked_at_first(monkeypatch):
    import huggingface_hub

    asked = []

    def listed(repo, **options):
        asked.append((repo, options["revision"]))
        return ["config.json", "action_head--50000_checkpoint.pt", "model.safetensors"]

    monkeypatch.setattr(huggingface_hub, "list_repo_files", listed)
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("was fetched")
    )
    assert "action_head--50000_checkpoint.pt" in problem(f"moojink/oft@{'a' * 40}")
    assert asked == [("moojink/oft", "a" * 40)]


# ---- the hub ----------------------------------------------------------------------------------


def test_a_pinned_revision_is_fetched_and_only_its_data(twin_folder, monkeypatch):
    import huggingface_hub

    asked = {}

    def download(repo, **options):
        asked.update(options, repo=repo)
        return str(twin_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda *_, **__: ["config.json"])
    loaded = load(checkpoint.OPENVLA_7B)
    assert loaded.folder == twin_folder
    assert (asked["repo"], len(asked["revision"])) == ("openvla/openvla-7b", 40)
    assert not [p for p in asked["allow_patterns"] if not p.endswith((".json", ".safetensors"))]
    assert {"config.json", text.FILE} <= set(asked["allow_patterns"])


def test_without_a_network_there_is_one_clear_line(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    said = problem(checkpoint.OPENVLA_7B)
    assert "cannot fetch openvla/openvla-7b" in said and "name a folder" in said


def test_a_revision_must_be_pinned():
    assert "full commit" in problem("openvla/openvla-7b@main")


def test_loading_twice_gives_the_same_in_any_precision(twin_folder, loaded):
    half = load(twin_folder)
    for name, weight in half.model.state_dict().items():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight.float(), loaded.model.state_dict()[name]), name


def test_a_loaded_model_outlives_its_folder(twin_folder, tmp_path):
    """Weights are copied, not mapped: the file may be replaced while the model is in use."""
    folder = shutil.copytree(twin_folder, tmp_path / "short-lived")
    model = load(folder).model
    before = model.projector.fc1.weight.clone()
    for shard in folder.glob("*.safetensors"):
        with open(shard, "r+b") as handle:
            handle.write(b"\0" * shard.stat().st_size)
    assert torch.equal(model.projector.fc1.weight, before)
