"""Running TeX: in a folder of its own, without a shell, with the same bytes for the same inputs."""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from unblind.errors import UnblindError

PROGRAM = "pdflatex"
#: How far a box may stick out of the text, in TeX's points.
MOST_OVERFULL = 5.0
#: References and page numbers settle in the second run; a table's widths may need a third.
_RUNS, _SECONDS = 4, 180
_NAME = "main"
_REMEDY = "mend the template of the report, paper/main.tex.j2 or paper/templates/paper"
_OVERFULL = re.compile(r"Overfull \\[hv]box \(([\d.]+)pt too (?:wide|high)\)[^\n]*")
_AGAIN = re.compile(r"Rerun to get|There were undefined references|Rerun LaTeX")
#: Lines shown after the line of an error: where it is, and what stands there.
_LINES_SHOWN = 4
#: Lines that TeX's log breaks are this long.
_LOG_WIDTH = 10_000


def is_there() -> bool:
    """Tell whether TeX is installed."""
    return shutil.which(PROGRAM) is not None


def compile_pdf(source: str, files: Mapping[str, Path], epoch: int) -> bytes:
    """Return a document as PDF. The same arguments give the same bytes.

    TeX may start no other program, reads no file outside of its folder and its own installation
    by an absolute path, and writes none.

    Args:
        source: of the document.
        files: further files by the name that the document calls them.
        epoch: the document's time, in seconds since 1970.

    Raises:
        UnblindError: there is no TeX, it finds an error or does not end, or a box sticks out of the
            text by more than `MOST_OVERFULL` points.
    """
    if not is_there():
        raise UnblindError(f"no TeX: {PROGRAM} is not installed", "run, as root: sh scripts/tex.sh")
    with tempfile.TemporaryDirectory(prefix="unblind-tex-") as name:
        folder = Path(name)
        (folder / f"{_NAME}.tex").write_text(source, encoding="utf-8")
        for called, path in files.items():
            shutil.copyfile(path, folder / called)
        log = _run_until_settled(folder, epoch)
        if sticking_out := next(overfull(log), None):
            raise UnblindError(f"the report does not fit its page: {sticking_out}", _REMEDY)
        return (folder / f"{_NAME}.pdf").read_bytes()


def overfull(log: str, most: float = MOST_OVERFULL) -> Iterator[str]:
    """Yield the boxes of a log that stick out by more than ``most`` points, with what is in them.

    Args:
        log: of TeX, its lines not broken.
        most: points.
    """
    lines = log.splitlines()
    for number, line in enumerate(lines):
        found = _OVERFULL.search(line)
        if found and float(found[1]) > most:
            content = lines[number + 1].strip() if number + 1 < len(lines) else ""
            yield f"{found[0]}: {content}" if content else found[0]


def first_error(log: str) -> str:
    """Return the first error of a log with the lines that say where it is, in one line."""
    lines = log.splitlines()
    at = next((n for n, line in enumerate(lines) if line.startswith("!")), None)
    if at is None:
        return "TeX stopped without naming an error"
    after = itertools.takewhile(
        lambda line: not line.startswith("!"), lines[at + 1 : at + 1 + _LINES_SHOWN]
    )
    return " / ".join(line.strip() for line in (lines[at], *after) if line.strip())


def _run_until_settled(folder: Path, epoch: int) -> str:
    """Run TeX until its references stand, and return the last log."""
    log = ""
    for number in range(_RUNS):
        log = _run(folder, epoch)
        if number > 0 and not _AGAIN.search(log):  # the first knows no references yet
            break
    return log


def _run(folder: Path, epoch: int) -> str:
    command = [PROGRAM, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", _NAME]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(folder, epoch),
            capture_output=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise UnblindError(f"{PROGRAM} did not end within {_SECONDS} s", _REMEDY) from None
    except OSError as error:
        raise UnblindError(f"cannot run {PROGRAM}: {error.strerror}", "install TeX anew") from None
    log_file = folder / f"{_NAME}.log"
    if not log_file.is_file():
        told = " ".join(done.stdout.decode("utf-8", "replace").split())
        raise UnblindError(f"{PROGRAM} made no log: {told[-200:]}", "install TeX anew")
    log = log_file.read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        raise UnblindError(f"TeX: {first_error(log)}", _REMEDY)
    return log


def _environment(folder: Path, epoch: int) -> dict[str, str]:
    """Return the environment of TeX: no settings and no cache of the user's, a fixed time."""
    here = str(folder)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": here,
        "TEXMFHOME": here,
        "TEXMFVAR": here,
        "openout_any": "p",
        "openin_any": "p",
        "max_print_line": str(_LOG_WIDTH),
        "SOURCE_DATE_EPOCH": str(epoch),
        "FORCE_SOURCE_DATE": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }
