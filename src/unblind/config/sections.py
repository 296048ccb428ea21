"""The sections of the configuration: every key with its kind, range and meaning.

No field but a run's own ``training`` has a default: all values are in ``workflow/config/*.yaml``.
`unblind.config` puts the sections together.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from unblind.errors import near
from unblind.teachers.registry import TEACHERS

METHODS = ("default", "freeze", "align")
#: Numbers of the paper's tables of ablations: success by group of conditions, and by condition.
ABLATIONS = ("4", "5", "6", "7", "8", "10", "11", "12", "13")
#: Settings of how adapters are trained, in the warm-up too. What decides no more than the last
#: digits or the speed is left out: device, gpus, gradient_checkpointing, checkpoint_steps.
RECIPE = ("recipe", "precision", "augmentation", "betas", "clip", "last_rate")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
#: What can name a file: not empty, and without the NUL at which the system would cut it off.
FileName = Annotated[str, Field(pattern=r"^[^\x00]+$")]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]


def _known_teacher(name: str) -> str:
    if name not in TEACHERS:
        raise ValueError(f"no such teacher{near(name, TEACHERS)}")
    return name


TeacherName = Annotated[
    str, AfterValidator(_known_teacher), Field(json_schema_extra={"enum": list(TEACHERS)})
]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values cannot change, no silent casts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Render(Section):
    """The camera picture that demonstrations store and policies see."""

    width: int = Field(ge=16, le=4096, description="Width in pixels (the paper: 640).")
    height: int = Field(ge=12, le=4096, description="Height in pixels (the paper: 480).")
    shader: Literal["minimal", "default"] = Field(
        description="Shader pack: 'minimal' draws no shadows, 'default' is the paper's."
    )

    @model_validator(mode="after")
    def _four_to_three(self) -> Self:
        if 3 * self.width != 4 * self.height:
            raise ValueError(
                f"{self.width} x {self.height} is not 4:3 as the camera's intrinsics are"
            )
        return self


class ExecutedNoise(Section):
    """Noise added to executed actions while the clean correction is stored as the label."""

    xyz_m: float = Field(ge=0, description="Standard deviation of the translation noise in m.")
    rot_rad: float = Field(ge=0, description="Standard deviation of the rotation noise in rad.")
    probability: float = Field(ge=0, le=1, description="Share of the steps that get noise.")


class Demos(Section):
    """The planner's demonstrations."""

    successes: Count = Field(
        description="Successful training episodes, dealt in order over the 256 pairs of 16 objects "
        "and 16 tables: each pair gets successes // 256, the first successes % 256 one more. The "
        "paper has 1,400."
    )
    held_out_per_object: int = Field(
        ge=0, description="Successful held-out episodes for each of the 16 training objects."
    )
    attempts_per_slot: Count = Field(
        description="Attempts (with fresh episode ids) before one wanted success is given up."
    )
    noop_filter: Literal["released", "merge", "none"] = Field(
        description="'released' drops small steps, 'merge' sums them, 'none' keeps every step."
    )
    euler: Literal["corrected", "released"] = Field(
        description="Rotation encoding: 'corrected' matches the controller (intrinsic XYZ), "
        "'released' is the authors' extrinsic xyz."
    )
    executed_noise: ExecutedNoise = Field(
        description="Noise on executed actions; 0 switches it off."
    )
    shard_episodes: Count = Field(description="Episodes in one Parquet shard.")


class PretrainingDemos(Section):
    """The broad demonstrations of robot pretraining."""

    successes: Count = Field(description="Successful episodes.")
    attempts_per_slot: Count = Field(description="Attempts before one success is given up.")
    executed_noise: ExecutedNoise = Field(
        description="Noise on the executed actions of every second episode."
    )
    missed_grasps: Share = Field(
        description="Share of the attempted episodes that close the gripper beside or above the "
        "object first and then show how that is made good; the mistake itself is not learned."
    )
    dropped_objects: Share = Field(
        description="Share of the attempted episodes that let go of the object while lifting it "
        "and then fetch it; likewise."
    )
    shard_episodes: Count = Field(description="Episodes in one Parquet shard.")

    @model_validator(mode="after")
    def _one_lapse_at_most(self) -> Self:
        if self.missed_grasps + self.dropped_objects > 1:
            raise ValueError("missed_grasps and dropped_objects are more than all episodes")
        return self


class Model(Section):
    """Sizes of the vision-language-action model (see `unblind.vla.prismatic.PrismaticConfig`)."""

    towers: Annotated[list[str], Field(min_length=1, max_length=2)] = Field(
        description="Vision towers, names of `unblind.vla.towers.TOWERS`."
    )
    image_size: Count = Field(description="Side of the square picture in pixels (paper: 224).")
    frozen_blocks: int = Field(
        ge=0, description="First blocks of a convolutional tower that are never trained."
    )
    projector_width: Count = Field(description="Hidden units of the projector.")
    hidden_size: Count = Field(description="Width of the decoder (paper: 4096).")
    layers: Count = Field(description="Decoder blocks (paper: 32).")
    heads: Count = Field(description="Attention heads (paper: 32).")
    intermediate_size: Count = Field(description="Units of a block's MLP (paper: 11008).")
    position_scale: float = Field(
        ge=0, description="Amplitude of the sine positions added to visual tokens (paper: none)."
    )

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


class Replay(Section):
    """Open-loop replay of stored demonstrations: the ceiling of any policy."""

    episodes: Count = Field(description="Stored training episodes that are replayed.")


#: What a policy can be told instead of its instruction (`unblind.rollout.told`).
Arm = Literal["told_other", "told_nothing", "told_shuffled", "told_paraphrase"]


class StopEarly(Section):
    """A rollout that ends as soon as its run differs from another one (docs/statistics.md)."""

    against: Name = Field(description="The other run, whose records are there; it is never cut.")
    alpha: float = Field(
        gt=0, lt=1, description="Highest chance to find a difference where there is none."
    )


class Rollout(Section):
    """Closed-loop evaluation."""

    workers: Count = Field(description="Worker processes; results do not depend on it.")
    scenes: Count = Field(description="Scenes held by one worker; results do not depend on it.")
    purpose: Literal["evaluation", "validation"] = Field(
        description="Which episodes: those of the tables, or others, disjoint from these and from "
        "all demonstrations, by which a recipe may be chosen. Give such a study a folder of its "
        "own: --set results=FOLDER."
    )
    episodes: Count = Field(description="Episodes for each condition and seed (the paper: 128).")
    in_distribution_episodes: Count = Field(
        description="The same for the condition in_distribution, which a gate judges; the first "
        "of them are the episodes of a smaller number."
    )
    at_random: Count = Field(
        description="The first so many episodes of a condition are drawn at random, those beyond "
        "them so that each factor's values occur equally often (docs/statistics.md)."
    )
    in_distribution_at_random: Count = Field(
        description="The same for the condition in_distribution."
    )
    max_steps: Count = Field(description="Control steps of an episode (the paper: 80).")
    temperature: float | None = Field(
        gt=0,
        description="Actions are sampled among the 50 likeliest tokens at this temperature "
        "(released: 0.6); null: the likeliest token is taken.",
    )
    stop_early: StopEarly | None = Field(
        description="`unblind rollout` stops when the run and another one differ, and keeps what "
        "it has done apart: tables are made of whole records. null: every episode is run."
    )

    arms: dict[Arm, list[Name]] = Field(
        description="What models are told instead of their instruction, each under some "
        "conditions: 'told_other' names the distractors, 'told_nothing' is empty, 'told_shuffled' "
        "has the same words in another order, 'told_paraphrase' says the same in another template. "
        "Each arm costs as many episodes as its conditions."
    )

    def count(self, condition: str) -> int:
        """Return the number of episodes of a condition for each seed."""
        in_distribution = condition == "in_distribution"
        return self.in_distribution_episodes if in_distribution else self.episodes

    def random_count(self, condition: str) -> int:
        """Return how many episodes of a condition at most are drawn at random."""
        in_distribution = condition == "in_distribution"
        return self.in_distribution_at_random if in_distribution else self.at_random


class Think(Section):
    """VL-Think in the simulator: boards among which the instruction names one."""

    questions: Annotated[int, Field(ge=1, le=56)] = Field(
        description="Episode ids for each of the eight domains and seed, each run in every style, "
        "layout and start; at most 56, half of what Parity's 672 ids leave for one purpose."
    )
    frames: Annotated[int, Field(ge=1, le=56)] = Field(
        description="Episode ids for each domain about whose first frame models are asked, in "
        "every style; at most 56."
    )
    styles: Annotated[list[Literal["seen", "unseen", "released"]], Field(min_length=1)] = Field(
        description="Looks of the boards: 'seen' as in the base's pictures, 'unseen' the look that "
        "these keep back of each name, 'released' the authors' boards, from the catalog's folder."
    )
    swap: bool = Field(
        description="Ask each question in a second layout, too: the board that is meant changes "
        "places with another one."
    )
    in_hand: bool = Field(
        description="Ask each question a second time with the carrot in the gripper: the planner "
        "has picked it up."
    )

    @model_validator(mode="after")
    def _styles_differ(self) -> Self:
        if len(set(self.styles)) < len(self.styles):
            raise ValueError(f"styles names a style twice: {self.styles}")
        return self


class Run(Section):
    """One policy under evaluation: a row of a table."""

    policy: Literal["oracle", "random", "noop", "always_left", "vla", "vlm"] = Field(
        description="'oracle' is the planner, 'random' and 'noop' are floors, 'always_left' is the "
        "planner that goes to the left board of VL-Think whatever it is told, 'vla' is a model, "
        "'vlm' the base before robot pretraining: it answers questions, but does not act."
    )
    label: str = Field(min_length=1, description="The row's name in tables.")
    method: Literal["default", "freeze", "align"] | None = Field(
        description="The paper's training method; null: the base itself, or a scripted policy."
    )
    # Alone has a default: most runs differ by their method, and need not say that they do so alone.
    training: dict[str, Any] = Field(
        default_factory=dict,
        exclude_if=lambda values: not values,
        description="Values that replace those of the section training in this run, such as "
        "{align: {layers: [5]}}.",
    )

    @model_validator(mode="after")
    def _only_models_learn(self) -> Self:
        if self.method and self.policy != "vla":
            raise ValueError(f"method '{self.method}' needs the policy 'vla'")
        if self.training and not self.method:
            raise ValueError("'training' needs a method")
        return self


class Answers(Section):
    """Held-out questions to models: the base, the one before robot pretraining, and all runs."""

    pictures: Count = Field(
        description="Pictures of each split, held out and in looks that training lacks, all of "
        "whose questions are asked: the first so many of base.questions.held_out."
    )


class Drift(Section):
    """How far visual tokens of trained runs drift from the base's, and what runs forget."""

    pictures: Count = Field(
        description="Pictures at which tokens are compared: the first held-out ones, and as many "
        "frames of demonstrations."
    )
    answered: Count = Field(
        description="Pictures of each split all of whose questions are asked at every snapshot."
    )
    resamples: Count = Field(description="Resampled sets of pictures behind an interval.")


class Landscape(Section):
    """Losses on the plane through the base and two trained runs (paper, figure 2c)."""

    runs: list[Name] = Field(
        min_length=2, max_length=2, description="The two runs; a study without them has no plane."
    )
    grid: int = Field(ge=2, description="Points along a side of the grid.")
    margin: float = Field(
        ge=0,
        description="How far the grid reaches beyond the three models, in shares of their extent.",
    )
    edge: Count = Field(description="Points on the straight line between two models, ends apart.")
    frames: Count = Field(description="Frames of demonstrations behind a loss on the grid.")
    pictures: Count = Field(description="Held-out pictures whose questions are asked on the grid.")
    edge_frames: Count = Field(description="The same on the lines: these frames and further ones.")
    edge_pictures: Count = Field(description="The same on the lines, of pictures.")

    @model_validator(mode="after")
    def _has_a_plane(self) -> Self:
        if len(set(self.runs)) < len(self.runs):
            raise ValueError(f"landscape.runs names a run twice: {self.runs}")
        if self.edge_frames < self.frames or self.edge_pictures < self.pictures:
            raise ValueError("the lines need at least as many frames and pictures as the grid")
        return self


class Frames(Section):
    """Frames of validation episodes with the place of every thing, for attention and collapse."""

    episodes: Count = Field(
        description="Episodes of the planner under each of five conditions (in distribution, "
        "unseen object, unseen plate, second object, second plate), with four frames each."
    )
    class_episodes: Count = Field(
        description="Episodes of each of collapse.classes, one frame each."
    )


class Attention(Section):
    """Attention of a prompt's last token to the picture (Figure 4)."""

    question: str = Field(
        pattern=r"\{object\}",
        description="Asked beside the instruction; {object} is the target's name (the paper asks "
        "'Do you see ...?').",
    )
    generic: str = Field(
        min_length=1,
        description="Generic prompt by whose map the others are divided, as released.",
    )


class Collapse(Section):
    """Separation of objects' classes in the decoder's tokens (Figure 5)."""

    classes: Annotated[list[FileName], Field(min_length=2)] = Field(
        description="Names of objects (the paper: cup, bottle and knife of COCO)."
    )
    layers: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Decoder layers, an early, a middle and a late one (released: 1, 10, 20)."
    )
    prompt: str = Field(
        min_length=1,
        description="Prompt behind every picture; it must not hold a word of a class. Visual "
        "tokens stand before it and do not depend on it.",
    )
    neighbours: Count = Field(description="Nearest pictures that vote on a picture's class.")

    @model_validator(mode="after")
    def _prompt_tells_no_class(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes names an object twice: {self.classes}")
        told = {word for name in self.classes for word in name.lower().split()}
        if named := told & set(re.findall(r"\w+", self.prompt.lower())):
            raise ValueError(
                f"prompt holds a word of a class ({', '.join(sorted(named))}): its tokens would be "
                "told apart without the picture"
            )
        return self


class Probe(Section):
    """Linear probes of the models' visual tokens (paper, section 7.5, tables 3 and 14)."""

    imagenet: FileName | None = Field(
        description="Folder of ImageNet-100 with the folders train and val, each with one folder "
        "of pictures for each of 100 classes; null: the generated Icon-100 takes its place."
    )
    icons: Count = Field(description="Icon-100: pictures of each concept in each drawing style.")
    portraits: Count = Field(
        description="Training pictures of each object and plate of the study alone."
    )
    portraits_test: Count = Field(description="The same for the test.")
    stills: Count = Field(
        description="Training still lifes with each object of the study; at least 2."
    )
    stills_test: Count = Field(description="The same for the test.")
    site: str = Field(
        description="Whose tokens stand for the paper's 'intermediate visual layers': 'tower', "
        "'projector' or 'block N'. All are probed."
    )
    standardised: bool = Field(
        description="Whether features are scaled by mean and deviation of the training pictures; "
        "the paper does not say."
    )
    optimizer: Literal["sgd"] = Field(description="Stochastic gradient descent (paper).")
    momentum: float = Field(ge=0, lt=1, description="Its momentum (paper: 0.9).")
    rate: float = Field(gt=0, description="Learning rate, constant (paper: 0.1).")
    weight_decay: float = Field(ge=0, description="Of the weights (paper: 0).")
    epochs: Count = Field(description="Passes over the training pictures (paper: 40).")
    batch: Count = Field(description="Pictures a step (paper: 128).")


class Gates(Section):
    """Marks that a trained policy and its base should reach before a table is worth reading."""

    action: Literal["stop", "warn"] = Field(
        description="When a floor is missed: 'stop' renders no table, 'warn' says so in it."
    )
    in_distribution_floor: Share = Field(
        description="Success of the row 'default' in distribution that must be reached."
    )
    in_distribution_goal: Share = Field(description="Success in distribution that is hoped for.")
    questions_floor: Share = Field(
        description="Accuracy on each kind of held-out questions that the base must reach."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.in_distribution_goal < self.in_distribution_floor:
            raise ValueError("in_distribution_goal lies below in_distribution_floor")
        return self


class Table1(Section):
    """Rows of the success-rate table."""

    rows: Annotated[list[Name], Field(min_length=1)] = Field(
        description="Runs in printing order; a method that has no run is printed as 'not run'."
    )
