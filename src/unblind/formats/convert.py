"""Demonstrations from one format into another, episode by episode."""

from pathlib import Path
from typing import Literal

from unblind import folders
from unblind.config import Config
from unblind.errors import UnblindError
from unblind.formats import lerobot, own, rlds, rlds_writing
from unblind.formats.episodes import Source
from unblind.progress import Progress

Format = Literal["unblind", "rlds", "lerobot"]

#: CPU-seconds to write an episode.
_WRITING_CPU_S = 0.05


def convert(config: Config, folder: Path, out: Path, to: Format) -> tuple[int, int]:
    """Write the demonstrations of ``folder`` to ``out`` in another format; return what was written.

    The source's format is found by its files. One episode, or one shard of our own, is in memory
    at a time; of LeRobot's statistics, also the numbers of all steps. On failure nothing is left.

    Args:
        config: its ``demos`` say how large our own shards are, and by which rule actions become
            labels, of which statistics are stored.
        folder: the source.
        out: must not exist, or be empty; a data set of RLDS is called like it.
        to: the format.

    Returns:
        how many episodes and steps.

    Raises:
        UnblindError: the source is of no known format, damaged or not whole, ``out`` holds
            something or cannot be written, or the disk is full.
    """
    source, out = find(folder), Path(out)
    if to == "rlds":
        rlds_writing.check_name(out.name)
    folders.check_free(out)
    episodes = sum(source.counts.values())
    progress = Progress("episodes", episodes, source.unit_cpu_s + _WRITING_CPU_S)
    with folders.new(out) as temporary:
        if to == "rlds":
            return episodes, rlds_writing.write(source, temporary, out.name, progress)
        if to == "lerobot":
            return episodes, lerobot.write(source, temporary, progress)
        return episodes, own.write(source, temporary, config, progress)


def find(folder: Path) -> Source:
    """Return the demonstrations of a folder, whatever format they are in.

    Raises:
        UnblindError: there is no such folder, or it is of no format that is read.
    """
    if rlds.is_rlds(folder):
        return rlds.read(folder)
    if (folder / "manifest.json").exists():
        return own.read(folder)
    if (folder / "meta" / "info.json").exists():
        raise UnblindError(f"{folder} is of LeRobot, which is only written", "name its source")
    cause = f"{folder} holds neither demonstrations (manifest.json) nor RLDS ({rlds.INFO})"
    raise UnblindError(cause, "name the folder that has one of these files")
