"""Results kept by DVC: small pointer files in git, contents in a store.

Snakemake owns the graph; DVC only stores. The default store is the folder ``dvcstore`` of the
repository itself, so that a clone is complete without a network; another one can be chosen
(docs/storage.md). A pointer ``X.dvc`` lies beside the file or folder ``X`` and names its content by
MD5, as DVC does. What ``.dvcignore`` names is no part of a folder's content.

Paths are relative to the working folder, which is the root of the repository. Everything here
works without ``PATH``, and with the default store offline; nothing is reported to anybody.
"""

import configparser
import contextlib
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pathspec
import yaml

from unblind.config import Config
from unblind.errors import UnblindError

STORE = Path("dvcstore")
_REMOTE = "embedded"  # the store's name in .dvc/config
_ELSEWHERE = "docs/storage.md"
#: What DVC says of another store, and what helps.
_REMEDIES = {
    "Unable to locate credentials": "put credentials into the environment or .dvc/config.local",
    "Could not connect to the endpoint": "start the server, or check the remote's endpointurl",
    "bucket does not exist": "make the bucket, or check the remote's url",
}

#: What DVC, the system and its database say of a full disk.
_FULL = ("No space left", "disk is full")

#: What is published, each folder with its pointer beside it.
RESULTS = Path("results")

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
    names = {path.relative_to(target).as_posix(): md5(path) for path in content(target)}
    entries = [{"md5": names[name], "relpath": name} for name in sorted(names)]
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def content(folder: Path | str) -> list[Path]:
    """Return the files of a folder that are stored, sorted: all but those in ``.dvcignore``."""
    ignored, here = _ignored(), Path.cwd()
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return [path for path in files if not ignored.match_file(os.path.relpath(path, here))]


def _ignored() -> pathspec.GitIgnoreSpec:
    place = Path(".dvcignore")
    lines = place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
    return pathspec.GitIgnoreSpec.from_lines(lines)


def pointers() -> list[Path]:
    """Return what the checkout has pointers to, sorted."""
    return sorted(path.with_suffix("") for path in RESULTS.glob("*.dvc"))


def is_whole(target: Path | str) -> bool:
    """Tell whether ``target`` has exactly the content that its pointer names.

    Raises:
        UnblindError: the pointer is missing or unreadable.
    """
    return Path(target).exists() and md5(target) == read_pointer(target).md5


def add(*targets: Path | str) -> None:
    """Write the pointers to ``targets`` as they are now.

    Raises:
        UnblindError: DVC is absent or refuses.
    """
    _dvc("add", *map(str, targets))


def push(*targets: Path | str, remote: str | None = _REMOTE) -> None:
    """Copy the contents that the pointers to ``targets`` name into a store.

    Args:
        targets: files or folders.
        remote: the store's name; None: the checkout's default.

    Raises:
        UnblindError: DVC is absent or refuses, or the store cannot be reached.
    """
    chosen = ["--remote", remote] if remote else []
    _dvc("push", *chosen, *(str(pointer_path(target)) for target in targets))


def prune() -> None:
    """Remove from the embedded store what no pointer of the checkout names any more.

    Raises:
        UnblindError: DVC is absent or refuses.
    """
    _dvc("gc", "--force", "--workspace", "--cloud", "--remote", _REMOTE)


@contextlib.contextmanager
def restored_on_failure(*paths: Path | str) -> Iterator[None]:
    """Give these files and the embedded store back as they were if the block fails.

    Contents that the block has pruned are not brought back.
    """
    blobs = _blobs()
    before = {Path(p): Path(p).read_bytes() if Path(p).is_file() else None for p in paths}
    try:
        yield
    except BaseException:
        for path, data in before.items():
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(data)
        for blob in _blobs() - blobs:
            blob.unlink(missing_ok=True)
        raise


def _blobs() -> set[Path]:
    return {path for path in STORE.rglob("*") if path.is_file()}


def is_embedded() -> bool:
    """Tell whether the checkout's default store is the embedded one."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read([".dvc/config", ".dvc/config.local"], encoding="utf-8")
    return settings.get("core", "remote", fallback=_REMOTE) == _REMOTE


def pull(target: Path | str, remedy: str = "") -> bool:
    """Make ``target`` what its pointer says; return False if it is so already.

    Args:
        target: file or folder.
        remedy: how to come by it when it cannot be pulled.

    Raises:
        UnblindError: no pointer, DVC is absent, the store cannot be reached, lacks the content or
            holds a damaged copy, or ``target`` was changed by hand. ``target`` stays as it was.
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
        damage = _damage(pointer) if is_embedded() else None
        if damage is None:
            raise
        restore = f"restore it: git checkout -- {STORE}"
        raise UnblindError(damage, f"{restore}; or {remedy}" if remedy else restore) from None
    if not is_whole(target):
        raise UnblindError(
            f"{target} differs from its pointer after dvc pull: DVC's own copies are damaged",
            f"delete .dvc/cache and {target}, then run the same command again",
        )
    return True


def _blob(name: str) -> Path:
    """Return where the embedded store keeps the content with this hash."""
    return STORE / "files" / "md5" / name[:2] / name[2:]


def _damage(pointer: Pointer) -> str | None:
    """Return what is wrong with a content's copy in the embedded store, None if it is whole."""
    wanted = [pointer.md5]
    for name in wanted:
        blob = _blob(name)
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
        lines = [
            line.strip() for line in done.stderr.splitlines() if "Having any troubles?" not in line
        ]
        reason = " ".join(line.removeprefix("ERROR: ") for line in lines if line)
        reason = reason or "no reason given"
        if any(said in reason for said in _FULL):
            cause = f"disk full while dvc {words[0]} worked: {reason}"
            raise UnblindError(cause, "free space, then run the same command")
        known = [remedy for said, remedy in _REMEDIES.items() if said in reason]
        remedy = f"{known[0]}: see {_ELSEWHERE}" if known else "see: python -m dvc doctor"
        raise UnblindError(f"dvc {words[0]} failed: {reason}", remedy)
