"""Claims that one row of a printed table beats another."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from unblind.config.kinds import Share
from unblind.errors import near
from unblind.report.printed import Measure, Part, PublishedTable, Slug, Suite, Text


class Ordering(Part):
    """A claim that one row beats another.

    Attributes:
        id: its name.
        title: the claim that it is a part of, in a few words.
        label: which part, such as a condition.
        text: the claim in one sentence.
        location: where the paper makes it.
        table, better, worse: keys of the table and its two rows; ``worse`` may be a run that is
            none of its rows (`OrderingBlock.of_own_rows`).
        measure: that of the table.
        columns: headings whose mean is compared.
        suite: the group that these headings are, if they are one.
        margin: 'greater': fraction by which ``better`` must exceed ``worse``; 'collapse': share of
            ``better`` that ``worse`` stays below.
        kind: which of the two.
    """

    id: Slug
    title: Text
    label: Text
    text: Text
    location: Text
    table: str
    measure: Measure
    better: Slug
    worse: Text
    columns: list[str]
    suite: Suite | None
    margin: Share
    kind: Literal["greater", "collapse"]


class OrderingBlock(Part):
    """Orderings as the file writes them: one for each combination of the lists.

    Attributes:
        id: start of the orderings' ids; the members of the lists are appended.
        title: the claim in a few words; several blocks of a table may share one.
        text: sentence with {better}, {worse}, {suite} or {column} to be filled in.
        location, table, kind: as in `Ordering`.
        better, worse: one row or several, an ordering for each; labels name the members of a list.
        suites: groups, an ordering for each.
        columns: headings, an ordering for each. Without these two: the mean of all columns.
        margin: as in `Ordering`; that of the tolerances if not given.
        own_rows: whether the claim is about rows of a study as well that the paper's table lacks;
            ``suites`` names the groups then.
    """

    id: Slug
    title: Text
    text: Text
    location: Text
    table: str
    better: Slug | list[Slug]
    worse: Slug | list[Slug]
    suites: list[Suite] = Field(default_factory=list)
    columns: list[str] = Field(default_factory=list)
    margin: Share | None = None
    kind: Literal["greater", "collapse"] = "greater"
    own_rows: bool = False

    def orderings(self, table: PublishedTable, margin: float) -> Iterator[Ordering]:
        """Yield every ordering.

        Args:
            table: the table it speaks of.
            margin: used if the block names none.

        Raises:
            ValueError: it names a row, column or word that is not there.
        """
        betters, worses = _listed(self.better), _listed(self.worse)
        places: list[tuple[str, Suite | None, list[str]]]
        places = [(suite, suite, table.headings(suite)) for suite in self.suites]
        places += [(column, None, [column]) for column in self.columns]
        places = places or [("", None, table.columns)]
        for better, worse, (heading, suite, columns) in itertools.product(betters, worses, places):
            for key in (better, worse):
                self._require(key, table.rows, table)
            if not columns:
                raise ValueError(f"ordering '{self.id}': {table.location} has no {suite} columns")
            for column in columns:
                self._require(column, table.columns, table)
            words = {"better": table.rows[better].label, "worse": table.rows[worse].label}
            named = [words["better"]] * (len(betters) > 1)
            named += [words["worse"]] * isinstance(self.worse, list)
            parts = [better] * (len(betters) > 1) + [worse] * (len(worses) > 1)
            yield self._made(
                table,
                margin,
                id="-".join([self.id, *parts, *([heading.lower()] if heading else [])]),
                label=", ".join(named + [heading] * bool(heading)) or words["worse"],
                text=_filled(self.text, {**words, "suite": heading, "column": heading}),
                better=better,
                worse=worse,
                columns=columns,
                suite=suite,
            )

    def of_own_rows(
        self, table: PublishedTable, margin: float, runs: Mapping[str, str]
    ) -> Iterator[Ordering]:
        """Yield the same claim about rows that a study adds to the table, if it is about them.

        Args:
            table, margin: as for `orderings`.
            runs: labels of the study's own rows by run.
        """
        better = _listed(self.better)[0]
        for (run, label), suite in itertools.product(runs.items(), self.suites):
            if self.own_rows:
                words = {"better": table.rows[better].label, "worse": label, "suite": suite}
                yield self._made(
                    table,
                    margin,
                    id=f"{self.id}-{run.replace('_', '-')}-{suite}",
                    label=f"{label}, {suite}",
                    text=_filled(self.text, words),
                    better=better,
                    worse=run,
                    columns=table.headings(suite),
                    suite=suite,
                )

    def _made(self, table: PublishedTable, margin: float, **own: Any) -> Ordering:
        return Ordering(
            title=self.title,
            location=self.location,
            table=self.table,
            measure=table.measure,
            margin=margin if self.margin is None else self.margin,
            kind=self.kind,
            **own,
        )

    def _require(self, key: str, known: Iterable[str], table: PublishedTable) -> None:
        if key not in known:
            raise ValueError(
                f"ordering '{self.id}': no '{key}' in {table.location}{near(key, known)}"
            )


def _listed(rows: str | list[str]) -> list[str]:
    return [rows] if isinstance(rows, str) else rows


def _filled(text: str, words: Mapping[str, str]) -> str:
    try:
        return text.format_map(words)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"cannot fill in {text!r}: {error}") from None
