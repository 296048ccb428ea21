"""DVC as a program: running it, and what it complains of in one line.

Of a store that lacks files DVC says a line for each of them, and neither the store's name nor its
address. All that it said goes to `LOG`; what users read is short and holds no credentials.
"""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from unblind.errors import UnblindError, shortened
from unblind.files import write_text

#: All that DVC said when it last failed; below .dvc/tmp, which git ignores.
LOG = Path(".dvc/tmp/unblind-dvc.log")
ELSEWHERE = "docs/storage.md"
#: Characters shown of what DVC said.
_WIDTH = 300
#: What DVC says of another store, and what helps.
_REMEDIES = {
    "Unable to locate credentials": "put credentials into the environment or .dvc/config.local",
    "Could not connect to the endpoint": "start the server, or check the remote's endpointurl",
    "bucket does not exist": "make the bucket, or check the remote's url",
}
#: What DVC, the system and its database say of a full disk.
_FULL = ("No space left", "disk is full")
_FAILED = "failed to transfer"
#: How stores of several kinds say that a file is not there; one on the web gives its address alone.
_ABSENT = re.compile(
    rf"{_FAILED} '(\w+)' - (?:https?://\S+$"
    r"|.*(?:\[Errno 2\]|[Nn]o such|NoSuchKey|[Nn]ot [Ff]ound|(?:key|blob) does not exist))"
)
_LISTED = re.compile(r"\bmd5: (\w+(?:\.dir)?)$")
_ADDRESS = re.compile(r"(\b[A-Za-z][\w+.-]*://)([^\s'\"<>]+)")


class DvcError(UnblindError):
    """DVC has failed.

    Attributes:
        lines: all that it said, without credentials.
    """

    def __init__(self, cause: str, remedy: str, lines: list[str]) -> None:
        super().__init__(cause, remedy)
        self.lines = lines


def run(*words: str) -> None:
    """Run DVC in the Python that runs this.

    Raises:
        DvcError: it has failed, or has not found all that it should transfer.
        UnblindError: it is not installed.
    """
    if importlib.util.find_spec("dvc") is None:
        raise UnblindError("DVC is not installed", "run: make setup")
    # DVC's index of what it has seen belongs to the checkout, not to the machine.
    site = {"DVC_SITE_CACHE_DIR": str(Path(".dvc", "tmp", "site").absolute())}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        env=os.environ | site | {"DVC_NO_ANALYTICS": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
    )
    lines = _lines(done.stderr)
    # Of contents that are nowhere these two only warn.
    if done.returncode != 0 or (words[0] in ("fetch", "push") and missing(lines)):
        raise _error(words[0], lines)


def missing(lines: Iterable[str]) -> set[str]:
    """Return the hashes of the contents that DVC could not find."""
    matches = [_ABSENT.match(line) or _LISTED.search(line) for line in lines]
    return {match[1] for match in matches if match}


def remote(name: str = "") -> tuple[str, str]:
    """Return name and address of a store, as far as DVC's settings tell them.

    Args:
        name: the store's; default: the checkout's default store.
    """
    from dvc.config import Config
    from dvc.exceptions import DvcException

    with contextlib.suppress(DvcException):
        settings = Config(".dvc")
        name = name or settings["core"].get("remote", "")
        return name, public(str(settings["remote"].get(name, {}).get("url", "no address")))
    return name, "no address"


def public(text: str) -> str:
    """Return text whose addresses have no user, password, query or fragment any more."""
    return _ADDRESS.sub(lambda match: match[1] + _without_credentials(match[2]), text)


def log(lines: Iterable[str]) -> str:
    """Write all that DVC said into `LOG`; return words that point there, for a remedy."""
    if not LOG.parent.parent.is_dir():
        return ""
    try:
        write_text(LOG, "\n".join([*lines, ""]))
    except UnblindError:  # a full or read-only disk: there is another error to tell of
        return ""
    return f"; all that DVC said: {LOG}"


def _without_credentials(address: str) -> str:
    """Return an address, less its scheme, without user, password, query and fragment."""
    user = re.match(r"[^/]*@", address)
    if user:
        address = address[user.end() :]
    elif re.match(r"[^/:]*:(?!\d*(?:/|$))", address):  # a password with a slash: no port is so
        address = address.rpartition("@")[2]
    return re.split("[?#]", address, maxsplit=1)[0]


def _lines(text: str) -> list[str]:
    """Return what DVC said, line by line, without its marks, its advertising and credentials."""
    lines = [line.strip().removeprefix("ERROR: ") for line in text.splitlines()]
    return [public(line) for line in lines if line and "Having any troubles?" not in line]


def _error(verb: str, lines: list[str]) -> DvcError:
    """Return what to tell of a call that has failed."""
    text, reason = " ".join(lines), _short(lines)
    more = log(lines) if reason != text else ""
    reason = reason or "no reason given"
    if any(said in text for said in _FULL):
        cause = f"disk full while dvc {verb} worked: {reason}"
        return DvcError(cause, f"free space, then run the same command{more}", lines)
    known = [remedy for said, remedy in _REMEDIES.items() if said in text]
    remedy = f"{known[0]}: see {ELSEWHERE}" if known else "see: python -m dvc doctor"
    return DvcError(f"dvc {verb} failed: {reason}", f"{remedy}{more}", lines)


def _short(lines: list[str]) -> str:
    """Return what DVC said in one line; of similar failures only the first is named."""
    first, *alike = [line for line in lines if line.startswith(_FAILED)] or [""]
    told = [line for line in lines if line not in alike]
    if alike:
        told[told.index(first)] += f" (and {len(alike)} more)"
    text = " ".join(told)
    return shortened(text, _WIDTH)
