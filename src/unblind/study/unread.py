"""Values in a configuration file that nothing in its study reads: they would mislead a reader."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unblind.config import Config
from unblind.config.files import layers, stated_keys
from unblind.errors import UnblindError
from unblind.study.stages import STAGES

#: Sizes of a published model, which the page of costs and claims about them read.
_ALWAYS = ("base.model",)


def check(path: Path, config: Config) -> None:
    """Refuse a file that states what no stage of its study reads.

    A file that extends no other must say everything and is not looked at.

    Args:
        path: the configuration file.
        config: what it says, with all that it extends.

    Raises:
        UnblindError: such keys are there; up to three are named.
    """
    if len(layers(path)) == 1:
        return
    # Whether a base is pulled or made is often decided on the command line.
    study = config.model_copy(update={"rebuild_base": True})
    exists = {name: stage.when(study) for name, stage in STAGES.items()}
    known = {key for name in STAGES for key in _keys(STAGES[name].settings)}
    looked_at = {key for name in STAGES if exists[name] for key in _keys(STAGES[name].settings)}
    unread = [
        key
        for key in stated_keys(path)
        if _below(key, known) and not _below(key, (*looked_at, *_ALWAYS))
    ]
    if unread:
        base = config.base.source or "made here"
        raise UnblindError(
            f"{path} states {', '.join(unread[:3])}, which nothing reads where the base is {base}",
            "remove the key, or change base.source",
        )


def _keys(selection: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys that a stage's settings select (`Stage.settings`)."""
    if isinstance(selection, Mapping):
        for name, below in selection.items():
            if below is True:
                yield f"{prefix}{name}"
            else:
                yield from _keys(below, f"{prefix}{name}.")
    elif isinstance(selection, set):
        yield from (f"{prefix}{name}" for name in sorted(selection))


def _below(key: str, sections: Iterable[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)
