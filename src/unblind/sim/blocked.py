"""Episodes that cannot be built, for lack of files in a folder of the authors' assets.

What an episode needs does not depend on who acts: a policy that looks at nothing meets the same
episodes as one that sees pictures.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from unblind.config import Config
from unblind.errors import UnblindError, note
from unblind.sim.episodes import Episode

#: By episode id, the manifest's paths of the files that are missing or changed.
Blocked = Mapping[int, tuple[str, ...]]
_SHOWN = 4


def find(
    catalog: str, episodes: Mapping[str, Iterable[Episode]]
) -> dict[str, dict[int, tuple[str, ...]]]:
    """Return, by condition, which episodes are blocked.

    Args:
        catalog: as `unblind.sim.catalogs.load_catalog` takes it.
        episodes: by condition.

    Raises:
        UnblindError: the catalog is no folder, or one without its lists of models.
    """
    if catalog in ("builtin", "pretraining"):
        return {condition: {} for condition in episodes}  # always whole
    from unblind.sim.released import ReleasedCatalog

    # Not `load_catalog`, which remembers the lists of models: the folder as it is now.
    released = ReleasedCatalog(catalog)
    state = cache(released.store.state)
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for condition, asked in episodes.items():
        lacking = {
            one.episode_id: tuple(path for path in released.files(one) if state(path) != "present")
            for one in asked
        }
        found[condition] = {number: files for number, files in lacking.items() if files}
    return found


def stop_or_note(config: Config, blocked: Mapping[str, Blocked]) -> None:
    """Stop if episodes are blocked, or tell that they are left out (``catalog_missing``).

    Raises:
        UnblindError: some are, and the configuration says 'stop'.
    """
    if config.catalog_missing == "stop":
        refuse(config, blocked, ", or set catalog_missing to 'skip'")
    elif told := _told(config, blocked):
        note(f"left out {told}")


def refuse(config: Config, blocked: Mapping[str, Blocked], otherwise: str = "") -> None:
    """Stop if episodes are blocked.

    Args:
        config: names the catalog.
        blocked: by condition.
        otherwise: what else helps than to complete the folder.

    Raises:
        UnblindError: some are.
    """
    if told := _told(config, blocked):
        remedy = f"copy them unchanged from the authors' release{otherwise}"
        raise UnblindError(f"cannot run {told}", remedy)


def _told(config: Config, blocked: Mapping[str, Blocked]) -> str:
    """Return in one line how many episodes are blocked where and by what; nothing if none is."""
    counts = {condition: len(ids) for condition, ids in blocked.items() if ids}
    if not counts:
        return ""
    where = _some(f"{condition} {count}" for condition, count in counts.items())
    names = _some(dict.fromkeys(name for ids in blocked.values() for name in _names(ids)))
    episodes = "episode" if sum(counts.values()) == 1 else "episodes"
    return (
        f"{sum(counts.values())} {episodes} ({where}) without files that are missing or changed "
        f"in {config.catalog}: {names}"
    )


def paths(catalog: str, blocked: Blocked) -> list[Path]:
    """Return where the files would be that blocked episodes lack, each once."""
    return [Path(catalog, name) for name in sorted(set(_names(blocked)))]


def to_json(blocked: Blocked) -> dict[str, list[str]]:
    """Return plain values: by episode id, the files that it lacks."""
    return {str(number): list(files) for number, files in blocked.items()}


def _names(blocked: Blocked) -> list[str]:
    return [name for files in blocked.values() for name in files]


def _some(words: Iterable[str]) -> str:
    listed = list(words)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
