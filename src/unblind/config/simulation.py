"""Sections of the simulator: pictures, demonstrations and evaluation."""

from typing import Literal, Self

from pydantic import Field, model_validator

from unblind.config.kinds import Count, Name, Section, Share


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
