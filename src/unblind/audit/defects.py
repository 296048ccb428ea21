"""The ledger of the release's defects (``paper/defects.yaml``) and its executable checks."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from unblind.audit import defect_checks_environments as environments
from unblind.audit import defect_checks_evaluation as evaluation
from unblind.audit import defect_checks_training as training
from unblind.audit.defect_outcome import Check
from unblind.errors import UnblindError
from unblind.report.published import PAPER, SafeLoader

#: Functions that compute released and corrected behaviour, by name.
CHECKS: dict[str, Check] = environments.CHECKS | training.CHECKS | evaluation.CHECKS

Area = Literal[
    "environments", "vl-think", "demonstrations", "training", "evaluation", "analysis", "packaging"
]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(min_length=1)]


class Defect(BaseModel):
    """One defect.

    Attributes:
        id: short name.
        title: one line.
        where: released file and lines, or place in the paper.
        area: part of the release.
        released: what the release does.
        corrected: what this study does.
        consequence: what it means for published numbers.
        check: name in ``CHECKS``, or None.
        why_not: why there is no check, or None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Slug
    title: Text
    where: Text
    area: Area
    released: Text
    corrected: Text
    consequence: Text
    check: Text | None = None
    why_not: Text | None = None

    @model_validator(mode="after")
    def _either_check_or_reason(self) -> "Defect":
        if (self.check is None) == (self.why_not is None):
            raise ValueError(f"{self.id}: give either a check or why_not")
        if self.check is not None and self.check not in CHECKS:
            raise ValueError(f"{self.id}: no check called '{self.check}'")
        return self


class DefectResult(NamedTuple):
    """What the check of a defect has computed.

    Attributes:
        defect: with a check.
        released_value: what the released rule does.
        corrected_value: what the fixed rule does with the same input.
        shown: whether the numbers show the defect and that the fixed rule is free of it.
    """

    defect: Defect
    released_value: str
    corrected_value: str
    shown: bool


def ledger(path: Path | str = PAPER / "defects.yaml") -> list[Defect]:
    """Return all defects, in the order of the file.

    Raises:
        UnblindError: the file is missing or malformed, or an id or a check is given twice.
    """
    try:
        document = yaml.load(Path(path).read_text(encoding="utf-8"), SafeLoader)  # noqa: S506
        defects = TypeAdapter(list[Defect]).validate_python(document)
    except OSError as error:
        raise UnblindError(
            f"cannot read the defects {path}: {error.strerror}",
            "run from a checkout of this repository",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise UnblindError(f"bad defects {path}: {reason}", "restore the file") from None
    names = Counter(name for defect in defects for name in (defect.id, defect.check) if name)
    twice = sorted(name for name, times in names.items() if times > 1)
    if twice:
        raise UnblindError(f"bad defects {path}: twice {', '.join(twice)}", "restore the file")
    return defects


def run_checks(defects: Iterable[Defect]) -> list[DefectResult]:
    """Return what the executable defects show, in their order.

    The checks take one or two CPU-seconds together and start neither simulator nor renderer.
    """
    return [DefectResult(d, *CHECKS[d.check]()) for d in defects if d.check is not None]
