"""Results kept by DVC: small pointer files in git, contents in a store.

Snakemake owns the graph; DVC only stores. The default store is the folder ``dvcstore`` of the
repository itself, so that a clone is complete without a network. A pointer ``X.dvc`` lies beside
the file or folder ``X`` and names its content by MD5, as DVC does.

Paths are relative to the working folder, which is the root of the repository. Everything here
works offline and without ``PATH``; nothing is reported to anybody.
"""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from unblind.config import Config
from unblind.errors import UnblindError

STORE = Path("dvcstore")
_REMOTE = "embedded"  # the store's name in .dvc/config

#: Where the pulled base lies; beside it its pointer. It is an input of every study, whatever
#: folder the study's results go to.
PULLED_BASE = Path("results/base")
#: Files without which a folder is no base.
BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json", "statistics.json")


@dataclass(frozen=True)
class Pointer:
    """What a pointer file says.

    Attributes:
        md5: of a file's bytes; of a folder, the hash of its list of files, ending in ``.dir``.
        size: bytes of the content.
    """

    md5: str
    size: int


def base_dir(config: Config) -> Path:
    """Return the folder of the base model: the pulled one, or the one made here."""
    return Path(config.results, "rebuilt-base") if config.rebuild_base else PULLED_BASE


def pointer_path(target: Path | str) -> Path:
    """Return where the pointer to ``target`` lies."""
    target = Path(target)
    return target.with_name(target.name + ".dvc")


def read_pointer(target: Path | str, remedy: str = "") -> Pointer:
    """Return what the pointer to ``target`` says.

    Args:
        target: file or folder that the pointer stands for.
        remedy: what to do when there is no pointer.

    Raises:
        UnblindError: the pointer is missing or unreadable.
    """
    place = pointer_path(target)
    try:
        (out,) = yaml.safe_load(place.read_text(encoding="utf-8"))["outs"]
        return Pointer(str(out["md5"]), int(out["size"]))
    except FileNotFoundError:
        raise UnblindError(f"the pointer {place} is missing", remedy) from None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        raise UnblindError(
            f"the pointer {place} is unreadable", f"restore it: git checkout -- {place}"
        ) from None


def md5(target: Path | str) -> str:
    """Return the hash under which DVC stores a file or folder."""
    target = Path(target)
    if not target.is_dir():
        with open(target, "rb") as handle:
            return hashlib.file_digest(handle, "md5").hexdigest()
    files = sorted(path for path in target.rglob("*") if path.is_file())
    names = {path.relative_to(target).as_posix(): md5(path) for path in files}
    entries = [{"md5": names[name], "relpath": name} for name in sorted(names)]
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def is_whole(target: Path | str) -> bool:
    """Tell whether ``target`` has exactly the content that its pointer names.

    Raises:
        UnblindError: the pointer is missing or unreadable.
    """
    return Path(target).exists() and md5(target) == read_pointer(target).md5


def add(target: Path | str) -> None:
    """Write the pointer to ``target`` as it is now.

    Raises:
        UnblindError: DVC is absent or refuses.
    """
    _dvc("add", str(target))


def push(target: Path | str) -> None:
    """Copy the content that the pointer to ``target`` names into the embedded store.

    Raises:
        UnblindError: DVC is absent or refuses.
    """
    _dvc("push", "--remote", _REMOTE, str(pointer_path(target)))


def prune() -> None:
    """Remove from the embedded store what no pointer of the checkout names any more.

    Raises:
        UnblindError: DVC is absent or refuses.
    """
    _dvc("gc", "--force", "--workspace", "--cloud", "--remote", _REMOTE)


def pull(target: Path | str, remedy: str = "") -> bool:
    """Make ``target`` what its pointer says; return False if it is so already.

    Args:
        target: file or folder.
        remedy: how to come by it when it cannot be pulled.

    Raises:
        UnblindError: no pointer, DVC is absent, the store lacks the content or holds a damaged
            copy, or ``target`` was changed by hand. ``target`` stays as it was.
    """
    pointer = read_pointer(target, remedy)
    if is_whole(target):
        return False
    try:
        _dvc("pull", str(pointer_path(target)))
    except UnblindError as error:
        if "unsaved files" in error.cause:
            raise UnblindError(
                f"{target} was changed: it is not what {pointer_path(target)} names",
                f"move {target} away and run the same command again",
            ) from None
        damage = _damage(pointer)
        if damage is None:
            raise
        restore = f"restore it: git checkout -- {STORE}"
        raise UnblindError(damage, f"{restore}; or {remedy}" if remedy else restore) from None
    if not is_whole(target):
        raise UnblindError(f"{target} differs from its pointer after dvc pull", remedy)
    return True


def _damage(pointer: Pointer) -> str | None:
    """Return what is wrong with a content's copy in the embedded store, None if it is whole."""
    wanted = [pointer.md5]
    for name in wanted:
        blob = STORE / "files" / "md5" / name[:2] / name[2:]
        if not blob.is_file():
            return f"{blob} is missing"
        if md5(blob) != name.removesuffix(".dir"):
            return f"{blob} is corrupt: its checksum differs from its name"
        if name.endswith(".dir"):
            wanted += [entry["md5"] for entry in json.loads(blob.read_bytes())]
    return None


def _dvc(*words: str) -> None:
    """Run DVC in the Python that runs this; its errors become one line."""
    if importlib.util.find_spec("dvc") is None:
        raise UnblindError("DVC is not installed", "run: make setup")
    # DVC's index of what it has seen belongs to the checkout, not to the machine.
    site = Path(".dvc", "tmp", "site").absolute()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        env=os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(site)},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = " ".join(line.removeprefix("ERROR: ") for line in lines) or "no reason given"
        raise UnblindError(f"dvc {words[0]} failed: {reason}", "see: python -m dvc doctor")
