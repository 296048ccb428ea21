"""Episodes that one of two runs wins and the other loses: a list, and a picture of how they end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from unblind import png
from unblind.config import Config
from unblind.errors import UnblindError, note
from unblind.files import atomic_path
from unblind.films import acting
from unblind.films.acting import Take
from unblind.films.drawing import (
    FAINT,
    INK,
    MARKS,
    PAPER,
    WON,
    enlarged,
    fitted,
    font,
    framed,
    wrapped,
)
from unblind.films.watch import FOLDER
from unblind.machine import renderer
from unblind.report.differences import Paired, pair, paired, shared
from unblind.report.records import Records, load_cell, record_path
from unblind.report.stats import mcnemar_exact
from unblind.report.summary import COLUMN_OF
from unblind.sim import conditions
from unblind.sim.episodes import Episode, decode
from unblind.study.stages import EPISODE_CPU_S, START_CPU_S

#: Size of a picture on the sheet, width of its first column, height of a line, and what is between.
_TILE, _WORDS, _LINE, _GAP = (256, 192), 250, 22, 10


@dataclass(frozen=True)
class Decided:
    """An episode that one run wins and the other loses.

    Attributes:
        seed: of the evaluation.
        episode: which.
        winner: the run that ends in success.
    """

    seed: int
    episode: Episode
    winner: str


@dataclass(frozen=True)
class Duel:
    """Two runs on identical episodes of a condition.

    Attributes:
        condition: its name.
        runs, labels: of both.
        seeds: of the evaluations.
        paired: the first run's success less the second's.
        p: of the exact McNemar test, two-sided.
        decided: the episodes that only one of them wins, by seed and id.
    """

    condition: str
    runs: tuple[str, str]
    labels: tuple[str, str]
    seeds: tuple[int, ...]
    paired: Paired
    p: float
    decided: tuple[Decided, ...]


def duel(config: Config, condition: str, runs: Sequence[str], seed: int | None) -> Duel:
    """Return how two runs did on the same episodes, from their records alone.

    Args:
        config: the whole configuration.
        condition: name or released env id.
        runs: two of ``config.runs``.
        seed: of the evaluation; all of the study's if None.

    Raises:
        UnblindError: the condition or a run is unknown, there are not two runs, or a record is
            missing, corrupt, of another configuration or of other episodes.
    """
    name = conditions.get(condition).name
    if len(runs) != 2 or runs[0] == runs[1]:
        raise UnblindError(f"no comparison of {', '.join(runs) or 'nobody'}", "name two runs")
    for run in runs:
        config.run(run)
    first, second = (config.of(run).seeds for run in runs)
    seeds = tuple(own for own in first if own in second) if seed is None else (seed,)
    if not seeds:
        cause = f"runs '{runs[0]}' and '{runs[1]}' share no seed"
        raise UnblindError(cause, "see runs.NAME.seeds in the configuration")
    pairs = pair(*shared(*(_records(config, run, seeds, name) for run in runs)))
    whole = paired(pairs, [COLUMN_OF[name]], config.seed)
    differing = pairs[pairs["final"] != 0].sort_values(["seed", "episode_id"])
    split = conditions.get(name).split
    decided = tuple(
        Decided(
            int(row.seed),
            decode(name, int(row.episode_id), split, config.fidelity),
            runs[0] if row.final > 0 else runs[1],
        )
        for row in differing.itertuples()
    )
    labels = tuple(acting.label(config, run) for run in runs)
    p = mcnemar_exact(whole.won, whole.lost)
    return Duel(name, tuple(runs), labels, seeds, whole, p, decided)


def _records(config: Config, run: str, seeds: Sequence[int], condition: str) -> Records:
    folder = Path(config.results, "rollouts")
    cells = [load_cell(config, run, seed, condition, folder) for seed in seeds]
    import pandas as pd

    frames, metas = zip(*cells, strict=True)
    paths = tuple(record_path(folder, run, seed, condition) for seed in seeds)
    return Records(run, pd.concat(frames, ignore_index=True), metas, paths)


def told(duel: Duel) -> str:
    """Return the comparison in words, and a line an episode that one run alone wins."""
    lines = [*_counted(duel), ""]
    rows = [("seed", "episode", "won by", "instruction")] * bool(duel.decided)
    rows += [
        (str(one.seed), str(one.episode.episode_id), one.winner, one.episode.instruction)
        for one in duel.decided
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for seed, number, winner, instruction in rows:
        row = (seed.rjust(widths[0]), number.rjust(widths[1]), winner.ljust(widths[2]), instruction)
        lines.append("  ".join(row))
    return "\n".join(lines).rstrip()


def _counted(duel: Duel) -> list[str]:
    """Return in two lines what was compared, and how it went."""
    first, second = duel.labels
    change = duel.paired
    seeds = f"seed{'s' * (len(duel.seeds) > 1)} {', '.join(map(str, duel.seeds))}"
    counts = f"{first} alone succeeds in {change.won}, {second} alone in {change.lost}"
    low, high = 100 * change.low, 100 * change.high
    interval = f"{100 * change.delta:+.1f} points [{low:+.1f}, {high:+.1f}]"
    return [
        f"{duel.condition}: {first} and {second} on {change.n} identical episodes, {seeds}",
        f"{counts}: {interval}, exact McNemar p = {duel.p:.2g}",
    ]


# ---- the sheet ----------------------------------------------------------------------------------


def place(config: Config, duel: Duel) -> Path:
    """Return where a sheet goes that was given no name."""
    seeds = [] if duel.seeds == tuple(config.seeds) else [f"seed{duel.seeds[0]}"]
    name = "-".join(["compare", duel.condition, *duel.runs, *seeds])
    return Path(config.results, FOLDER, f"{name}.png")


def draw(config: Config, duel: Duel, out: Path, most: int) -> Path:
    """Write a picture of decided episodes, a row each: how it begins, and how each run ends it.

    Both runs act again, as they have in their rollouts.

    Args:
        config: the whole configuration.
        duel: with decided episodes.
        out: PNG file.
        most: rows; the first episodes by seed and id are taken.

    Raises:
        UnblindError: a model is missing or damaged, no renderer can be set up, or the catalog
            lacks files.
    """
    chosen = duel.decided[:most]
    for run in duel.runs:
        for seed in {one.seed for one in chosen}:
            acting.check(config, [run], seed)
    renderer.ensure()
    with acting.uncollected():
        takes = _act_again(config, duel, chosen)
    sheet = _sheet(duel, chosen, takes)
    with atomic_path(out) as temporary:
        temporary.write_bytes(png.encode(sheet))
    return out


def _act_again(
    config: Config, duel: Duel, chosen: Sequence[Decided]
) -> Mapping[tuple[str, int, int], Take]:
    """Return what each run has done in each episode, by run, seed and id."""
    steps = len(duel.runs) * len(chosen) * config.rollout.max_steps
    advance = acting.counted("steps to act again", steps, _cpu_s(config, duel, chosen) / steps)
    takes = {}
    for run in duel.runs:
        for seed in sorted({one.seed for one in chosen}):
            some = [one for one in chosen if one.seed == seed]
            who = acting.actor(config, run, seed)
            for one, take in zip(
                some,
                acting.act(config, who, [one.episode for one in some], advance),
                strict=True,
            ):
                takes[run, seed, one.episode.episode_id] = take
                _compare_with_record(one, run, take)
    return takes


def _cpu_s(config: Config, duel: Duel, chosen: Sequence[Decided]) -> float:
    """Return the CPU-seconds that acting again takes here; 0 where nothing is known of them."""
    if any(config.is_published(run) for run in duel.runs):
        return 0.0
    seen, whole = EPISODE_CPU_S["served"], EPISODE_CPU_S["vla"]
    total = 0.0
    for run in duel.runs:
        policy = config.run(run).policy
        for number in Counter(one.seed for one in chosen).values():
            if policy == "vla":  # a batch that is not full costs as much
                filled = -(-number // acting.SCENES) * acting.SCENES
                total += number * seen + filled * (whole - seen)
            else:
                total += number * EPISODE_CPU_S[policy]
    return START_CPU_S + total * config.rollout.max_steps / 80


def _compare_with_record(one: Decided, run: str, take: Take) -> None:
    if take.success != (run == one.winner):
        number = one.episode.episode_id
        note(
            f"{run} acts otherwise in episode {number} than in its record: {MARKS[take.success]}; "
            "code, libraries or the kind of processor differ"
        )


def _sheet(
    duel: Duel, chosen: Sequence[Decided], takes: Mapping[tuple[str, int, int], Take]
) -> np.ndarray:
    """Return the picture, (h, w, 3) uint8."""
    plain, bold = font(14), font(14, bold=True)
    across = _WORDS + 3 * (_TILE[0] + 8 + _GAP) + 2 * _GAP
    tall = _TILE[1] + 8 + _LINE + _GAP
    above = 4 * _LINE + _GAP
    image = Image.new("RGB", (across, above + len(chosen) * tall), PAPER)
    pen = ImageDraw.Draw(image)
    shown = f"the first {len(chosen)} of {len(duel.decided)} episodes that one run alone wins"
    for number, line in enumerate([*_counted(duel), shown]):
        face, ink = (plain, INK) if number else (bold, INK)
        pen.text((_GAP, _GAP + number * _LINE), fitted(line, face, across - 2 * _GAP), ink, face)
    for row, one in enumerate(chosen):
        top = above + row * tall
        _row(image, pen, duel, one, takes, top)
    return np.asarray(image)


def _row(
    image: Image.Image,
    pen: ImageDraw.ImageDraw,
    duel: Duel,
    one: Decided,
    takes: Mapping[tuple[str, int, int], Take],
    top: int,
) -> None:
    """Draw an episode: its instruction, its first picture, and the last one of each run."""
    plain, bold = font(14), font(14, bold=True)
    lines = wrapped(one.episode.instruction, bold, _WORDS - _GAP)
    for number, line in enumerate(lines):
        pen.text((_GAP, top + (number + 1) * _LINE), line, INK, bold)
    under = top + (len(lines) + 2) * _LINE
    for number, line in enumerate((f"episode {one.episode.episode_id}", f"seed {one.seed}")):
        pen.text((_GAP, under + number * _LINE), line, FAINT, plain)
    mine = [takes[run, one.seed, one.episode.episode_id] for run in duel.runs]
    tiles = [("start", mine[0].pictures[0], None)]
    tiles += [
        (label, take.pictures[-1], take.success)
        for label, take in zip(duel.labels, mine, strict=True)
    ]
    for column, (label, picture, won) in enumerate(tiles):
        left = _GAP + _WORDS + column * (_TILE[0] + 8 + _GAP)
        mark = "" if won is None else f": {MARKS[won]}"
        ink, face = (WON, bold) if won else (INK, plain)
        pen.text((left, top), fitted(f"{label}{mark}", face, _TILE[0]), ink, face)
        tile = framed(enlarged(picture, _TILE), bool(won))
        image.paste(Image.fromarray(tile), (left, top + _LINE))
