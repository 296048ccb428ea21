"""The base model that every method starts from: fetching the published one, publishing another."""

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from unblind.config import Config
from unblind.errors import UnblindError
from unblind.files import explained
from unblind.study import store
from unblind.study.jobs import Job
from unblind.study.provenance import sidecar_path
from unblind.study.rows.names import MODEL_FILES, VLM_FILE
from unblind.study.store import PULLED_BASE

#: What a published base consists of.
_FILES = (*MODEL_FILES, VLM_FILE)
#: A base with all its files must stay below this, since git keeps every version for ever.
LIMIT_BYTES = 20_000_000
_REBUILD = "'rebuild_base: true' makes it instead"


def pointer_file() -> Path:
    """Return the pointer to the published base.

    Raises:
        UnblindError: it is missing or unreadable.
    """
    store.read_pointer(PULLED_BASE, _REBUILD)
    return store.pointer_path(PULLED_BASE)


def pull_base() -> bool:
    """Fetch the published base; return False if it is there already, byte for byte.

    Raises:
        UnblindError: there is no pointer, the store lacks the content or is damaged, DVC is
            absent, or the base was changed by hand.
    """
    return store.pull(PULLED_BASE, _REBUILD)


def bring_along(config: Config) -> bool:
    """Fetch the published base if a study has trained runs but no base; tell whether it was so.

    That is a checkout with only trained runs pulled. A job that fetches the base would count as a
    change of it, and the workflow would train them again.

    Raises:
        UnblindError: see `pull_base`.
    """
    runs = Path(config.results, "training").glob("*/*/adapter_model.safetensors")
    if config.rebuild_base or PULLED_BASE.exists() or not any(runs):
        return False
    return pull_base()


def check(job: Job) -> None:
    """Refuse a base that is not whole.

    Args:
        job: the stage that makes the base of a study.

    Raises:
        UnblindError: files are missing, or the pulled base is not the published one.
    """
    folder, missing = job.outputs[0].parent, [p.name for p in job.outputs if not p.is_file()]
    pointer = store.pointer_path(PULLED_BASE)
    remedies = {
        "pull": f"run dvc pull {pointer}, for instance by: unblind base pull",
        "warm_up": f"run: {job.call}, or set rebuild_base to false",
    }
    if missing:
        raise UnblindError(
            f"no base in {folder}: {', '.join(missing)} missing",
            remedies.get(job.name, f"run: {job.call}"),
        )
    # A pull that was killed may leave a file in its place that is cut off.
    if job.name == "pull" and pointer.is_file() and not store.is_whole(PULLED_BASE):
        raise UnblindError(
            f"{folder} is not what {pointer} names: changed, or pulled by half",
            f"move {folder} away, then run: unblind base pull",
        )


def promote(folder: Path | str) -> dict[str, int]:
    """Publish the base in ``folder``: copy it over the pulled one, add it and store it.

    On failure base, pointer and store are what they were. Contents that no pointer names any
    more leave the store.

    Args:
        folder: a complete base; of other files in it only sidecars are taken along.

    Returns:
        Bytes by file name.

    Raises:
        UnblindError: ``folder`` is no complete base or too large, the place of the pulled base
            holds other things, the disk is full, or DVC fails.
    """
    files = _complete(Path(folder))
    sizes = {path.name: path.stat().st_size for path in files}
    if sum(sizes.values()) > LIMIT_BYTES:
        raise UnblindError(
            f"{folder} has {sum(sizes.values()):,} bytes, more than {LIMIT_BYTES:,}",
            "store weights as float16, or make the model smaller",
        )
    pointer = store.pointer_path(PULLED_BASE)
    with _replaced(PULLED_BASE, files), store.restored_on_failure(pointer):
        store.add(PULLED_BASE)
        store.push(PULLED_BASE)
    store.prune()
    return sizes


def _complete(folder: Path) -> list[Path]:
    """Return the files of a base, after checking that each can be read."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise UnblindError(
            f"{folder} is no complete base: {', '.join(missing)} missing",
            "name the folder that 'rebuild_base: true' has made",
        )
    files = [folder / name for name in _FILES]
    for path in files:
        _check_readable(path)
    return files + [sidecar for sidecar in map(sidecar_path, files) if sidecar.is_file()]


def _check_readable(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        else:
            with safe_open(path, framework="numpy"):
                pass
    except (OSError, ValueError, SafetensorError) as error:
        raise UnblindError(f"{path} is corrupt: {error}", "make the base again") from None


@contextlib.contextmanager
def _replaced(target: Path, files: list[Path]) -> Iterator[None]:
    """Put copies of ``files`` in the place of the folder ``target``; back to before on failure."""
    _check_only_base(target)
    mark = secrets.token_hex(4)
    new, old = (target.with_name(f".{target.name}.{mark}.{kind}") for kind in ("new", "old"))
    try:
        with explained(target):
            new.mkdir(parents=True)
            for path in files:
                shutil.copyfile(path, new / path.name)
            if target.exists():
                target.rename(old)
            new.rename(target)
        try:
            yield
        except BaseException:
            target.rename(new)
            raise
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _check_only_base(target: Path) -> None:
    """Refuse to replace a folder that holds what neither the store nor a base has."""
    if store.pointer_path(target).is_file() and store.is_whole(target):
        return
    known = {*_FILES, *(sidecar_path(name).name for name in _FILES)}
    present = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if present - known:
        raise UnblindError(
            f"{target} also holds {', '.join(sorted(present - known))}", "move that elsewhere"
        )
