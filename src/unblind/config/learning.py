"""Sections of the model, its pretraining, fine-tuning and alignment; runs."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from unblind.config.kinds import (
    Count,
    FamilyName,
    FileName,
    Name,
    Section,
    Seed,
    Share,
    TeacherName,
)
from unblind.config.simulation import PretrainingDemos


class Encoder(Section):
    """Sizes of a tower and of what brings its tokens into the space of words."""

    towers: Annotated[list[str], Field(min_length=1, max_length=2)] = Field(
        description="Vision towers, names of `unblind.vla.towers.TOWERS`."
    )
    image_size: Count = Field(description="Side of the square picture in pixels (paper: 224).")
    frozen_blocks: int = Field(
        ge=0, description="First blocks of a convolutional tower that are never trained."
    )
    projector_width: Count = Field(description="Hidden units of the projector.")
    hidden_size: Count = Field(description="Width of words and of the decoder (paper: 4096).")
    position_scale: float = Field(
        ge=0, description="Amplitude of the sine positions added to visual tokens (paper: none)."
    )


class Model(Encoder):
    """Sizes of the vision-language-action model (see `unblind.vla.prismatic.PrismaticConfig`)."""

    layers: Count = Field(description="Decoder blocks (paper: 32).")
    heads: Count = Field(description="Attention heads (paper: 32).")
    intermediate_size: Count = Field(description="Units of a block's MLP (paper: 11008).")

    @property
    def sites(self) -> tuple[str, ...]:
        """Where visual tokens are taken, as `unblind.diagnosis.layers.sites` names them."""
        return ("tower", "projector", *(f"block {n + 1}" for n in range(self.layers)))


class Schedule(Section):
    """One stage of training."""

    steps: Count = Field(description="Optimiser steps.")
    batch: Count = Field(description="Pictures a step.")
    rate: float = Field(gt=0, description="Highest learning rate of AdamW.")
    warm_up: Count = Field(description="Steps of rising rate before the cosine decay.")
    weight_decay: float = Field(ge=0, description="Of AdamW.")


class Tower(Schedule):
    """Contrastive pretraining of the vision tower, before there is a decoder to train."""

    loss: Literal["names", "clip", "siglip"] = Field(
        description="How regions and names are contrasted: 'names' tells each region's name among "
        "all, 'clip' and 'siglip' are open_clip's losses over a batch's pairs."
    )


class Contrastive(Section):
    """The teacher 'contrastive': a tower trained here as the student's is, on other pictures."""

    images: Count = Field(
        description="Pictures that it is trained on, drawn as those of base.questions are, with a "
        "seed of their own."
    )
    model: Encoder = Field(description="Sizes of the tower and its projector.")
    schedule: Tower = Field(description="Contrastive training on regions and words.")


class Reading(Schedule):
    """VLM pretraining; the questions about a picture share its tokens."""

    turns: Count = Field(description="Questions asked of a picture at a time.")
    reading_steps: int = Field(
        ge=0, description="First steps, in which nothing is asked that is answered yes or no."
    )

    @model_validator(mode="after")
    def _asks_everything(self) -> Self:
        if self.reading_steps >= self.steps:
            raise ValueError(
                f"reading_steps ({self.reading_steps}) leaves none of {self.steps} steps for "
                "questions that are answered yes or no"
            )
        return self


class Round(Schedule):
    """One round of robot pretraining: a schedule of its own from the weights of the last round."""

    pictures_with_questions: int = Field(
        ge=0, description="Generated pictures among a step's pictures; the rest are frames."
    )

    @model_validator(mode="after")
    def _has_frames(self) -> Self:
        if self.pictures_with_questions >= self.batch:
            raise ValueError(
                f"pictures_with_questions ({self.pictures_with_questions}) leaves no frame in a "
                f"batch of {self.batch}"
            )
        return self


class ActionLoss(Section):
    """How labels become targets of the cross-entropy."""

    action_width: float = Field(
        ge=0, description="Standard deviation of soft targets in action bins; 0: hard targets."
    )
    location_width: float = Field(ge=0, description="The same in location bins.")
    gripper_reach: float = Field(
        ge=0, description="Weight of the gripper's token on the four frames before it closes."
    )
    gripper_lift: float = Field(
        ge=0,
        description="Its weight on the closing frame and the six after it, and where it opens "
        "again after a missed grasp.",
    )
    still_motion: float = Field(
        ge=0, description="Weight of the motion tokens where the label stands still."
    )


class Questions(Section):
    """Generated pictures with questions."""

    images: Count = Field(description="Training pictures.")
    held_out: Count = Field(
        description="Pictures held out for the gate, and as many in styles that training lacks."
    )
    turns: Count = Field(description="Questions asked of a picture at a time in robot pretraining.")


class Base(Section):
    """The model that methods start from: where it comes from, or how it is made."""

    source: FileName | None = Field(
        description="Published checkpoint: a folder, or owner/name@commit of the Hugging Face hub. "
        "With rebuild_base the warm-up starts from it, else every method does. null: the model is "
        "pretrained here with rebuild_base, else pulled from the store."
    )
    unnorm_key: str | None = Field(
        min_length=1,
        description="Data set whose action statistics the published checkpoint and its warm-up "
        "use; null: the model has statistics of its own alone.",
    )
    demos: PretrainingDemos = Field(description="Demonstrations of robot pretraining.")
    warm_up_episodes: Count = Field(
        description="Demonstrations of the warm-up that precedes every method (the paper: 140)."
    )
    model: Model = Field(description="Sizes of the model.")
    questions: Questions = Field(description="Pictures and questions of VLM pretraining.")
    tower: Tower = Field(description="Pretraining of the tower on regions and words.")
    vlm: Reading = Field(description="Pretraining on pictures with questions.")
    robot: Annotated[list[Round], Field(min_length=1)] = Field(
        description="Robot pretraining, in rounds that each start with a high rate (Loshchilov and "
        "Hutter 2017) and see the demonstrations in an order of their own."
    )
    robot_questions: int = Field(
        ge=0, description="Questions about a robot's picture in addition to its action."
    )
    warm_up: Schedule = Field(description="Warm-up: LoRA on few demonstrations, then merged.")
    loss: ActionLoss = Field(description="Targets and weights of the loss.")
    jitter: float = Field(
        ge=0, lt=1, description="Largest relative change of brightness, contrast and colours."
    )
    jittered_copies: int = Field(
        ge=0,
        description="Copies of a robot's frame with such changes whose features are stored beside "
        "its own, 20 KB each; training looks at one or the other.",
    )


class Alignment(Section):
    """The method Align (paper, section 5 and table 9)."""

    model_config = ConfigDict(serialize_by_alias=True)

    teacher: TeacherName = Field(
        description="Frozen teacher, a name of `unblind.teachers.registry.TEACHERS`."
    )
    teacher_weights: FileName | None = Field(
        description="Its weights: a folder, or owner/name@commit; null: the published ones."
    )
    interpolate: bool = Field(
        description="Meet a grid that the teacher cannot give by interpolating its features."
    )
    layers: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(
        description="Decoder layers whose visual tokens are aligned (paper: 16 of 32); 0: those of "
        "the vision encoder, before the projector (the paper's Enc2Enc)."
    )
    lambda_: float = Field(
        alias="lambda", ge=0, description="Weight of the alignment loss, the paper's lambda (0.2)."
    )
    projector: Name = Field(description="Projector to the teacher's width (paper: 'mlp').")
    projector_width: Count = Field(description="Its hidden units (paper: 2048).")
    frozen: bool = Field(description="Whether it keeps its random weights (paper: true).")
    loss: Name = Field(description="Distance to the teacher (paper: 'cosine').")


class Augmentation(Section):
    """Random changes of training pictures, in this order, each drawn uniformly.

    The release's values are in its ``prismatic/vla/datasets/datasets.py``.
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


class Training(Section):
    """Fine-tuning of a run: LoRA on the base, the same data in the same order for every run.

    The warm-up is trained likewise, with the schedule and the loss of ``base``.
    """

    schedule: Schedule = Field(description="Steps and rates (paper: 60000 steps of 8, 5e-4).")
    rank: Count = Field(description="Rank of the adapters (paper: 32).")
    alpha: Count = Field(description="Their scale times the rank (paper: 16).")
    loss: ActionLoss = Field(description="Targets and weights of the action loss.")
    snapshots: int = Field(
        ge=0, description="Adapters kept on the way, at equal distances, for plots of drift."
    )
    align: Alignment = Field(description="What the method Align adds.")
    recipe: Literal["corrected", "released"] = Field(
        description="'corrected': float32 adapters, crops anywhere in the picture, and actions "
        "whose masked dimensions (the gripper) are never changed. 'released': bfloat16 adapters "
        "without a float32 copy, crops on the diagonal, and a constant gripper becomes 0."
    )
    precision: Literal["bfloat16", "float32"] = Field(
        description="Of the frozen weights and of the arithmetic, in evaluation too."
    )
    augmentation: Augmentation | None = Field(
        description="Changes of training pictures; student and teacher see the same. null: none."
    )
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
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
    device: Literal["cuda", "cpu"] = Field(
        description="Where models are trained and evaluated; only published ones need a GPU."
    )
    gpus: Count = Field(
        description="Processes of one training, a GPU or a CPU core each, which share its batches "
        "(paper: 1)."
    )

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        if self.recipe == "released" and self.precision != "bfloat16":
            raise ValueError("recipe 'released' means bfloat16, so precision must be 'bfloat16'")
        return self


class Answerer(Section):
    """A vision-language model that is asked as it is: it is neither trained nor acts."""

    family: FamilyName = Field(description="How it is read (`unblind.answerers.families`).")
    source: FileName = Field(
        description="A folder, or owner/name@commit of the Hugging Face hub. Without a commit it "
        "is refused when it is fetched: a name alone may mean other weights tomorrow."
    )
    billions: float = Field(
        gt=0, description="Its weights in billions, for estimates of memory and cost alone."
    )


class Run(Section):
    """One policy under evaluation: a row of a table."""

    policy: Literal[
        "oracle", "random", "noop", "always_left", "vla", "vlm", "answerer", "served"
    ] = Field(
        description="'oracle' is the planner, 'random' and 'noop' are floors, 'always_left' is the "
        "planner that goes to the left board of VL-Think whatever it is told, 'vla' is a model, "
        "'vlm' the base before robot pretraining: it answers questions, but does not act; "
        "'answerer' is another vision-language model, which does not act either; 'served' acts "
        "behind a socket (docs/serving.md)."
    )
    label: str = Field(min_length=1, description="The row's name in tables.")
    method: Literal["default", "freeze", "align"] | None = Field(
        description="The paper's training method; null: the base itself, or no model of the study."
    )
    # Alone has a default: most runs differ by their method, and need not say that they do so alone.
    training: dict[str, Any] = Field(
        default_factory=dict,
        exclude_if=lambda values: not values,
        description="Values that replace those of the section training in this run, such as "
        "{align: {layers: [5]}}.",
    )
    seeds: list[Seed] = Field(
        default_factory=list,
        exclude_if=lambda values: not values,
        description="Those seeds of the study that this run has; all of them if none is named.",
    )
    rollout: dict[Literal["episodes", "in_distribution_episodes"], Count] = Field(
        default_factory=dict,
        exclude_if=lambda values: not values,
        description="Values that replace those of the section rollout in this run: fewer episodes, "
        "the first of the others'.",
    )

    answerer: Answerer | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Which model the policy 'answerer' is.",
    )

    @model_validator(mode="after")
    def _answerers_are_models(self) -> Self:
        if (self.policy == "answerer") != (self.answerer is not None):
            raise ValueError("the policy 'answerer', and no other, needs 'answerer': which model")
        return self

    @model_validator(mode="after")
    def _only_models_learn(self) -> Self:
        if self.method and self.policy != "vla":
            raise ValueError(f"method '{self.method}' needs the policy 'vla'")
        if self.training and not self.method:
            raise ValueError("'training' needs a method")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"'seeds' names a value twice: {self.seeds}")
        return self
