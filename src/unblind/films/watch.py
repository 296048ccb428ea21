"""One episode as a film: by one policy, or by several side by side."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from unblind.config import Config
from unblind.errors import UnblindError, note
from unblind.files import atomic_path
from unblind.films import acting, attending
from unblind.films.acting import Actor, Take
from unblind.films.drawing import MARKS, Board, Shown, covered, enlarged
from unblind.films.encoding import write_film
from unblind.machine import renderer
from unblind.sim import camera, conditions
from unblind.sim.episodes import Episode, decode

#: Of a study's results, where films go.
FOLDER = "films"
Quality = Literal["normal", "high"]
#: Most runs in a film, and the size of a panel where there are several, px.
MOST, PANEL = 4, (384, 288)
#: Pictures that a film of several stands still for at its end.
_STILL = 5
#: Of all values of a film's maps, the share below the lightest colour: a token that gets most of
#: the attention would leave the others dark.
_BELOW_TOP = 0.99


@dataclass(frozen=True)
class Style:
    """How a film looks.

    Attributes:
        board: whether panels have a heading, labels, steps and marks.
        attention: whether maps are laid over the panels of models.
        quality: ``high``: scenes are drawn at 640 x 480 px; ``normal``: a policy's own pictures are
            enlarged.
    """

    board: bool = False
    attention: bool = False
    quality: Quality = "normal"


def watch(
    config: Config,
    episode: Episode,
    names: Sequence[str],
    seed: int,
    out: Path,
    style: Style = Style(),
) -> Path:
    """Film an episode in real time, and write beside NAME.mp4 a NAME.json that says what it shows.

    Every policy acts as in a rollout, on pictures of the size that it is evaluated with. The JSON
    holds ``condition``, ``episode_id``, ``instruction``, ``runs``, each with ``run``, ``label``,
    ``seed`` and ``success``, and ``attention``.

    Args:
        config: the whole configuration.
        episode: of `the_episode`.
        names: one to four of ``config.runs``, ``oracle``, ``random`` and ``noop``.
        seed: of the policies and of their training.
        out: mp4 file.
        style: how it looks; a film of several has a board.

    Raises:
        UnblindError: no name or too many, one that is unknown or named twice, a model that is
            missing or damaged, nobody with attention, no renderer, or ffmpeg fails.
    """
    style = replace(style, board=style.board or style.attention or len(names) > 1)
    told = out.with_suffix(".json")
    _check(config, names, seed, style, out)
    renderer.ensure()
    with acting.uncollected():
        takes, panels, top = _shoot(config, episode, names, seed, style)
    labels = [acting.label(config, name) for name in names]
    fps, size = _rate_and_size(style)
    if style.board:
        layer = attending.layer(config)
        board = Board(episode.instruction, labels, size, top, layer)
        pictures, size = _boards(board, panels, takes), board.size
    else:
        pictures = iter(panels[0])
    facts = _facts(episode, names, labels, seed, takes) | {"attention": style.attention}
    with atomic_path(told) as beside, atomic_path(out) as film:
        write_film(film, pictures, size, fps)
        beside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    for name, take in zip(names, takes, strict=True):
        who = f"{name}: " if style.board else ""
        print(f"{who}'{episode.instruction}': {MARKS[take.success]}")
    return out


def the_episode(config: Config, condition: str, episode_id: int, split: str | None) -> Episode:
    """Return an episode of a study.

    Args:
        config: names the fidelity.
        condition: name or released env id.
        episode_id: within the condition's space.
        split: the condition's evaluation split if None.

    Raises:
        UnblindError: the condition is unknown, or the id is beyond its space.
    """
    options = {"split": split} if split else {}
    return decode(condition, episode_id, fidelity=config.fidelity, **options)


def place(config: Config, episode: Episode, names: Sequence[str], seed: int, style: Style) -> Path:
    """Return where a film goes that was given no name."""
    extra = [f"seed{seed}"] * bool(seed) + ["attention"] * style.attention
    extra += [episode.split] * (episode.split != conditions.get(episode.condition).split)
    name = "-".join([episode.condition, str(episode.episode_id), *names, *extra])
    return Path(config.results, FOLDER, f"{name}.mp4")


def _check(config: Config, names: Sequence[str], seed: int, style: Style, out: Path) -> None:
    """Refuse what cannot be filmed before anything is loaded."""
    if not 1 <= len(names) <= MOST or len(set(names)) < len(names):
        cause = f"no film of {', '.join(names) or 'nobody'}"
        raise UnblindError(cause, f"name one to {MOST} different runs")
    if out.suffix == ".json":
        raise UnblindError(f"{out} is no name of a film", "name a file that ends in .mp4")
    acting.check(config, names, seed)
    blind = [name for name in names if not acting.is_model(config, name)]
    if style.attention and len(blind) == len(names):
        cause = f"no attention of {', '.join(names)}: no model acts"
        raise UnblindError(cause, "name a run of a model, or leave out --attention")
    if style.attention and blind:
        note(f"{', '.join(blind)} has no attention: the panel shows the picture alone")


def _rate_and_size(style: Style) -> tuple[int, tuple[int, int]]:
    """Return pictures a second, and the size of a panel, or of a film of one."""
    from unblind.sim.env import CONTROL_HZ

    small = style.board and style.quality == "normal"
    return CONTROL_HZ, PANEL if small else tuple(camera.FRAME)


def _shoot(
    config: Config, episode: Episode, names: Sequence[str], seed: int, style: Style
) -> tuple[list[Take], list[Sequence[np.ndarray]], float | None]:
    """Return what each run has done, its pictures as they are shown, and the maps' largest value.

    Models are loaded one after the other, so that only one is in memory.
    """
    passes = 2 if style.quality == "high" else 1
    steps = passes * len(names) * config.rollout.max_steps
    advance = acting.counted("steps to film", steps)
    _, size = _rate_and_size(style)
    takes, shown, maps = [], [], []
    for name in names:
        who = acting.actor(config, name, seed)
        (take,) = acting.act(config, who, [episode], advance)
        takes.append(take)
        maps.append(_maps(config, who, take) if style.attention else None)
        if style.quality == "high":
            shown.append(acting.show_again(config, take, tuple(camera.FRAME), advance))
        else:
            shown.append(take.pictures)
    if style.board:
        shown = [[enlarged(picture, size) for picture in pictures] for pictures in shown]
    some = [one for one in maps if one is not None]
    if not some:
        return takes, shown, None
    top = float(np.quantile(np.concatenate(some), _BELOW_TOP))
    return takes, [_covered(*both, top) for both in zip(shown, maps, strict=True)], top


def _maps(config: Config, who: Actor, take: Take) -> np.ndarray | None:
    return None if who.model is None else attending.maps(config, who, take)


def _covered(
    pictures: Sequence[np.ndarray], maps: np.ndarray | None, top: float
) -> list[np.ndarray]:
    """Return pictures with their maps laid over them, if there are any."""
    if maps is None:
        return list(pictures)
    return [covered(picture, one, top) for picture, one in zip(pictures, maps, strict=True)]


def _boards(
    board: Board, panels: Sequence[Sequence[np.ndarray]], takes: Sequence[Take]
) -> Iterator[np.ndarray]:
    """Yield the pictures of a film of several; the last one stands still for a second."""
    last = max(len(take.actions) for take in takes)
    for moment in range(last + 1 + _STILL):
        shown = []
        for pictures, take in zip(panels, takes, strict=True):
            step = min(moment, len(take.actions))
            told = f"step {step} of {len(take.actions)}"
            shown.append(Shown(pictures[step], told, bool(take.successes[step])))
        yield board.picture(shown)


def _facts(
    episode: Episode, names: Sequence[str], labels: Sequence[str], seed: int, takes: Sequence[Take]
) -> dict:
    """Return what the file beside a film says."""
    each = zip(names, labels, takes, strict=True)
    return {
        "condition": episode.condition,
        "episode_id": episode.episode_id,
        "instruction": episode.instruction,
        "runs": [
            {"run": name, "label": label, "seed": seed, "success": take.success}
            for name, label, take in each
        ],
    }
