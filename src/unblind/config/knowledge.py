"""Sections of what is measured of the knowledge and representations of models."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from unblind.config.kinds import Count, FileName, Name, Section


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
    rows: list[Name] | None = Field(
        description="Rows of Table 1 that act, beside the planners; null: all models among them."
    )

    @model_validator(mode="after")
    def _styles_differ(self) -> Self:
        if len(set(self.styles)) < len(self.styles):
            raise ValueError(f"styles names a style twice: {self.styles}")
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
    rows: list[Name] | None = Field(
        description="Trained runs that are followed; null: those of Table 1."
    )


class Gradients(Section):
    """Gradients of action and alignment at the end of a run's training."""

    batches: Count = Field(description="Batches of training frames, the same for all runs.")
    frames: Count = Field(description="Frames in a batch.")


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


class Knockout(Section):
    """Evaluation of models whose text cannot see the target (Figure 4's page)."""

    condition: Name = Field(description="Whose episodes are run: the first of Table 1's.")
    episodes: Count = Field(
        description="Episodes for each seed and each of five variants: nothing hidden, the target "
        "in all layers, in the first and in the second half of them, as many other tokens."
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
