"""OpenVLA's architecture once more, in plain PyTorch on a checkpoint's own tensors.

Nothing of timm, transformers or the package is used. Heads are the only numbers that shapes do
not tell.
"""

import torch
from torch.nn.functional import gelu, layer_norm, silu, softmax


def logits(weights, pixels, ids, heads=2):
    """Return the scores (B, 257 + T, vocab) of [BOS][256 visual tokens][ids (B, T)]."""
    towers = (("featurizer", slice(0, 3)), ("fused_featurizer", slice(3, 6)))
    visual = torch.cat(
        [vit(part(weights, f"vision_backbone.{n}."), pixels[:, c], heads) for n, c in towers], -1
    )
    for layer in (1, 2, 3):
        visual = linear(weights, f"projector.fc{layer}", visual if layer == 1 else gelu(visual))
    table = weights["language_model.model.embed_tokens.weight"]
    bos = table[torch.ones(len(ids), 1, dtype=torch.long)]
    x = torch.cat([bos, visual, table[ids]], 1)
    x = llama(part(weights, "language_model.model."), x, heads)
    return x @ weights["language_model.lm_head.weight"].T


def part(weights, prefix):
    return {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}


def linear(weights, name, x):
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def split(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, mask=0.0):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + mask
    return (softmax(scores, -1) @ v).transpose(1, 2).flatten(2)


def vit(weights, picture, heads):
    """Return the patch tokens behind the second-to-last block, without the final norm."""
    kernel = weights["patch_embed.proj.weight"]
    size = kernel.shape[-1]
    rows, columns = (side // size for side in picture.shape[-2:])
    patches = picture.unflatten(2, (rows, size)).unflatten(4, (columns, size))
    patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    x = patches @ kernel.flatten(1).T + weights["patch_embed.proj.bias"] + weights["pos_embed"]
    first = [weights[n].expand(len(x), -1, -1) for n in ("cls_token", "reg_token") if n in weights]
    x = torch.cat([*first, x], 1)
    depth = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("blocks."))
    for index in range(depth - 1):
        block = part(weights, f"blocks.{index}.")
        q, k, v = (
            split(one, heads)
            for one in linear(block, "attn.qkv", vit_norm(block, "norm1", x)).chunk(3, -1)
        )
        x = x + scaled(block, "ls1", linear(block, "attn.proj", attend(q, k, v)))
        inner = gelu(linear(block, "mlp.fc1", vit_norm(block, "norm2", x)))
        x = x + scaled(block, "ls2", linear(block, "mlp.fc2", inner))
    return x[:, sum(one.shape[1] for one in first) :]


def vit_norm(weights, name, x):
    return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-6)


def scaled(weights, name, x):
    return x * weights.get(f"{name}.scale_factor", 1.0)


def llama(weights, x, heads):
    length, width = x.shape[1], x.shape[2] // heads
    future = torch.full((length, length), -torch.inf).triu(1)
    speed = 10000.0 ** -(torch.arange(0, width, 2) / width)
    angle = torch.arange(length)[:, None] * speed

    def turn(y):
        low, high = y.chunk(2, -1)
        return torch.cat(
            [low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin()], -1
        )

    layers = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("layers."))
    for index in range(layers):
        block = part(weights, f"layers.{index}.")
        y = rms_norm(block["input_layernorm.weight"], x)
        q, k, v = (split(linear(block, f"self_attn.{n}_proj", y), heads) for n in "qkv")
        x = x + linear(block, "self_attn.o_proj", attend(turn(q), turn(k), v, future))
        y = rms_norm(block["post_attention_layernorm.weight"], x)
        gate = silu(linear(block, "mlp.gate_proj", y)) * linear(block, "mlp.up_proj", y)
        x = x + linear(block, "mlp.down_proj", gate)
    return rms_norm(weights["norm.weight"], x)


def rms_norm(weight, x):
    return weight * x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
