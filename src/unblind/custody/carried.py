"""Copies of what tables report about demonstrations, kept with the runs trained on them.

Demonstrations are too large to be published, but tables quote their manifest and their replay. So
copies of both are next to the trained runs, in ``training/demonstrations``, and are pulled with
them. They replace the study's own as long as those are absent and would be made the same way.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from unblind import files
from unblind.config import Config, digest
from unblind.errors import UnblindError
from unblind.study import jobs, provenance
from unblind.study.code import code_hash, known_as
from unblind.study.rows.names import MANIFEST
from unblind.study.stages import STAGES

_REPLAY = "replay.parquet"


def folder(config: Config) -> Path:
    """Return the folder of the copies."""
    return Path(config.results, "training", "demonstrations")


def own_manifest(config: Config) -> Path:
    """Return where the study writes the manifest of its demonstrations."""
    return jobs.path(config, "demos")


def own_replay(config: Config) -> Path:
    """Return where the study makes its replay record."""
    return jobs.path(config, "replay")


def names() -> list[str]:
    """Return the names of the copies: two artifacts and their sidecars."""
    return [name for file in (MANIFEST, _REPLAY) for name in (file, f"{file}.meta.json")]


def carry(config: Config) -> None:
    """Copy manifest, replay and sidecars next to the trained runs, if the study's own are there.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    for own in (jobs.demos_folder(config) / MANIFEST, own_replay(config)):
        if own.is_file():
            for path in (own, provenance.sidecar_path(own)):
                with files.atomic_path(folder(config) / path.name) as temporary:
                    shutil.copyfile(path, temporary)


def sources(config: Config) -> tuple[Path, Path]:
    """Return the folder of the manifest and the replay record that tables are to read.

    The study's own, whether they are there already or not; a copy only where its original is
    absent and the copy has the settings and code that the study would make it with.
    """
    copies, own = folder(config), jobs.demos_folder(config)
    if not (own / MANIFEST).is_file() and _has_manifest(config, copies):
        own = copies
    replay = own_replay(config)
    if not replay.is_file() and _has_replay(config, copies, own / MANIFEST):
        replay = copies / _REPLAY
    return own, replay


def substituted(config: Config, paths: Iterable[Path]) -> list[Path]:
    """Return paths of results, those of copies in the place of originals (see `sources`)."""
    demos, replay = sources(config)
    copies = {own_manifest(config): demos / MANIFEST, own_replay(config): replay}
    return [copies.get(path, path) for path in paths]


def _has_manifest(config: Config, copies: Path) -> bool:
    made_from = (jobs.settings(config, "demos"), STAGES["demos"].modules)
    return any(_standing(copies / MANIFEST, *made_from))


def _has_replay(config: Config, copies: Path, manifest: Path) -> bool:
    """Tell whether there is a copy of the replay of the demonstrations in this manifest."""
    if not manifest.is_file():
        return False
    checksums = [files.sha256(manifest)]
    made_from = (jobs.settings(config, "replay"), STAGES["replay"].modules)
    metas = _standing(copies / _REPLAY, *made_from)
    return any(list(meta["inputs"].values()) == checksums for meta in metas)


def _standing(path: Path, config: Any, code: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the sidecar of an artifact that is whole and has these settings and code."""
    try:
        meta = provenance.read(path)
        same = (
            meta.get("sha256") == files.sha256(path)
            and meta.get("config_hash") == digest(config)
            and known_as(meta.get("code_hash"), config) == code_hash(*code, config=config)
        )
    except (OSError, UnblindError):
        return
    if same:
        yield meta
