"""What is wrong with a configuration, in words of its files."""

import reprlib
from typing import Any, get_args, get_origin

from unblind.config.kinds import Section
from unblind.errors import near

#: Values in messages are cut short: a few lines of YAML can stand for gigabytes.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 2


def problem(detail: Any, model: type[Section]) -> str:
    """Return what pydantic found, in one line that names the key.

    Args:
        detail: one of the errors of a `pydantic.ValidationError`.
        model: what was checked; its keys are suggested for one that is unknown.
    """
    key = ".".join(str(name) for name in detail["loc"])
    if detail["type"] == "extra_forbidden":
        keys = _keys_at(model, detail["loc"][:-1])
        return f"unknown key '{key}'{near(str(detail['loc'][-1]), keys)}"
    if detail["type"] == "missing":
        return f"missing key '{key}'"
    message = detail["msg"].removeprefix("Value error, ")
    got = "" if isinstance(detail["input"], dict) else f" (got {_SHORT.repr(detail['input'])})"
    return f"'{key}': {message}{got}" if key else message


def _keys_at(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Return the keys that the section at ``location`` of ``model`` knows."""
    for part in location:
        model = _section(model, part)
    return [field.alias or name for name, field in model.model_fields.items()]


def _section(model: Any, part: Any) -> Any:
    if get_origin(model) in (list, dict):
        return get_args(model)[-1]  # an element, or a value by name
    field = model.model_fields.get(part)
    if field is None:
        return model
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    return kinds[0] if type(None) in get_args(field.annotation) else field.annotation
