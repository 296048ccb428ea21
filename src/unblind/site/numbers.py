"""The numbers of Table 1, each with the records that it follows from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unblind.audit.commands import Commands
from unblind.audit.html import anchor
from unblind.audit.records import CONDITIONS_OF, Evidence, joined
from unblind.config import Config
from unblind.report.differences import GROUPS, PAIRS, Difference, differences
from unblind.report.published import load_claims
from unblind.report.records import Records
from unblind.report.render import percent, signed
from unblind.report.summary import COLUMN_OF, MEANS, Row, summarise

#: The comparison that the paper is about.
HEADLINE = PAIRS[0]
#: Its name among differences.
HEADLINE_NAME = " - ".join(HEADLINE)


@dataclass(frozen=True)
class Number:
    """A number of the site.

    Attributes:
        id: its anchor on the page of records.
        what: what it is a number of.
        text: as it is printed.
        n: how many episodes, or pairs of them, it is of.
        records: what it follows from.
        command: makes these records, and shows the claim of the paper if there is one.
    """

    id: str
    what: str
    text: str
    n: str
    records: tuple[Path, ...]
    command: str


@dataclass(frozen=True)
class Table:
    """Table 1 from the records that are there.

    Attributes:
        rows, differences: as the page of Table 1 has them; what lacks a record is absent.
        cells: by run and column.
        means: by run and group.
        changes: by name of the difference and group.
        lacking: by run why some of its cells are not run.
    """

    rows: Sequence[Row]
    differences: Sequence[Difference]
    cells: Mapping[tuple[str, str], Number] = field(default_factory=dict)
    means: Mapping[tuple[str, str], Number] = field(default_factory=dict)
    changes: Mapping[tuple[str, str], Number] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

    @property
    def numbers(self) -> list[Number]:
        """All of them, in the order of the table."""
        return [*self.changes.values(), *self.means.values(), *self.cells.values()]

    @property
    def headline(self) -> Difference | None:
        """How much more often Align succeeds than Default; None without records of both."""
        found = (one for one in self.differences if one.name == HEADLINE_NAME and one.groups)
        return next(found, None)


def table(
    config: Config, evidence: Evidence, commands: Commands, claims: Iterable[str] = ()
) -> Table:
    """Return Table 1 with the records of each number.

    A cell of which a seed has no record is not run, as in the audit.

    Args:
        config: names rows and seeds.
        evidence: the records.
        commands: how they are made.
        claims: ids of claims of the audit.

    Raises:
        UnblindError: two compared runs were evaluated on different episodes.
    """
    runs = {name: _complete(evidence, name) for name in config.table1.rows if name in config.runs}
    there = {name: records for name, records in runs.items() if records}
    rows = summarise(config, there, load_claims().table1)
    compared = [
        one
        for pair in PAIRS
        if set(pair) <= there.keys()
        for one in differences(rows, _shared(evidence, *pair), config.seed)
        if one.name == " - ".join(pair)
    ]
    makes = _Makes(evidence, commands, frozenset(claims))
    whole = {name: evidence.of(name, tuple(COLUMN_OF.values())) for name in runs}
    return Table(
        rows,
        compared,
        cells={(row.name, column): makes.cell(row, column) for row in rows for column in row.cells},
        means={(row.name, group): makes.mean(row, group) for row in rows for group in row.means},
        changes={(one.name, g): makes.change(one, g) for one in compared for g in one.groups},
        lacking={name: why for name, why in whole.items() if isinstance(why, str)},
    )


def _complete(evidence: Evidence, run: str) -> Records | None:
    """Return a run's records of the conditions of which every seed has one with episodes."""
    return _joined(evidence, run, _conditions(evidence, run))


def _conditions(evidence: Evidence, run: str) -> set[str]:
    return {
        name
        for name in COLUMN_OF
        if all(
            (run, seed, name) in evidence.pieces and len(evidence.pieces[run, seed, name].episodes)
            for seed in evidence.seeds[run]
        )
    }


def _joined(evidence: Evidence, run: str, names: set[str]) -> Records | None:
    pieces = [
        piece for piece in evidence.pieces.values() if piece.run == run and piece.condition in names
    ]
    return joined(run, pieces) if pieces else None


def _shared(evidence: Evidence, first: str, second: str) -> dict[str, Records]:
    """Return two runs' records of the conditions that both have."""
    both = _conditions(evidence, first) & _conditions(evidence, second)
    found = {run: _joined(evidence, run, both) for run in (first, second)}
    return {run: records for run, records in found.items() if records}


@dataclass(frozen=True)
class _Makes:
    """Makes numbers of a study's rows."""

    evidence: Evidence
    commands: Commands
    claims: frozenset[str]

    def cell(self, row: Row, column: str) -> Number:
        cell = row.cells[column]
        text = f"{percent(cell.rate)} [{percent(cell.low)}, {percent(cell.high)}]"
        return Number(
            id=anchor(f"{row.name}-{column}", "cell"),
            what=f"{row.label}, {column}: success in percent",
            text=text,
            n=f"{cell.final} of {cell.n} episodes",
            **self._from([row.name], [column], f"1/{row.name}/{column}"),
        )

    def mean(self, row: Row, group: str) -> Number:
        mean = row.means[group]
        text = f"{percent(mean.rate, 1)} [{percent(mean.low, 1)}, {percent(mean.high, 1)}]"
        return Number(
            id=anchor(f"{row.name}-{group}", "mean"),
            what=f"{row.label}, mean over {group}: success in percent",
            text=text,
            n=f"{mean.credit.n} episodes",
            **self._from([row.name], MEANS[group]),
        )

    def change(self, one: Difference, group: str) -> Number:
        pair = one.groups[group]
        return Number(
            id=anchor(f"{one.name}-{group}", "difference"),
            what=f"{one.first} minus {one.second}, {group}: points of success",
            text=f"{signed(pair.delta)} [{signed(pair.low)}, {signed(pair.high)}]",
            n=f"{pair.won} won, {pair.lost} lost of {pair.n} pairs",
            **self._from(one.name.split(" - "), GROUPS[group]),
        )

    def _from(self, runs: Sequence[str], columns: Sequence[str], claim: str = "") -> dict:
        names = list(dict.fromkeys(name for column in columns for name in CONDITIONS_OF[column]))
        seeds = self.evidence.seeds
        keys = [(run, seed, name) for run in runs for seed in seeds[run] for name in names]
        command = self.commands.records(runs, names)
        if claim in self.claims:
            command = self.commands.then(command, claim)
        return {
            "records": tuple(self.evidence.pieces[key].path for key in keys),
            "command": command,
        }
