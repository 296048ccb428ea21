"""Tables 9 and 14: our hyper-parameters next to the published ones, from the configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.files import write_text
from unblind.report.published import PAPER
from unblind.report.render import render
from unblind.study import provenance
from unblind.study.stages import STAGES

SOURCE = PAPER / "hyperparameters.yaml"
_KINDS = ("md", "tex")
#: A checkout's file has a few kilobytes.
_MOST_BYTES = 200_000

Table = Literal["9", "14"]
Value = bool | int | float | str | list[int] | None


class Published(BaseModel):
    """One published setting.

    Attributes:
        name: the setting.
        published: its value, as printed.
        means: the same in the words of our configuration; None: as printed.
        key: dotted key of our configuration.
        fixed: what our code always does, where no key decides.
        why: why ours differs, or what a row without key and fixed value waits for.
        location: where the value is published; None: in the table itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    published: Value
    means: Any = None
    key: str | None = None
    fixed: Value = None
    why: str | None = None
    location: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.key is not None and self.fixed is not None:
            raise ValueError(f"'{self.name}' has both a key and a fixed value")
        if self.key is None and self.fixed is None and self.why is None:
            raise ValueError(f"'{self.name}' has no key, no fixed value, and does not say why")
        return self


class PublishedSettings(BaseModel):
    """A published table of settings.

    Attributes:
        title: what is set.
        location: its place in the paper.
        section: section of our configuration that holds these settings, maybe not there yet.
        rows: the settings in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: str
    location: str
    section: str
    rows: list[Published] = Field(min_length=1)


@dataclass(frozen=True)
class Line:
    """One setting, published and ours.

    Attributes:
        name: the setting.
        published: the published value.
        ours: our value, or 'not run yet'.
        state: how they compare.
        origin: our key, or that the code decides.
        location: where the value is published.
        note: why ours differs or is missing; empty if there is nothing to say.
    """

    name: str
    published: str
    ours: str
    state: Literal["same", "differs", "not run yet"]
    origin: str
    location: str
    note: str


def load_settings(path: Path = SOURCE) -> Mapping[Table, PublishedSettings]:
    """Load and check the published settings.

    Raises:
        UnblindError: the file is missing, too large or malformed.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UnblindError(f"{path} is too large", "restore the file")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(dict[Table, PublishedSettings]).validate_python(document)
    except OSError as error:
        cause = f"cannot read the published settings {path}: {error.strerror}"
        raise UnblindError(cause, "run from a checkout of this repository") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise UnblindError(f"bad published settings {path}: {reason}", "restore the file") from None


def lines(config: Config, table: PublishedSettings) -> list[Line]:
    """Return our settings next to a table's.

    Raises:
        UnblindError: a row names a key that the configuration does not have.
    """
    configured = config.model_dump(mode="json")
    return [_line(row, table, configured) for row in table.rows]


def _line(row: Published, table: PublishedSettings, configured: Mapping[str, Any]) -> Line:
    target = row.published if row.means is None else row.means
    location, published = row.location or table.location, _text(row.published)
    missing = table.section not in configured
    if missing or (row.key is None and row.fixed is None):
        note = f"The configuration has no section '{table.section}' yet." if missing else row.why
        return Line(row.name, published, "not run yet", "not run yet", "-", location, note or "")
    key, reworded = row.key, row.means is not None
    ours = row.fixed if key is None else _value(configured, key, table)
    origin = "fixed in the code" if key is None else key
    if _same(ours, target):
        text = published if reworded else _text(ours)
        return Line(row.name, published, text, "same", origin, location, "")
    note = row.why or "Chosen in this configuration."
    return Line(row.name, published, _text(ours), "differs", origin, location, note)


def _same(ours: Any, target: Any) -> bool:
    """Compare values; True is not 1."""
    return isinstance(ours, bool) == isinstance(target, bool) and ours == target


def _value(configured: Mapping[str, Any], key: str, table: PublishedSettings) -> Any:
    value: Any = configured
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise UnblindError(
                f"{table.location}: the configuration has no key '{key}'",
                f"fix the row in {SOURCE.name}",
            )
        value = value[name]
    return value


def _text(value: Any) -> str:
    """Return a value as it is printed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    if value is None:
        return "none"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def settings(config: Config, table: PublishedSettings) -> dict[str, Any]:
    """Return the plain values that a table depends on besides its input files."""
    configured = config.model_dump(mode="json")
    keys = [row.key for row in table.rows if row.key and table.section in configured]
    return {"scale": config.scale, **{key: _value(configured, key, table) for key in keys}}


def hyperparameters(config: Config, number: Table, out: Path) -> list[Path]:
    """Write a table as ``out`` + ``.md`` and ``.tex``, each with its sidecar.

    Args:
        config: our settings.
        number: of the table in the paper.
        out: output path without suffix.

    Raises:
        UnblindError: see `load_settings` and `lines`. Nothing is written then.
    """
    table = load_settings()[number]
    context = {"config": config, "number": number, "table": table, "lines": lines(config, table)}
    texts = {kind: render(f"hyperparameters.{kind}.j2", context) for kind in _KINDS}
    return list(_written(texts, out, settings(config, table)))


def _written(texts: Mapping[str, str], out: Path, shown: Any) -> Iterator[Path]:
    inputs = [SOURCE, *(PAPER / "templates" / f"hyperparameters.{kind}.j2" for kind in _KINDS)]
    for kind, text in texts.items():
        path = Path(f"{out}.{kind}")
        with provenance.record(path, config=shown, code=STAGES["table1"].modules, inputs=inputs):
            write_text(path, text)
        yield path
