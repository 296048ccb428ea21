"""Sections of pages: rows of Table 1, gates that its records must pass, studies of defects."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from unblind.config.kinds import FileName, Name, Section, Share


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


class Defect(Section):
    """A study in which a defect of the release is switched on, and nothing else differs."""

    label: str = Field(description="What the page calls the defect.")
    file: FileName = Field(
        description="Configuration of the study, seen from the folder of the checkout; it has a "
        "folder of results of its own."
    )
    entries: list[Name] = Field(description="Ids in paper/defects.yaml of what it switches on.")
