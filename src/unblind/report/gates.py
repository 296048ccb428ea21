"""Marks that a policy and its base should reach before a table is worth reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report.stats import Estimate
from unblind.report.summary import COLUMNS, Row

_ROW = "default"  # the method whose success in distribution is the gate
(_COLUMN,) = COLUMNS["in-distribution"]


@dataclass(frozen=True)
class Gate:
    """The outcome of one gate.

    Attributes:
        name: what was measured.
        met: whether its floor was reached.
        text: outcome, value and interval in words.
    """

    name: str
    met: bool
    text: str


def gates(
    config: Config, rows: Sequence[Row], answers: Mapping[str, Estimate] | None
) -> list[Gate]:
    """Return the gates that can be judged.

    Args:
        config: gives the floors.
        rows: of the table; without a trained 'default' its gate is left out.
        answers: shares of held-out questions of each kind that the base answers right; None if it
            was not asked.

    Raises:
        UnblindError: a gate is not met although the configuration says 'stop'.
    """
    judged = [row for row in rows if row.name == _ROW and _COLUMN in row.cells]
    judged_gates = [_in_distribution(config, row) for row in judged]
    if answers is not None:
        judged_gates.append(_questions(config, answers))
    for gate in judged_gates:
        if not gate.met and config.gates.action == "stop":
            raise UnblindError(
                f"{gate.name}: {gate.text}", "train longer, or set gates.action to 'warn'"
            )
    return judged_gates


def _in_distribution(config: Config, row: Row) -> Gate:
    marks = config.gates
    cell = row.cells[_COLUMN]
    value = f"{100 * cell.rate:.0f} % [{100 * cell.low:.0f}, {100 * cell.high:.0f}]"
    met, goal = cell.rate >= marks.in_distribution_floor, marks.in_distribution_goal
    if met:
        reached = "reached" if cell.rate >= goal else "not reached"
        text = f"gate met: {value}, goal {100 * goal:.0f} % {reached}"
    else:
        text = f"gate not met: {value}, wanted {100 * marks.in_distribution_floor:.0f} %"
    return Gate(f"In-distribution success of {row.label}", met, text)


def _questions(config: Config, answers: Mapping[str, Estimate]) -> Gate:
    floor = config.gates.questions_floor
    met = all(rate.value >= floor for rate in answers.values())
    told = {kind: rate for kind, rate in answers.items() if met or rate.value < floor}
    parts = [
        f"{kind} {100 * rate.value:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}] of {rate.n}"
        for kind, rate in told.items()
    ]
    shortfall = "" if met else f" (wanted {100 * floor:.0f} % of each of {len(answers)} kinds)"
    text = f"gate {'met' if met else 'not met'}: {', '.join(parts)}{shortfall}"
    return Gate("Held-out questions to the base", met, text)
