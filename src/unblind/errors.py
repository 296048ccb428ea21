"""Messages to users: errors that end a command, and notes that do not."""

import difflib
import sys
import warnings
from collections.abc import Iterable
from typing import Any


class UnblindError(Exception):
    """A problem the user can act on: names the cause and the remedy.

    The command line prints it as one line and exits with code 1; no traceback is shown.
    """

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause, self.remedy = cause, remedy
        super().__init__(f"{cause} ({remedy})" if remedy else cause)


def near(word: str, known: Iterable[str]) -> str:
    """Return ", did you mean ...?" with up to three known words like ``word``, or nothing."""
    match = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f", did you mean {' or '.join(repr(m) for m in match)}?" if match else ""


def shortened(text: str, width: int) -> str:
    """Return a text, or its beginning and three points where it is longer than ``width``."""
    return text if len(text) <= width else text[: width - 3] + "..."


class Note(UserWarning):
    """Something the user may not expect, although the result is what was asked for."""


def note(text: str) -> None:
    """Tell the user something; the command line prints it as one line, ``note: ...``."""
    warnings.warn(text, Note, stacklevel=2)


def print_notes() -> None:
    """Print each note as one line on standard error; other warnings stay as they are."""
    shown = warnings.showwarning

    def show(message: Any, category: type[Warning], *location: Any, **options: Any) -> None:
        if issubclass(category, Note):
            print(f"note: {message}", file=sys.stderr)
        else:
            shown(message, category, *location, **options)

    warnings.showwarning = show
