"""The paper's own numbers and claims, read from ``paper/claims.yaml``.

All rates, spreads and margins are fractions.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from unblind.config.kinds import Share
from unblind.errors import UnblindError
from unblind.report.comparisons import Comparison, ComparisonBlock
from unblind.report.elsewhere import Elsewhere
from unblind.report.orderings import Ordering, OrderingBlock
from unblind.report.printed import Part, PublishedRow, PublishedTable, Slug, Text

__all__ = [
    "PAPER",
    "Claims",
    "Comparison",
    "Contradiction",
    "Elsewhere",
    "Ordering",
    "PublishedRow",
    "PublishedTable",
    "TextNumber",
    "Tolerances",
    "load_claims",
]

PAPER = Path(__file__).resolve().parents[3] / "paper"


class Tolerances(Part):
    """When a claim counts as reproduced; fixed in the file before any result is seen.

    Attributes:
        level: confidence level of every interval and test.
        family: what Holm's correction runs over: the orderings of one table.
        margin: difference that an ordering must exceed where it names none.
        z: multiple of the standard error of a difference within which two values agree.
        why: a sentence for each of these.
    """

    level: Annotated[float, Field(gt=0.5, lt=1)]
    family: Literal["table"]
    margin: Share
    z: Annotated[float, Field(gt=0)]
    why: dict[Literal["level", "family", "margin", "z"], Text]

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if missing := type(self).model_fields.keys() - {"why"} - self.why.keys():
            raise ValueError(f"'why' says nothing of {', '.join(sorted(missing))}")
        return self


class TextNumber(Part):
    """A number of the running text.

    Attributes:
        id: its name.
        location: its place.
        text: what it counts or measures.
        value: the number; shares are fractions.
        kind: 'result' of the experiments, or 'setting' of them.
        key: dotted key of our configuration that holds the same setting, if there is one.
    """

    id: Slug
    location: Text
    text: Text
    value: float
    kind: Literal["result", "setting"]
    key: str | None


class Contradiction(Part):
    """Two statements of the paper that cannot both be right.

    Attributes:
        id: its name.
        text: both statements in a sentence.
        locations: where the paper prints them.
        check: name of the check in `unblind.audit.arithmetic_checks` that compares the numbers.
        arguments: what the check looks at.
    """

    id: Slug
    text: Text
    locations: Annotated[list[Text], Field(min_length=1)]
    check: str
    arguments: dict[str, Any]


class Claims(Part):
    """Everything the paper states in numbers.

    Attributes:
        tolerances: when a claim counts as reproduced.
        tables: by the paper's number.
        blocks: orderings as written; see `orderings`.
        figure_blocks: comparisons of figures as written; see `comparisons`.
        contradictions: statements that exclude each other.
        text: numbers of the running text.
        elsewhere: what others print for the same conditions: no claims of the paper.
    """

    tolerances: Tolerances
    tables: dict[str, PublishedTable]
    blocks: list[OrderingBlock] = Field(alias="orderings")
    figure_blocks: list[ComparisonBlock] = Field(alias="comparisons")
    contradictions: list[Contradiction]
    text: list[TextNumber]
    elsewhere: list[Elsewhere] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "1" not in self.tables:
            raise ValueError("there is no Table 1")
        for block in self.blocks:
            if block.table not in self.tables:
                raise ValueError(f"ordering '{block.id}': there is no table '{block.table}'")
        orders = (*self.orderings, *self.comparisons)
        ids = [claim.id for claim in (*orders, *self.contradictions, *self.text)]
        ids += [name for source in self.elsewhere for name in source.ids]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"duplicate id {', '.join(map(repr, twice))}")
        return self

    @property
    def table1(self) -> PublishedTable:
        """Success rates by condition."""
        return self.tables["1"]

    @property
    def orderings(self) -> list[Ordering]:
        """Every ordering of every block."""
        margin = self.tolerances.margin
        return [o for b in self.blocks for o in b.orderings(self.tables[b.table], margin)]

    @property
    def comparisons(self) -> list[Comparison]:
        """Every comparison of every block."""
        return [one for block in self.figure_blocks for one in block.comparisons()]


SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads the checkout's own tables: PyYAML's safe loader, in C where it has that."""


class _Loader(SafeLoader):
    """YAML in which a key that is given twice is an error, instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for index, key in enumerate(keys) if key in keys[:index]]:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"duplicate key '{twice[0]}' in the mapping of line {line}")
        return super().construct_mapping(node, deep)


def load_claims(path: Path | str = PAPER / "claims.yaml") -> Claims:
    """Load and check the published numbers.

    Raises:
        UnblindError: the file is missing or malformed; a misspelt key or row is named with the
            nearest known one.
    """
    try:
        # The loader is a safe one: it only adds a check.
        return Claims.model_validate(
            yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)  # noqa: S506
        )
    except OSError as error:
        raise UnblindError(
            f"cannot read the published numbers {path}: {error.strerror}",
            "run from a checkout of this repository",
        ) from None
    except ValidationError as error:
        reason = "; ".join(_problem(detail) for detail in error.errors()[:5])
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
    raise UnblindError(f"bad published numbers {path}: {reason}", "restore the file")


def _problem(detail: Any) -> str:
    key = ".".join(str(name) for name in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
