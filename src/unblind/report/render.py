"""Filling the templates of ``paper/templates``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2

from unblind.errors import UnblindError
from unblind.report.published import PAPER

_TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def tex(value: object) -> str:
    """Return text in which every character that TeX reads as a command is spelled out."""
    return "".join(_TEX.get(sign, sign) for sign in str(value))


def markdown(value: object) -> str:
    """Return text that stays inside its Markdown table cell and is printed as it is."""
    text = " ".join(str(value).split())
    return "".join(f"\\{sign}" if sign in "\\|*_`<>" else sign for sign in text)


def render(
    template: str,
    context: dict[str, Any],
    folder: Path = PAPER / "templates",
    filters: Mapping[str, Callable[..., str]] = MappingProxyType({}),
) -> str:
    """Fill a template; an undefined name in it is an error, and so is a missing file.

    Args:
        template: its name.
        context: what it may name.
        folder: of templates.
        filters: further ones, by name.

    Raises:
        UnblindError: the template is missing or broken.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  (no HTML: the filters below escape for each format)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"tex": tex, "md": markdown, "percent": percent, "signed": signed}
    environment.filters |= filters
    try:
        return environment.get_template(template).render(context)
    except jinja2.TemplateNotFound as error:
        raise UnblindError(
            f"the template {folder / str(error.name)} is missing", "restore it from the repository"
        ) from None
    except jinja2.TemplateError as error:
        raise UnblindError(f"the template {template} is broken: {error}", "fix it") from None


def percent(fraction: float, digits: int = 0) -> str:
    """Return a fraction in percent without the sign."""
    return f"{100 * fraction:.{digits}f}"


def signed(fraction: float, digits: int = 1) -> str:
    """Return a difference of fractions in percentage points, with its sign; no minus zero."""
    return f"{round(100 * fraction, digits) + 0.0:+.{digits}f}"
