"""Checkpoints in both layouts: OpenVLA's names and counts, and what is written and read."""

import json

import models
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from unblind import files, weights
from unblind.errors import UnblindError
from unblind.twin.openvla import document
from unblind.vla import checkpoint, hub_config, loading
from unblind.vla.checkpoint import load
from unblind.vla.prismatic import PrismaticConfig

STATISTICS = models.STATISTICS.to_json()

# ---- names, shapes and counts at full size, by rule -------------------------------------------


def vit(width, hidden, depth, scaled, extra):
    """Names and shapes of a tower; `extra` are those outside the blocks."""
    shapes = {
        "pos_embed": (1, 256, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
        **extra,
    }
    for name in ("norm", *(f"blocks.{i}.norm{k}" for i in range(depth) for k in (1, 2))):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    layers = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    layers |= {"mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}
    for index in range(depth):
        for name, (out, fan_in) in layers.items():
            shapes[f"blocks.{index}.{name}.weight"] = (out, fan_in)
            shapes[f"blocks.{index}.{name}.bias"] = (out,)
        if scaled:
            shapes |= {f"blocks.{index}.ls{k}.scale_factor": (width,) for k in (1, 2)}
    return shapes


def siglip_pool(width, hidden):
    layers = {"q": (width, width), "kv": (2 * width, width), "proj": (width, width)}
    layers |= {"mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}
    shapes = {"latent": (1, 1, width), "norm.weight": (width,), "norm.bias": (width,)}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {f"attn_pool.{name}": shape for name, shape in shapes.items()}


def llama(width, hidden, layers, vocabulary):
    shapes = {"model.embed_tokens": (vocabulary, width), "lm_head": (vocabulary, width)}
    shapes["model.norm"] = (width,)
    for block in (f"model.layers.{index}" for index in range(layers)):
        shapes |= {f"{block}.self_attn.{n}_proj": (width, width) for n in "qkvo"}
        shapes |= {f"{block}.mlp.{n}_proj": (hidden, width) for n in ("gate", "up")}
        shapes[f"{block}.mlp.down_proj"] = (width, hidden)
        shapes |= {f"{block}.{n}_layernorm": (width,) for n in ("input", "post_attention")}
    return {f"{name}.weight": shape for name, shape in shapes.items()}


def published(dino, siglip, dino_hidden, siglip_hidden, decoder):
    """The 982 names of openvla/openvla-7b for widths of its parts."""
    prefix = {"cls_token": (1, 1, dino), "reg_token": (1, 4, dino)}
    width, out = dino + siglip, decoder[0]
    sizes = {"fc1": (4 * width, width), "fc2": (out, 4 * width), "fc3": (out, out)}
    parts = {
        "vision_backbone.featurizer": vit(dino, dino_hidden, 24, True, prefix),
        "vision_backbone.fused_featurizer": vit(
            siglip, siglip_hidden, 27, False, siglip_pool(siglip, siglip_hidden)
        ),
        "projector": {f"{n}.weight": s for n, s in sizes.items()}
        | {f"{n}.bias": s[:1] for n, s in sizes.items()},
        "language_model": llama(*decoder, 32064),
    }
    return {f"{part}.{name}": s for part, names in parts.items() for name, s in names.items()}


FULL = published(1024, 1152, 4096, 4304, (4096, 11008, 32))


def test_the_full_size_model_has_the_published_982_tensors(full_size):
    found = loading.shapes(full_size)
    assert len(FULL) == 982
    assert found == FULL
    assert sum(torch.Size(shape).numel() for shape in found.values()) == 7_541_237_184
    assert all(tensor.is_meta for tensor in full_size.state_dict().values())


def test_the_twin_has_the_same_names_and_not_one_more(twin_folder):
    found = {}
    for path in twin_folder.glob("*.safetensors"):
        with safe_open(path, "pt") as shard:
            found |= {name: tuple(shard.get_slice(name).get_shape()) for name in shard.keys()}
    assert found.keys() == FULL.keys()
    assert found == published(32, 24, 128, 89, (32, 64, 32))


def test_names_go_to_timms_and_back(full_size):
    for name in full_size.state_dict():
        assert loading.rename(loading.published_name(name)) == name
    changed = {n for n in full_size.state_dict() if loading.published_name(n) != n}
    assert len(changed) == 48 and all(".ls" in name for name in changed)


def test_a_prismatic_vlm_with_one_tower_has_a_projector_of_two_layers():
    values = document("prismatic")
    del values[hub_config.TWIN_SIZES]
    values |= {"timm_model_ids": ["vit_so400m_patch14_siglip_224"], "image_sizes": [224]}
    values |= {"use_fused_vision_backbone": False, "timm_override_act_layers": [None]}
    values["text_config"] = {"vocab_size": 32064}
    found = loading.shapes(loading.blank(hub_config.parse("config.json", values).model))
    names = {n: s for n, s in found.items() if n.startswith("projector") and "weight" in n}
    assert names == {"projector.fc1.weight": (4096, 1152), "projector.fc2.weight": (4096, 4096)}
    assert not [name for name in found if "fused" in name]


# ---- weights ----------------------------------------------------------------------------------


def test_nothing_is_left_without_memory_and_nothing_is_trained(either):
    everything = [*either.model.named_parameters(), *either.model.named_buffers()]
    assert not [name for name, tensor in everything if tensor.is_meta]
    assert not either.model.training


def test_unknown_devices_are_one_error():
    assert loading.check_device("cpu").type == "cpu"
    for device in ("quantum", "cuda:77", "meta"):
        with pytest.raises(UnblindError, match=f"cannot use device '{device}'"):
            loading.check_device(device)


# ---- mini's layout ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path / "base", models.small(), models.VOCABULARY, STATISTICS)
    return tmp_path / "base"


def test_what_was_saved_is_loaded_in_half_precision(folder):
    loaded = load(folder)
    original = models.small()
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, original.state_dict()[name].half().float()), name
    assert loaded.identity == files.sha256(folder / checkpoint.WEIGHTS)
    assert loaded.vocabulary.actions == models.VOCABULARY.actions
    assert loaded.pixels.size == 64
    assert loaded.codec().normalizer == models.STATISTICS
    assert loaded.codec().tokenizer.ids == models.VOCABULARY.actions
    assert not loaded.model.training
    assert not [name for name, weight in loaded.model.named_parameters() if weight.requires_grad]
    assert {t.dtype for t in load_file(folder / checkpoint.WEIGHTS).values()} == {torch.float16}


def test_saving_a_loaded_model_gives_the_same_bytes(folder, tmp_path):
    loaded = load(folder)
    checkpoint.save(tmp_path / "again", loaded.model, loaded.vocabulary, STATISTICS)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    "name", [checkpoint.CONFIG, checkpoint.WEIGHTS, checkpoint.TOKENIZER, checkpoint.STATISTICS]
)
def test_missing_and_truncated_files_are_named(folder, name):
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnblindError, match=name):
        load(folder)
    path.unlink()
    with pytest.raises(UnblindError, match=rf"no model in .*: {name} missing.*unblind base pull"):
        load(folder)


def test_files_of_another_model_are_refused(folder):
    values = json.loads((folder / checkpoint.CONFIG).read_text())
    files.write_json(folder / checkpoint.CONFIG, values | {"layers": 3})
    with pytest.raises(UnblindError, match=r"holds another model: language_model.model.layers.2"):
        load(folder)
    models.Words.build(["three more words"]).save(folder / checkpoint.TOKENIZER)
    with pytest.raises(UnblindError, match=r"tokenizer\.json has \d+ words, the model \d+"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({key: values[:5] for key, values in STATISTICS.items()}, "of 5 dimensions, not 7"),
        ({"q01": [float("nan")] * 7}, r"cannot be used: q01\[0\] is nan"),
        ({"q99": [-1.0] * 7}, r"cannot be used: q01\[0\] is -0.02, above q99\[0\], -1.0"),
        ({"mask": ["False"] * 7}, r"cannot be used: mask\[0\] is 'False'"),
    ],
)
def test_impossible_statistics_are_refused(folder, changes, said):
    (folder / checkpoint.STATISTICS).write_text(json.dumps(STATISTICS | changes))
    with pytest.raises(UnblindError, match=rf"statistics\.json.* {said}"):
        load(folder)


# ---- the hub's layout -------------------------------------------------------------------------


def test_an_unchanged_copy_has_the_same_files_byte_for_byte(twin_folder, tmp_path):
    checkpoint.save_hub(tmp_path / "copy", load(twin_folder), shard_bytes=4 * 2**20)
    for path in twin_folder.iterdir():
        assert path.read_bytes() == (tmp_path / "copy" / path.name).read_bytes(), path.name


def test_several_files_of_weights_or_a_record_name_a_model(twin_folder, loaded, tmp_path):
    assert loaded.identity == load(twin_folder).identity
    checkpoint.save_hub(tmp_path / "one", loaded, shard_bytes=2**30)
    (single,) = weights.files(tmp_path / "one")
    assert load(tmp_path / "one").identity == files.sha256(single) != loaded.identity
    record = tmp_path / "base.json"
    record.write_text("{}")
    assert load(twin_folder, record=record).identity == files.sha256(record)


def test_no_place_to_write_is_one_error(loaded, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnblindError, match="cannot write"):
        checkpoint.save_hub(tmp_path / "file" / "below", loaded)


# ---- action statistics of several data sets ---------------------------------------------------


def test_openvlas_padding_stands_behind_the_action_ids():
    config = PrismaticConfig(**models.OPENVLA)
    assert checkpoint.make_codec(models.STATISTICS, config).tokenizer.ids == range(31744, 32000)


def test_statistics_come_from_the_base_and_from_fine_tuning(loaded):
    assert list(loaded.statistics) == ["bridge_orig", "sft"]
    gripper = np.array([31744, 31745, 31871, 31872, 31999])
    ids = np.full((5, 7), 31872)
    ids[:, 0], ids[:, 6] = [31744, 31745, 31872, 31999, 31998], gripper
    actions = loaded.codec("sft").decode(ids)
    # Bin centres 254/255 (also of +1's own id), 0, -254/255 and -252/255, times 0.05 m.
    wanted = np.array([254, 254, 0, -254, -252]) / 255 * 0.05
    np.testing.assert_allclose(actions[:, 0], wanted, atol=1e-12)
    # The gripper is not unfolded: 254/255 opens; 2/255, 0 and -254/255 close.
    assert actions[:, 6].tolist() == [1, 1, -1, -1, -1]


def test_ids_on_exact_bin_edges_and_ends(loaded):
    codec = loaded.codec("sft")
    edges = np.linspace(-1, 1, 256)
    actions = np.zeros((256, 7))
    actions[:, 6] = edges  # the gripper's dimension is not normalised
    assert codec.encode(actions)[:, 6].tolist() == (31999 - np.arange(256)).tolist()
    # Beyond q01 and q99 (0.05 m) is clipped. The 1e-8 in the release's quotient keeps q99 itself
    # below the last edge, and with it the id of +1.
    actions[:4, 0] = -0.06, -0.05, 0.05, 0.06
    assert codec.encode(actions)[:4, 0].tolist() == [31999, 31999, 31745, 31744]


def test_a_dimension_that_never_moved_is_0(loaded):
    still = json.loads(json.dumps(loaded.statistics["sft"]))
    for key in ("min", "max", "q01", "q99"):
        still["action"][key][2] = 0.0
    normalizer = checkpoint.choose_statistics({"still": still}, None, "here")
    assert normalizer.normalize(np.full(7, 0.01))[2] == 0
    assert normalizer.denormalize(np.full(7, 0.5))[2] == 0


def test_a_data_set_must_be_named_where_there_are_several(loaded):
    with pytest.raises(UnblindError, match=r"2 data sets.*unnorm_key: bridge_orig, sft"):
        loaded.codec()
    with pytest.raises(UnblindError, match=r"'bridge_org', did you mean 'bridge_orig'"):
        loaded.codec("bridge_org")
    with pytest.raises(UnblindError, match=r"no action statistics ''.*can be bridge_orig, sft"):
        loaded.codec("")
    with pytest.raises(UnblindError, match="no action statistics"):
        checkpoint.choose_statistics({}, None, "here")
    only = {"sft": loaded.statistics["sft"]}
    assert checkpoint.choose_statistics(only, None, "here") == checkpoint.choose_statistics(
        only, "sft", "here"
    )


@pytest.mark.parametrize("damage", [None, {}, {"action": {}}, {"action": {"q01": [0.0] * 7}}, 5])
def test_unreadable_statistics_are_refused(damage):
    with pytest.raises(UnblindError, match="statistics 'sft' are unreadable"):
        checkpoint.choose_statistics({"sft": damage}, "sft", "here")


def test_statistics_of_another_robot_are_refused(loaded):
    short = {"action": {k: v[:6] for k, v in loaded.statistics["sft"]["action"].items()}}
    with pytest.raises(UnblindError, match="7 numbers wanted, found"):
        checkpoint.choose_statistics({"sft": short}, "sft", "here")


@pytest.mark.parametrize(
    ("key", "dimension", "value", "said"),
    [
        ("q01", 2, float("nan"), r"q01\[2\] is nan"),
        ("max", 5, float("inf"), r"maximum\[5\] is inf"),
        ("q01", 1, 0.5, r"q01\[1\] is 0.5, above q99\[1\], 0.05"),
        ("min", 0, 9.0, r"minimum\[0\] is 9.0, above maximum\[0\], 0.1"),
        ("q99", 3, "0.3", r"q99\[3\] is '0.3'"),
        ("q99", 3, True, r"q99\[3\] is True"),
        ("q99", 3, None, r"q99\[3\] is None"),
        ("mask", 6, "False", r"mask\[6\] is 'False'"),
        ("mask", 0, 1, r"mask\[0\] is 1"),
    ],
)
def test_impossible_statistics_are_refused_by_key_and_dimension(
    loaded, key, dimension, value, said
):
    wrong = json.loads(json.dumps(loaded.statistics["sft"]))
    wrong["action"][key][dimension] = value
    with pytest.raises(UnblindError, match=rf"here: statistics 'sft' cannot be used: {said}"):
        checkpoint.choose_statistics({"sft": wrong}, "sft", "here")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_files_of_statistics_hold_finite_numbers(loaded, tmp_path, text):
    wrong = json.loads(json.dumps({"sft": loaded.statistics["sft"]}))
    wrong["sft"]["action"]["q99"][4] = "HERE"
    path = tmp_path / checkpoint.HUB_STATISTICS
    path.write_text(json.dumps(wrong).replace('"HERE"', text))
    with pytest.raises(
        UnblindError, match=rf"{checkpoint.HUB_STATISTICS}: sft.action.q99\[4\] is -?(nan|inf)"
    ):
        checkpoint.read_statistics(tmp_path)
