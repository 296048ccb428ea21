"""Names, shapes and counts at full size, written down by rule, without a byte allocated."""

import torch
from safetensors import safe_open
from unblind.openvla import checkpoint, config

from unblind.twin import openvla as twin
from unblind.vla import lora


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
    found = checkpoint.shapes(full_size)
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
        assert checkpoint.rename(checkpoint.published_name(name)) == name
    changed = {n for n in full_size.state_dict() if checkpoint.published_name(n) != n}
    assert len(changed) == 48 and all(".ls" in name for name in changed)


def test_adapters_on_everything_are_the_release_s_110_828_288(full_size):
    # Released set-up: rank 32 on all linear layers, output head and patch embeddings included.
    assert lora.lora_parameters(full_size, rank=32, vision=True) == 110_828_288


def test_a_prismatic_vlm_with_one_tower_has_a_projector_of_two_layers():
    values = twin.document("prismatic")
    del values[config.TWIN_SIZES]
    values |= {"timm_model_ids": ["vit_so400m_patch14_siglip_224"], "image_sizes": [224]}
    values |= {"use_fused_vision_backbone": False, "timm_override_act_layers": [None]}
    values["text_config"] = {"vocab_size": 32064}
    found = checkpoint.shapes(checkpoint.blank(config.parse("config.json", values).model))
    names = {n: s for n, s in found.items() if n.startswith("projector") and "weight" in n}
    assert names == {"projector.fc1.weight": (4096, 1152), "projector.fc2.weight": (4096, 4096)}
    assert not [name for name in found if "fused" in name]
