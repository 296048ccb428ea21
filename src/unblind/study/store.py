"""Results kept by DVC: small pointer files in git, contents in a store.

Snakemake owns the graph; DVC only stores. The default store is the folder ``dvcstore`` of the
repository itself, so that a clone is complete without a network; another one can be chosen
(docs/storage.md). A pointer ``X.dvc`` is next to the file or folder ``X`` and names its content by
MD5, as DVC does. What ``.dvcignore`` names is no part of a folder's content.

Paths are relative to the working folder, which is the root of the repository. Everything here
works without ``PATH``, and with the default store offline; nothing is reported to anybody.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pathspec
import yaml

from unblind.errors import UnblindError
from unblind.study import dvc

STORE = Path("dvcstore")
_REMOTE = "embedded"  # the store's name in .dvc/config
#: DVC's settings, without which nothing can be pulled or stored.
SETTINGS = Path(".dvc/config")

#: What is published, each folder with its pointer next to it.
RESULTS = Path("results")

#: Where the pulled base lies; its pointer is next to it. It is an input of every study, whatever
#: folder the study's results go to.
PULLED_BASE = Path("results/base")


@dataclass(frozen=True)
class Pointer:
    """What a pointer file says.

    Attributes:
        md5: of a file's bytes; of a folder, the hash of its list of files, ending in ``.dir``.
        size: bytes of the content.
        files: how many files it has.
    """

    md5: str
    size: int
    files: int


def pointer_path(target: Path | str) -> Path:
    """Return the path of the pointer to ``target``."""
    target = Path(target)
    return target.with_name(target.name + ".dvc")


def read_pointer(target: Path | str, remedy: str = "") -> Pointer:
    """Return what the pointer to ``target`` says.

    Args:
        target: file or folder that the pointer names.
        remedy: what to do when there is no pointer.

    Raises:
        UnblindError: the pointer is missing or unreadable.
    """
    path = pointer_path(target)
    try:
        (out,) = yaml.safe_load(path.read_text(encoding="utf-8"))["outs"]
        return Pointer(str(out["md5"]), int(out["size"]), int(out.get("nfiles", 1)))
    except FileNotFoundError:
        raise UnblindError(f"the pointer {path} is missing", remedy) from None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        raise UnblindError(
            f"the pointer {path} is unreadable", f"restore it: git checkout -- {path}"
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
    path = Path(".dvcignore")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
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
    dvc.run("add", *map(str, targets))


def push(*targets: Path | str, remote: str | None = _REMOTE) -> None:
    """Copy the contents that the pointers to ``targets`` name into a store.

    Args:
        targets: files or folders.
        remote: the store's name; None: the checkout's default.

    Raises:
        UnblindError: DVC is absent or refuses, the store cannot be reached, or it lacks contents
            that are not here either.
    """
    options = ["--remote", remote] if remote else []
    try:
        dvc.run("push", *options, *(str(pointer_path(target)) for target in targets))
    except dvc.DvcError as error:
        missing = dvc.missing(error.lines)
        if not missing:
            raise
        name, address = dvc.remote(remote or "")
        names = " ".join(map(str, targets))
        raise UnblindError(
            f"{len(missing)} contents of {names} are neither in .dvc/cache nor in remote '{name}' "
            f"({address})",
            f"run: dvc add {names}, then the same command{dvc.log(error.lines)}",
        ) from None


def prune() -> None:
    """Remove from the embedded store what no pointer of the checkout names any more.

    Raises:
        UnblindError: DVC is absent or refuses.
    """
    dvc.run("gc", "--force", "--workspace", "--cloud", "--remote", _REMOTE)


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
    return dvc.remote()[0] in (_REMOTE, "")


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
        _fetch(target)
    except dvc.DvcError as error:
        raise _explained(error, target, pointer, remedy) from None
    if not is_whole(target):
        raise UnblindError(
            f"{target} differs from its pointer after dvc pull: DVC's own copies are damaged",
            f"delete .dvc/cache and {target}, then run the same command again",
        )
    return True


def pull_each(*targets: Path | str) -> Iterator[tuple[Path | str, bool]]:
    """Make each target what its pointer says; tell of each whether it was pulled.

    DVC, which takes long to start, is asked for all of them at once; if it cannot have all, for one
    after the other up to the first that it cannot have.

    Raises:
        UnblindError: see `pull`; targets before that one have been pulled.
    """
    lacking = [target for target in targets if not is_whole(target)]
    with contextlib.suppress(dvc.DvcError):
        if len(lacking) > 1:
            _fetch(*lacking)
    for target in targets:
        pull(target)
        yield target, target in lacking


def _fetch(*targets: Path | str) -> None:
    """Have DVC copy contents into its cache, and from there to where they belong.

    `dvc pull` would delete what is there before it finds that the store lacks the rest.
    """
    for step in ("fetch", "checkout"):
        dvc.run(step, *(str(pointer_path(target)) for target in targets))


def _explained(
    error: dvc.DvcError, target: Path | str, pointer: Pointer, remedy: str
) -> UnblindError:
    """Return what to tell of a pull that DVC has refused."""
    missing, unless = dvc.missing(error.lines), f"; or {remedy}" if remedy else ""
    if not missing and any("unsaved files" in line for line in error.lines):
        return UnblindError(
            f"{target} was changed: it is not what {pointer_path(target)} names",
            f"move {target} away and run the same command again",
        )
    if is_embedded() and (damage := _damage(pointer)):
        return UnblindError(damage, f"restore it: git checkout -- {STORE}{unless}")
    if not missing:
        return error
    cause, help_ = _lacking(target, pointer, missing)
    return UnblindError(cause, f"{help_}{unless}{dvc.log(error.lines)}")


def _lacking(target: Path | str, pointer: Pointer, missing: set[str]) -> tuple[str, str]:
    """Return what the default store lacks of some content, and the remedy."""
    name, address = dvc.remote()
    where, files = f"remote '{name}' ({address})", f"{pointer.files} file"
    files += "s" * (pointer.files != 1)
    if "://" not in address and not Path(address).is_dir():
        return f"{where} is no folder", f"mount it, or name another one: see {dvc.ELSEWHERE}"
    if pointer.md5 in missing:  # DVC says the same of a server that does not answer
        what = f"the list of the {files} of" if pointer.md5.endswith(".dir") else "the content of"
        cause = f"{where} lacks {what} {target}, or cannot be reached"
    else:
        cause = f"{where} lacks {len(missing)} of the contents of {target} ({files})"
    remedy = f"push them from where they are: dvc push --remote {name}"
    if _damage(pointer) is None:
        remedy += f"; or pull them from {STORE}: dvc pull --remote {_REMOTE} {pointer_path(target)}"
    return cause, remedy


def blob_path(name: str, cache: Path = STORE) -> Path:
    """Return where the embedded store, or another cache of DVC's, keeps the content of a hash."""
    return cache / "files" / "md5" / name[:2] / name[2:]


def _damage(pointer: Pointer) -> str | None:
    """Return what is wrong with a content's copy in the embedded store, None if it is whole."""
    checksums = [pointer.md5]
    for name in checksums:
        blob = blob_path(name)
        if not blob.is_file():
            return f"{blob} is missing"
        if md5(blob) != name.removesuffix(".dir"):
            return f"{blob} is corrupt: its checksum differs from its name"
        if name.endswith(".dir"):
            checksums += [entry["md5"] for entry in json.loads(blob.read_bytes())]
    return None
