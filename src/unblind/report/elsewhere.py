"""What others print for the conditions of the paper, as ``paper/claims.yaml`` writes it.

Such values are context. None of them is held against a value of the paper or of a study, for their
protocols differ or are not told; what they let one expect of our own runs can be tested.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from unblind.config.kinds import Name, Share
from unblind.report.printed import Part, Slug, Suite, Text


class ForeignRow(Part):
    """What one model reached, as its evaluators print it.

    Attributes:
        label: what it is.
        weights: where they are to be had: ``owner/name``, without a commit where none is known.
        values: success rates in the order of the headings; fractions.
    """

    label: Text
    weights: Text
    values: list[Share]


class Expectation(Part):
    """That one of our runs succeeds more often than others, which foreign values let one expect.

    Attributes:
        id: its name; that of a lower run is appended.
        title: in a few words.
        text: a sentence with {lower} to be filled in.
        higher: the run that should succeed more often.
        lower: the runs that should not; a test for each.
        suite: the conditions over which the mean is taken.
    """

    id: Slug
    title: Text
    text: Text
    higher: Name
    lower: Annotated[list[Name], Field(min_length=1)]
    suite: Suite

    @model_validator(mode="after")
    def _fillable(self) -> Self:
        try:
            self.said_of("")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"cannot fill in {self.text!r}: {error}") from None
        return self

    def said_of(self, lower: str) -> str:
        """Return the sentence about one of the lower runs, which is called so."""
        return self.text.format(lower=lower)


class Elsewhere(Part):
    """One source of other people's values.

    Attributes:
        id: its name.
        source: who prints them, and where.
        n: episodes behind a value.
        protocol: how was measured, as far as the source says.
        not_compared: what must not be held against what, and why.
        columns: headings.
        rows: by key; every row has a value for every heading.
        expected: what is tested because of them.
    """

    id: Slug
    source: Text
    n: int | Literal["not stated"]
    protocol: Text
    not_compared: Text
    columns: Annotated[list[Text], Field(min_length=1)]
    rows: dict[Slug, ForeignRow]
    expected: list[Expectation] = Field(default_factory=list)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for key, row in self.rows.items():
            if len(row.values) != len(self.columns):
                raise ValueError(f"row '{key}' has not a value for each of {self.columns}")
        return self

    @property
    def ids(self) -> list[str]:
        """The ids of its tests."""
        return [id_of(one, run) for one in self.expected for run in one.lower]


def id_of(one: Expectation, run: str) -> str:
    """Return the id of the test of an expectation against one of its lower runs."""
    return f"{one.id}-{run.replace('_', '-')}"


def plain(listed: list[Elsewhere]) -> list[Mapping[str, Any]]:
    """Return sources as plain values, for pages: without what is tested because of them."""
    return [one.model_dump(mode="json", exclude={"expected"}) for one in listed]
