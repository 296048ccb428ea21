"""Marks that a policy and its base should reach before a table is worth reading."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.report.stats import wilson
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


def gates(config: Config, rows: Sequence[Row], questions: Path | None) -> list[Gate]:
    """Return the gates that can be judged.

    Args:
        config: gives the floors.
        rows: of the table; without a trained 'default' its gate is left out.
        questions: accuracies of the base on held-out questions by kind, a JSON file
            ``{kind: {"n": episodes, "accuracy": fraction}}``; None if there is none.

    Raises:
        UnblindError: the file is missing or malformed, or a gate is not met although the
            configuration says 'stop'.
    """
    judged = [row for row in rows if row.name == _ROW and _COLUMN in row.cells]
    judged_gates = [_in_distribution(config, row) for row in judged]
    if questions is not None:
        judged_gates.append(_questions(config, load_questions(questions)))
    for gate in judged_gates:
        if not gate.met and config.gates.action == "stop":
            raise UnblindError(
                f"{gate.name}: {gate.text}", "train longer, or set gates.action to 'warn'"
            )
    return judged_gates


def load_questions(path: Path) -> dict[str, tuple[int, float]]:
    """Return questions and accuracy by kind.

    Raises:
        UnblindError: the file is missing or malformed.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        answers = {str(kind): _answers(entry) for kind, entry in document.items()}
    except FileNotFoundError:
        raise UnblindError(f"{path} is missing", "name the answers to held-out questions") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        answers = {}
    if not answers:
        raise UnblindError(
            f"{path} holds no accuracies {{kind: {{n, accuracy}}}}", "ask the questions again"
        )
    return answers


def _answers(entry: Mapping[str, Any]) -> tuple[int, float]:
    n, accuracy = int(entry["n"]), float(entry["accuracy"])
    if n < 1 or not 0 <= accuracy <= 1:
        raise ValueError("no share of questions")
    return n, accuracy


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


def _questions(config: Config, answers: Mapping[str, tuple[int, float]]) -> Gate:
    floor = config.gates.questions_floor
    met = all(accuracy >= floor for _, accuracy in answers.values())
    parts = []
    for kind, (n, accuracy) in answers.items():
        low, high = wilson(round(n * accuracy), n)
        value = f"{100 * accuracy:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {n}"
        parts.append(f"{kind} {value}" + ("" if accuracy >= floor else " (too few)"))
    shortfall = "" if met else f", wanted {100 * floor:.0f} % of each kind"
    text = f"gate {'met' if met else 'not met'}: {', '.join(parts)}{shortfall}"
    return Gate("Held-out questions to the base", met, text)
