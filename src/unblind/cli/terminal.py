"""How the command line meets a terminal: encodings, interrupts, readers that go, full disks."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

from unblind.errors import UnblindError, print_notes

#: Exit codes as a shell has them: the keyboard's interrupt (SIGINT), no reader left (SIGPIPE).
INTERRUPTED, UNREAD = 130, 141


def run(app: Callable[[], object]) -> None:
    """Run the command line and end the process with its exit code.

    Whatever a command prints, it ends with an exit code and never with a traceback: for characters
    that the terminal lacks, a reader that has gone, a full disk behind ``>``.
    """
    streams = _printable("stdout"), _printable("stderr")
    print_notes()
    try:
        code = _call(app, sys.argv[1:])
        for stream in streams:
            stream.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
            raise
        code = UNREAD if error.errno == errno.EPIPE else 1
        with contextlib.suppress(OSError):
            if code == 1:
                print("error: disk full (free space, then run the same command)", file=sys.stderr)
    # Typer replaces it when it cannot be written to; colorama, which comes with DVC, always.
    if type(sys.stdout).__name__ == "PacifyFlushWrapper":
        code = UNREAD
    for stream in streams:
        _let_go(stream)
    sys.exit(code)


def _printable(name: str) -> TextIO:
    """Return a stream of this process, which from now on takes every character."""
    stream = getattr(sys, name)
    if stream is None:  # closed by the shell: ``>&-``
        stream = open(os.devnull, "w", encoding="utf-8")
        setattr(sys, name, stream)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _let_go(stream: TextIO) -> None:
    """Forget what cannot be printed: the interpreter would fail with it once more as it ends."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _call(app: Callable[[], object], words: list[str]) -> int | str | None:
    """Run a command; return its exit code."""
    try:
        _check_encoding(words)
        app()
    except UnblindError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except SystemExit as end:
        return end.code
    return 0


def _check_encoding(words: list[str]) -> None:
    """Refuse arguments that are no text: no file or setting can be named by them.

    Raises:
        SystemExit: one of them has bytes that the encoding of arguments does not know.
    """
    encoding = sys.getfilesystemencoding()
    remedy = "rename the file, or type it again"
    if encoding != "utf-8":
        remedy = "set a locale with UTF-8, for instance LC_ALL=C.UTF-8"
    for number, word in enumerate(words, 1):
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = ascii(os.fsencode(word)).removeprefix("b")
            cause = f"argument {number} is not valid {encoding.upper()}: {shown}"
            print(f"error: {cause} ({remedy})", file=sys.stderr)
            raise SystemExit(2) from None
