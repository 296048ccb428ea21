"""The four families of vision transformers in plain PyTorch, by the hub's own names.

Written from the papers (ViT, DINOv2, SigLIP, DeiT, C-RADIO) against the published file layouts;
uses neither transformers nor timm.
"""

import torch
from torch.nn import functional

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def norm(t, name, x, eps):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + eps).sqrt() * t[name + ".weight"] + t[name + ".bias"]


def linear(t, name, x):
    return x @ t[name + ".weight"].T + t[name + ".bias"]


def attention(q, k, v, heads):
    batch, count, width = q.shape
    q, k, v = (x.view(batch, count, heads, -1).transpose(1, 2) for x in (q, k, v))
    mixed = (q @ k.transpose(-1, -2) * (width // heads) ** -0.5).softmax(-1) @ v
    return mixed.transpose(1, 2).reshape(batch, count, width)


def normal(images, values):
    mean, deviation = (torch.tensor(x).view(1, 3, 1, 1) for x in values)
    return (images - mean) / deviation


def stretched(table, side, grid):
    """Bicubic, coordinates scaled by side / (grid + 0.1), as DINO does it."""
    plane = table.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if side != grid:
        scale = (grid + 0.1) / side
        plane = functional.interpolate(plane, scale_factor=(scale, scale), mode="bicubic")
    return plane.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)


def patches(images, weight, bias, size):
    """(B, n, width): every patch times the matrix, channel by channel."""
    parts = functional.unfold(images, size, stride=size).transpose(1, 2)
    return parts @ weight.flatten(1).T + bias


def radio(t, images, heads, grid):
    top = "radio_model.model."
    x = normal(images, CLIP)
    matrix = t[top + "patch_generator.embedder.weight"]
    size = int((matrix.shape[1] / 3) ** 0.5)
    x = patches(x, matrix, 0, size)
    table = t[top + "patch_generator.pos_embed"]
    side = int(table.shape[1] ** 0.5)
    plane = table.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    plane = functional.interpolate(plane, (grid, grid), mode="bilinear", align_corners=False)
    x = x + plane.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)
    prefix = t[top + "patch_generator.cls_token.token"]
    x = torch.cat([prefix.expand(len(x), -1, -1), x], dim=1)
    for i in range(2):
        b = f"{top}blocks.{i}."
        y = norm(t, b + "norm1", x, 1e-6)
        y = attention(*linear(t, b + "attn.qkv", y).chunk(3, dim=-1), heads)
        x = x + linear(t, b + "attn.proj", y) * t.get(b + "ls1.grandma", 1)
        y = norm(t, b + "norm2", x, 1e-6)
        y = linear(t, b + "mlp.fc2", functional.gelu(linear(t, b + "mlp.fc1", y)))
        x = x + y * t.get(b + "ls2.grandma", 1)
    return x[:, len(prefix) :]


def hugging_face(t, images, heads, grid, top, names, eps):
    """DINOv2 and Theia's DeiT; names: two norms, function of the linear layers."""
    weight = t[top + "embeddings.patch_embeddings.projection.weight"]
    bias = t[top + "embeddings.patch_embeddings.projection.bias"]
    x = patches(normal(images, IMAGENET), weight, bias, weight.shape[-1])
    table = t[top + "embeddings.position_embeddings"]
    side = int((table.shape[1] - 1) ** 0.5)
    x = x + stretched(table[:, 1:], side, grid)
    token = t[top + "embeddings.cls_token"] + table[:, :1]
    x = torch.cat([token.expand(len(x), -1, -1), x], dim=1)
    for i in range(2):
        b = f"{top}encoder.layer.{i}."
        y = norm(t, b + names[0], x, eps)
        three = (
            linear(t, f"{b}attention.attention.{part}", y) for part in ("query", "key", "value")
        )
        y = linear(t, b + "attention.output.dense", attention(*three, heads))
        x = x + y * t.get(b + "layer_scale1.lambda1", 1)
        x = x + names[2](t, b, norm(t, b + names[1], x, eps)) * t.get(b + "layer_scale2.lambda1", 1)
    return norm(t, top + "layernorm", x, eps)[:, 1:]


def dino(t, images, heads, grid):
    def mlp(t, b, y):
        if b + "mlp.weights_in.weight" in t:
            gate, value = linear(t, b + "mlp.weights_in", y).chunk(2, dim=-1)
            return linear(t, b + "mlp.weights_out", gate * gate.sigmoid() * value)
        return linear(t, b + "mlp.fc2", functional.gelu(linear(t, b + "mlp.fc1", y)))

    return hugging_face(t, images, heads, grid, "", ("norm1", "norm2", mlp), 1e-6)


def theia(t, images, heads, grid):
    def mlp(t, b, y):
        inner = functional.gelu(linear(t, b + "intermediate.dense", y))
        return linear(t, b + "output.dense", inner)

    names = ("layernorm_before", "layernorm_after", mlp)
    return hugging_face(t, images, heads, grid, "backbone.model.", names, 1e-12)


def siglip(t, images, heads, grid):
    weight = t["vision_model.embeddings.patch_embedding.weight"]
    bias = t["vision_model.embeddings.patch_embedding.bias"]
    x = patches(normal(images, HALF), weight, bias, weight.shape[-1])
    x = x + t["vision_model.embeddings.position_embedding.weight"]
    for i in range(2):
        b = f"vision_model.encoder.layers.{i}."
        y = norm(t, b + "layer_norm1", x, 1e-6)
        three = (linear(t, f"{b}self_attn.{part}_proj", y) for part in "qkv")
        x = x + linear(t, b + "self_attn.out_proj", attention(*three, heads))
        y = linear(t, b + "mlp.fc1", norm(t, b + "layer_norm2", x, 1e-6))
        x = x + linear(t, b + "mlp.fc2", functional.gelu(y, approximate="tanh"))
    return norm(t, "vision_model.post_layernorm", x, 1e-6)
