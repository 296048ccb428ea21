"""Kinds of values that several sections have, and what every section has in common."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from unblind.answerers.families import FAMILIES
from unblind.errors import near
from unblind.teachers.registry import TEACHERS

#: Sets of demonstrations.
DemoSet = Literal["training", "pretraining", "warm-up"]
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


def _known_family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"no such family of models{near(name, FAMILIES)}")
    return name


FamilyName = Annotated[
    str, AfterValidator(_known_family), Field(json_schema_extra={"enum": list(FAMILIES)})
]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values cannot change, no silent casts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
