"""The section `openvla` of the configuration: with it, commands use OpenVLA-7B and its teachers."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from unblind.config_sections import Count, FileName, Section, Share, Training
from unblind.teachers.registry import TEACHERS, Vit

_RECIPE = ("recipe", "precision", "augmentation", "betas", "clip", "last_rate")
#: Keys that decide a stage's result. What decides no more than its last digits or its speed
#: (device, gpus, gradient_checkpointing, checkpoint_steps) and where weights lie is left out: the
#: weights themselves are inputs.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "training": (*_RECIPE, "teacher"),
    "warm_up": (*_RECIPE, "unnorm_key"),
    "rollout": ("precision", "unnorm_key", "temperature"),
}


class Augmentation(Section):
    """Random changes of training pictures, in this order, each drawn uniformly.

    The release's values stand in its ``prismatic/vla/datasets/datasets.py``.
    """

    crop_area: float = Field(
        gt=0, le=1, description="Area of the square that is cut out and enlarged (released: 0.9)."
    )
    brightness: Share = Field(description="Largest sum added to pixels in [0, 1] (released: 0.2).")
    contrast: Share = Field(
        description="Largest change of the factor about each colour's mean (released: 0.2)."
    )
    saturation: Share = Field(description="Largest change of its factor (released: 0.2).")
    hue: float = Field(
        ge=0, le=0.5, description="Largest turn of the hue, of a whole circle (released: 0.05)."
    )


class OpenVla(Section):
    """The published model, and how it is fine-tuned and evaluated."""

    base: FileName = Field(
        description="Checkpoint: a folder, or owner/name@commit of the Hugging Face hub. With "
        "rebuild_base the warm-up starts from it, else every method does.",
    )
    unnorm_key: str = Field(
        min_length=1,
        description="Data set whose action statistics the base and its warm-up use.",
    )
    teacher: str = Field(
        description="Weights of training.align.teacher: a folder, or owner/name@commit; empty: "
        "the published ones."
    )
    recipe: Literal["corrected", "released"] = Field(
        description="'corrected': float32 adapters, crops anywhere in the picture, and actions "
        "whose masked dimensions (the gripper) are never changed. 'released': bfloat16 adapters "
        "without a float32 copy, crops on the diagonal, and a constant gripper becomes 0."
    )
    precision: Literal["bfloat16", "float32"] = Field(
        description="Of the frozen weights and of the arithmetic."
    )
    augmentation: Augmentation | None = Field(
        description="Changes of training pictures; student and teacher see the same. null: none."
    )
    betas: list[Share] = Field(
        min_length=2, max_length=2, description="Of AdamW (released: 0.9, 0.999)."
    )
    clip: float | None = Field(
        gt=0, description="Largest norm of the gradient; null: no clipping, as released."
    )
    last_rate: Share = Field(
        description="Share of the learning rate at the end of a cosine; 1: constant, as released."
    )
    gradient_checkpointing: bool = Field(
        description="Compute activations twice to save memory (released: false)."
    )
    checkpoint_steps: Count = Field(description="Steps between checkpoints to go on from.")
    device: Literal["cuda", "cpu"] = Field(description="Where models run.")
    gpus: Count = Field(
        description="Processes of one training, a GPU each, which share its batches (paper: 1)."
    )
    temperature: float | None = Field(
        gt=0,
        description="Actions are sampled among the 50 likeliest tokens at this temperature "
        "(released: 0.6); null: the likeliest token is taken.",
    )

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        if self.recipe == "released" and self.precision != "bfloat16":
            raise ValueError("recipe 'released' means bfloat16, so precision must be 'bfloat16'")
        if self.betas[1] >= 1 or self.betas[0] >= 1:
            raise ValueError(f"betas {self.betas} must lie below 1")
        return self

    def check_training(self, training: Training) -> None:
        """Raise ValueError if the section `training` asks for what this scale does not do."""
        if training.schedule.batch % self.gpus:
            raise ValueError(
                f"training.schedule.batch ({training.schedule.batch}) cannot be shared by "
                f"openvla.gpus ({self.gpus})"
            )
        teacher, vits = training.align.teacher, [n for n, r in TEACHERS.items() if type(r) is Vit]
        if teacher not in vits:
            raise ValueError(
                f"with openvla, training.align.teacher must be a vision transformer "
                f"({', '.join(vits)}), not '{teacher}'"
            )
        loss = training.loss
        plain = (loss.action_width, loss.gripper_reach, loss.gripper_lift, loss.still_motion)
        if plain != (0, 1, 1, 1):
            raise ValueError(
                "with openvla, training.loss must be the paper's plain cross-entropy: "
                "action_width 0 and weights 1"
            )

    def part(self, stage: str, method: str | None) -> dict[str, Any]:
        """Return the plain values that a stage's result depends on (see `config.Config.part`)."""
        keys = set(_PARTS.get(stage, ()))
        if stage == "training" and method != "align":
            keys.discard("teacher")
        return self.model_dump(mode="json", include=keys)
