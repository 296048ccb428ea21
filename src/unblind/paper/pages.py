"""Pages and figures of a study that the report takes over as they stand in the results."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from unblind.config import Config
from unblind.custody import artifacts, changes, sidecars
from unblind.custody.sidecars import Sidecar
from unblind.errors import UnblindError

#: Tables of the paper of which the study has a page for TeX, by the paper's number.
TABLES = tuple(map(str, range(1, 15)))
NOT_RUN = "not run"


@dataclass(frozen=True)
class Page:
    """A file of the results that the report shows.

    Attributes:
        name: of the file.
        path: where it lies; None if it is not shown.
        why: why it is not shown: `NOT_RUN`, or what is wrong with it; else ''.
    """

    name: str
    path: Path | None
    why: str = ""


def find(config: Config, paper: Path, names: Iterable[str]) -> dict[str, Page]:
    """Return files of the results by name, those alone that are what the study asks for now.

    A file that was altered, or was made with other settings or from files that have changed since,
    is left out: its numbers would not be those of the records.

    Args:
        config: the study.
        paper: configuration of the published sizes, which the page of costs shows.
        names: of files directly in the results.
    """
    listed = artifacts.study(config, paper)
    settings = {one.path: one.origin.config for one in listed if one.origin}
    now = changes.Now()
    found = {}
    for name in names:
        path = Path(config.results, name)
        why = _why_not(path, settings.get(path), now) if path.is_file() else NOT_RUN
        found[name] = Page(name, None if why else path, why)
    return found


def _why_not(path: Path, settings: object, now: changes.Now) -> str:
    """Return why a file must not be shown; '' if it may be."""
    try:
        sidecar = sidecars.load(path)
        if now.sha256(path) != sidecar.sha256:
            return "left out: its content differs from its sidecar"
        changed = [] if settings is None else [*changes.settings(sidecar, settings)]
        changed += [f"input changed: {name}" for name in _changed(sidecar, now)]
    except UnblindError as error:
        return f"left out: {error.cause}"
    except OSError as error:
        return f"left out: it cannot be read ({error.strerror})"
    return f"left out: {changes.some(changed)}" if changed else ""


def _changed(sidecar: Sidecar, now: changes.Now) -> list[str]:
    """Return inputs that are here but have changed since; an absent one says nothing."""
    here = {name: checksum for name, checksum in sidecar.inputs.items() if Path(name).is_file()}
    return [name for name, checksum in here.items() if now.sha256(Path(name)) != checksum]
