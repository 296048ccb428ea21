"""Twins of vision-language models that only answer, written by transformers' own classes.

A twin has a tokenizer of bytes with the family's special tokens, so that it can be asked anything;
what it says means nothing.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from unblind.machine import torchvision
from unblind.twin.weights import random_tensors

_LAYERS, _SIDE = 3, 56
#: Sizes of all decoders; heads are 8 wide, in two groups.
_DECODER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
_TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "patch_size": 14,
}
_CHAT = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def _tokenizer(special: Sequence[str], end: str, pad: str, **named: str) -> Any:
    """Return a tokenizer whose pieces are bytes, and special tokens behind them."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = {byte: number for number, byte in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(pieces, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=end,
        pad_token=pad,
        padding_side="left",
        extra_special_tokens=named,
    )


def _qwen() -> tuple[Any, Any]:
    """Return model and processor: patches of 14, merged two by two, at most 100 a picture."""
    import transformers as hf

    names = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = _tokenizer((*_CHAT, *names), _CHAT[2], _CHAT[0])
    start, end, image, video = words.convert_tokens_to_ids(list(names))
    config = hf.Qwen2_5_VLConfig(
        text_config={
            **{key: value for key, value in _DECODER.items() if key != "head_dim"},
            "vocab_size": len(words),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [1, 1, 2],
            },
            "bos_token_id": words.pad_token_id,
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )
    processor = hf.Qwen2_5_VLProcessor(
        hf.Qwen2VLImageProcessor(min_pixels=4 * 28**2, max_pixels=100 * 28**2),
        words,
        hf.Qwen2VLVideoProcessor(),
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor


def _internvl() -> tuple[Any, Any]:
    """Return model and processor: a tile of 56 pixels has 2 x 2 tokens."""
    import transformers as hf

    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    words = _tokenizer((*_CHAT, *named.values()), _CHAT[2], _CHAT[0], **named)
    config = hf.InternVLConfig(
        text_config={
            **_DECODER,
            "model_type": "qwen3",
            "vocab_size": len(words),
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={**_TOWER, "image_size": [_SIDE, _SIDE], "patch_size": [14, 14]},
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size={"height": _SIDE, "width": _SIDE}),
        words,
        hf.InternVLVideoProcessor(size={"height": _SIDE, "width": _SIDE}),
        image_seq_length=4,
    )
    return hf.InternVLForConditionalGeneration(config), processor


def _paligemma() -> tuple[Any, Any]:
    """Return model and processor: a picture of 56 pixels has 4 x 4 tokens."""
    import transformers as hf

    words = _tokenizer(
        ("<pad>", "<eos>", "<bos>", "<image>"),
        "<eos>",
        "<pad>",
        image_token="<image>",  # noqa: S106 (no password)
    )
    words.add_special_tokens({"bos_token": "<bos>"})
    pictures = hf.SiglipImageProcessor(
        size={"height": _SIDE, "width": _SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    pictures.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(pictures, words)  # adds its words of places to the tokenizer
    config = hf.PaliGemmaConfig(
        text_config={
            **_DECODER,
            "model_type": "gemma2",
            "vocab_size": len(words),
            "num_image_tokens": 16,
            "sliding_window": 4096,
            "bos_token_id": words.bos_token_id,
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={
            **_TOWER,
            "model_type": "siglip_vision_model",
            "image_size": _SIDE,
            "vision_use_head": False,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
        tie_word_embeddings=False,
    )
    return hf.PaliGemmaForConditionalGeneration(config), processor


def make(parts: Callable[[], tuple[Any, Any]], folder: Path, seed: int) -> None:
    """Write a twin as transformers saves a model.

    Args:
        parts: makes model and processor.
        folder: is there.
        seed: of the weights; the same seed gives the same bytes.
    """
    torchvision.guard()
    from transformers.utils import logging

    logging.disable_progress_bar()
    model, processor = parts()
    state = model.state_dict()
    drawn = random_tensors({name: tuple(t.shape) for name, t in state.items()}, seed)
    model.load_state_dict({name: drawn[name].to(t.dtype) for name, t in state.items()})
    model.to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)


ANSWERER_TWINS: dict[str, Callable[[Path, int], None]] = {
    "qwen2.5-vl": lambda folder, seed: make(_qwen, folder, seed),
    "internvl": lambda folder, seed: make(_internvl, folder, seed),
    "paligemma": lambda folder, seed: make(_paligemma, folder, seed),
}
