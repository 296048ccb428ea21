"""Contradictions inside the paper, checked by arithmetic on its own printed numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from unblind.audit.arithmetic_checks import CHECKS, Outcome
from unblind.errors import UnblindError, near
from unblind.report.published import Claims


@dataclass(frozen=True)
class ArithmeticFinding:
    """What a check found.

    Attributes:
        id, text, locations: those of the contradiction.
        holds: whether the contradiction is real.
        detail: the numbers.
    """

    id: str
    text: str
    locations: tuple[str, ...]
    holds: bool
    detail: str


def evaluate(claims: Claims) -> list[ArithmeticFinding]:
    """Return a finding for each contradiction of the claims, in their order.

    Raises:
        UnblindError: a contradiction names no check, or its arguments do not fit.
    """
    findings = []
    for contradiction in claims.contradictions:
        holds, detail = _run(claims, contradiction.id, contradiction.check, contradiction.arguments)
        findings.append(
            ArithmeticFinding(
                contradiction.id, contradiction.text, tuple(contradiction.locations), holds, detail
            )
        )
    return findings


def _run(claims: Claims, name: str, check: str, arguments: Mapping[str, Any]) -> Outcome:
    remedy = "fix paper/claims.yaml"
    if check not in CHECKS:
        cause = f"contradiction '{name}': there is no check '{check}'{near(check, CHECKS)}"
        raise UnblindError(cause, remedy)
    try:
        return CHECKS[check](claims, **arguments)
    except UnblindError as error:
        raise UnblindError(f"contradiction '{name}': {error.cause}", error.remedy) from None
    except ValidationError as error:
        wrong = error.errors()[0]
        reason = f"argument '{wrong['loc'][0]}': {wrong['msg']}"
    except (ArithmeticError, LookupError, ValueError) as error:
        reason = str(error)
    raise UnblindError(f"contradiction '{name}', check '{check}': {reason}", remedy)
