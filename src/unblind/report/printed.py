"""The paper's printed tables, as ``paper/claims.yaml`` writes them.

All rates and spreads are fractions. In the file a row is lists in the order of the headings.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from unblind.config.kinds import Name, Section, Share
from unblind.errors import UnblindError, near
from unblind.sim.conditions import CONDITIONS

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Text = Annotated[str, Field(min_length=1)]
Suite = Literal["semantic", "vision", "execution"]
Measure = Literal["success", "vl_think", "probe"]
# A pair is a list in YAML; its members stay strict.
Pair = Annotated[tuple[Share, Share | None], Field(strict=False)]


class Part(Section):
    """Base of all parts: a section whose unknown keys are named with what may be meant."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, fields: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in fields if isinstance(fields, Mapping) else ():
            if key not in known:
                raise ValueError(f"unknown key '{key}'{near(str(key), known)}")
        return fields


class PublishedRow(Part):
    """One printed row.

    Attributes:
        label: the row's name in the paper.
        run: the run of our configuration that measures the same, or 'teacher', what our probes
            hold models against; None if we have none.
        cells: by column heading, value and printed spread (None if none is printed).
        p: by column heading, the printed p value against the table's best row; mostly empty.
    """

    label: Text
    run: Name | None
    cells: dict[str, Pair]
    p: dict[str, Share | Literal["<0.01"]] = Field(default_factory=dict)


class PublishedTable(Part):
    """One printed table.

    Attributes:
        location: its place in the paper.
        title: what it shows.
        measure: what a value is: success rate of rollouts, success rate of VL-Think (rollouts of
            VLAs, answers of VLMs) or top-1 accuracy of a linear probe.
        columns: headings in printed order.
        spread_kind: what the printed +- is.
        n: episodes behind a cell.
        rows: by key; every row has every column.
    """

    location: Text
    title: Text
    measure: Measure
    columns: Annotated[list[Text], Field(min_length=1)]
    spread_kind: Literal["unknown", "sd", "se", "none"]
    n: int | Literal["unknown"]
    rows: dict[Slug, PublishedRow]

    @model_validator(mode="before")
    @classmethod
    def _columns_named(cls, fields: Any) -> Any:
        """Turn each row's lists ``values``, ``spreads`` and ``p`` into mappings by heading."""
        if not isinstance(fields, Mapping) or not isinstance(fields.get("columns"), list):
            return fields
        rows = fields.get("rows")
        if not isinstance(rows, Mapping) or not all(isinstance(r, Mapping) for r in rows.values()):
            raise ValueError("'rows' is not a mapping of rows")
        return {**fields, "rows": {k: _by_heading(k, rows[k], fields["columns"]) for k in rows}}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"a heading is given twice in {self.columns}")
        for key, row in self.rows.items():
            if list(row.cells) != self.columns:
                raise ValueError(f"row '{key}' has not the headings {self.columns}")
            if not row.p.keys() <= row.cells.keys():
                raise ValueError(f"row '{key}' has p values of other headings")
        return self

    def row(self, key: str) -> PublishedRow:
        """Return a row.

        Raises:
            UnblindError: there is no such row.
        """
        if key not in self.rows:
            raise UnblindError(
                f"{self.location} has no row '{key}'{near(key, self.rows)}",
                f"rows: {', '.join(self.rows)}",
            )
        return self.rows[key]

    def headings(self, suite: Suite) -> list[str]:
        """Return a group's headings: its conditions, or the one heading of a summary."""
        named = [c for c in self.columns if c.casefold() == suite]
        members = [c.column for c in CONDITIONS if c.suite == suite]
        return named or [c for c in self.columns if c in members]

    def mean(self, key: str, columns: Sequence[str]) -> float:
        """Return the mean of a row's printed values over some columns.

        Raises:
            UnblindError: there is no such row or column, or none is named.
        """
        cells = self.row(key).cells
        if not columns:
            raise UnblindError(f"{self.location} has no such group of columns", "name columns")
        for column in columns:
            if column not in cells:
                raise UnblindError(
                    f"{self.location} has no column '{column}'{near(column, cells)}",
                    f"columns: {', '.join(cells)}",
                )
        return fmean(cells[column][0] for column in columns)


def _by_heading(key: str, row: Mapping[str, Any], columns: list[str]) -> dict[str, Any]:
    lists = {name: row[name] for name in ("values", "spreads", "p") if name in row}
    if "values" not in lists:
        return dict(row)
    for name, numbers in lists.items():
        if not isinstance(numbers, list) or len(numbers) != len(columns):
            raise ValueError(f"row '{key}': '{name}' is not a list of {len(columns)}")
    spreads = lists.get("spreads", [None] * len(columns))
    named = {name: value for name, value in row.items() if name not in lists}
    named["cells"] = dict(zip(columns, zip(lists["values"], spreads, strict=True), strict=True))
    if "p" in lists:
        named["p"] = dict(zip(columns, lists["p"], strict=True))
    return named
