"""The families of vision-language models that can be asked: one table.

Prompts are stated here, not read from a checkpoint's chat template, so that they are the same
whatever a repository's files say. Each has one picture, before the question.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Family:
    """How models of a family are read.

    Attributes:
        title: what it is called.
        model_type: in the ``config.json`` of its checkpoints.
        prompt: text of a prompt; ``{question}`` is filled in.
        grid: how visual tokens lie over a picture that is kept whole: ``square``, or ``patches``
            for as many rows and columns as the picture's shape gives (merged patches).
        whole: what its processor is told to keep a picture whole instead of cutting it into tiles.
        tokens: visual tokens of a picture of 640 x 480 as the processor cuts it, for estimates.
        lacking: why its models cannot be asked; empty: they can.
    """

    title: str
    model_type: str
    prompt: str
    grid: Literal["square", "patches"]
    tokens: int
    whole: Mapping[str, Any] = field(default_factory=dict)
    lacking: str = ""


_TILES: Mapping[str, Any] = {"crop_to_patches": False}
_CHAT = "<|im_start|>user\n{picture}{{question}}<|im_end|>\n<|im_start|>assistant\n"

#: Ours: read by `unblind.vla.checkpoint`, not by a class of transformers.
PRISMATIC = "prismatic"
#: By the name that a configuration gives. A picture of 640 x 480 becomes 17 x 23 merged patches of
#: 28 pixels in Qwen2.5-VL, and up to twelve tiles and a thumbnail of 256 tokens each in InternVL.
FAMILIES: Mapping[str, Family] = {
    "qwen2_5_vl": Family(
        title="Qwen2.5-VL",
        model_type="qwen2_5_vl",
        prompt="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        + _CHAT.format(picture="<|vision_start|><|image_pad|><|vision_end|>"),
        grid="patches",
        tokens=17 * 23,
    ),
    "internvl": Family(
        title="InternVL",
        model_type="internvl",
        prompt=_CHAT.format(picture="<IMG_CONTEXT>\n"),
        grid="square",
        whole=_TILES,
        tokens=13 * 256,
    ),
    "paligemma": Family(
        title="PaliGemma",
        model_type="paligemma",
        prompt="<image>answer en {question}",
        grid="square",
        tokens=256,
    ),
    "ovis2": Family(
        title="Ovis2",
        model_type="ovis2",
        prompt=_CHAT.format(picture="<image>\n"),
        grid="square",
        whole=_TILES,
        tokens=10 * 256,
    ),
    PRISMATIC: Family(
        title="Prismatic",
        model_type="prismatic",
        prompt="In: {question}\nOut:",
        grid="square",
        tokens=256,
    ),
    "ovis2_5": Family(
        title="Ovis2.5",
        model_type="ovis2_5",
        prompt="{question}",
        grid="patches",
        tokens=17 * 23,
        lacking="transformers has no class for Ovis2.5, and a repository's own code is not run",
    ),
}
