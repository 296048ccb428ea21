"""The paper's own numbers, read from ``paper/claims.yaml``."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unblind.errors import UnblindError

PAPER = Path(__file__).resolve().parents[3] / "paper"


class PublishedRow(BaseModel):
    """One printed row.

    Attributes:
        label: the row's name in the paper.
        cells: by column heading, value and printed spread, both fractions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    cells: dict[str, tuple[float, float]]


class PublishedTable(BaseModel):
    """One printed table.

    Attributes:
        location: its place in the paper.
        spread_kind: what the printed +- is.
        n: episodes behind a cell.
        rows: by method.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str
    spread_kind: Literal["unknown", "sd", "se"]
    n: int | Literal["unknown"]
    rows: dict[str, PublishedRow]


class Claims(BaseModel):
    """All published numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table1: PublishedTable = Field(description="Success rates by condition.")


def load_claims(path: Path | str = PAPER / "claims.yaml") -> Claims:
    """Load and check the published numbers.

    Raises:
        UnblindError: the file is missing or malformed.
    """
    try:
        return Claims.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise UnblindError(
            f"cannot read the published numbers {path}: {error.strerror}",
            "run from a checkout of this repository",
        ) from None
    except (yaml.YAMLError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise UnblindError(f"bad published numbers {path}: {reason}", "restore the file") from None
