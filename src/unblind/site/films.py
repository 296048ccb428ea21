"""Films of episodes beside what tells of them: ``results/films/NAME.mp4`` and ``NAME.json``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from unblind.audit.records import Problem
from unblind.report.summary import COLUMN_OF
from unblind.site.records import is_inside

FOLDER = "films"


class _Told(BaseModel):
    """A part of what is told of a film; further keys do not matter."""

    model_config = ConfigDict(strict=True, frozen=True)


class Shown(_Told):
    """A run in a film."""

    run: str
    label: str
    seed: int
    success: bool


class Told(_Told):
    """What a film shows; ``episode_id`` may be a number or a text: JSON's numbers lose 64 bits."""

    condition: str
    episode_id: int | str
    instruction: str
    runs: tuple[Shown, ...]
    attention: bool

    @property
    def column(self) -> str:
        """The condition's name in Table 1."""
        return COLUMN_OF.get(self.condition, self.condition)


@dataclass(frozen=True)
class Film:
    """A film.

    Attributes:
        path: of the video.
        told: what it shows.
    """

    path: Path
    told: Told

    @property
    def said(self) -> str:
        """Who succeeds, in words."""
        ends = (f"{one.label} {'succeeds' if one.success else 'fails'}" for one in self.told.runs)
        return ", ".join(ends)


def read(results: Path) -> tuple[Sequence[Film], Sequence[Problem]]:
    """Return the films of a study by name, and what is wrong with others.

    Args:
        results: of the study.
    """
    films, problems = [], []
    folder = results / FOLDER
    for path in sorted(folder.glob("*.mp4")):
        if not is_inside(path, results):
            problems.append(Problem(path.as_posix(), "leads out of the results"))
            continue
        try:
            # JSON has no tuples: strictness is about text, numbers and truth.
            text = path.with_suffix(".json").read_text(encoding="utf-8")
            films.append(Film(path, Told.model_validate_json(text)))
        except FileNotFoundError:
            problems.append(Problem(path.as_posix(), "nothing tells what it shows: no .json"))
        except (OSError, ValueError) as error:
            problems.append(Problem(path.with_suffix(".json").as_posix(), _why(error)))
    for path in sorted(folder.glob("*.json")):
        if not path.name.endswith(".meta.json") and not path.with_suffix(".mp4").is_file():
            problems.append(Problem(path.as_posix(), "its film is not there"))
    return films, problems


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "is no JSON"
    return str(error)
