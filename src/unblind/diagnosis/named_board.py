"""From which layer on a model knows which of three boards its instruction names.

A linear probe reads the hidden state of the prompt's last token, which is all that the first token
of the answer is made from. Each first frame of VL-Think is shown three times, with each of its
boards named once. So every place is right once a frame: what reads the picture alone, or tells one
place always, is right in a third exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from unblind import png
from unblind.config import Probe
from unblind.diagnosis.attention import low_features
from unblind.diagnosis.probing import classify
from unblind.progress import Progress
from unblind.sim.episodes import Fidelity
from unblind.think import domains
from unblind.think.domains import PLACES
from unblind.think.episodes import ThinkEpisode, decode
from unblind.vla.batch import Turn, collate
from unblind.vla.checkpoint import Checkpoint

#: Parts into which episode ids are divided; each is read by a probe that has learned the others.
FOLDS = 4
_BATCH = 16
_WORD = pa.dictionary(pa.int8(), pa.string())
RECORD = pa.schema(
    [
        ("domain", _WORD),
        ("episode_id", pa.int64()),
        ("style", _WORD),
        ("site", _WORD),
        ("place", _WORD),
        ("guess", _WORD),
        ("right", pa.bool_()),
        ("all_right", pa.bool_()),
    ]
)
"""One row a frame, site and named board: its place, the place that the probe guesses, and whether
that is right; ``all_right``: for each of the frame's three boards, when it is named."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A first frame whose boards are named one after the other.

    Attributes:
        episode: whose first frame it is.
        image: (H, W, 3) uint8.
        fold: of `FOLDS`, the same for all frames of an episode id.
    """

    episode: ThinkEpisode
    image: np.ndarray
    fold: int

    @property
    def instructions(self) -> list[str]:
        """What tells a robot to use each board, from left to right."""
        template = domains.get(self.episode.condition).template
        return [template.format(concept=board.concept) for board in self.episode.boards]


def frames(rows: Sequence[dict], fidelity: Fidelity) -> list[Shown]:
    """Return the frames with three boards, each arrangement of a domain's boards once in a style.

    Parity has two boards, both of which several numbers fit. Of episode ids that show the same
    boards in the same places, the first counts: otherwise the others would be known to the probe.

    Args:
        rows: domain, episode_id, style and image (PNG), as the stage ``think_frames`` draws them.
        fidelity: of the episodes.
    """
    shown, owners, folds = [], {}, {}
    for row in rows:
        key = (row["domain"], row["episode_id"])
        episode = decode(*key, fidelity, style=row["style"])
        boards = tuple(board.name for board in episode.boards)
        if len(boards) < len(PLACES) or owners.setdefault((key[0], boards), key) != key:
            continue
        fold = folds.setdefault(key, len(folds) % FOLDS)
        shown.append(Shown(episode, png.decode(row["image"]), fold))
    return shown


def record(
    loaded: Checkpoint, shown: Sequence[Shown], settings: Probe, seed: int, unit_cpu_s: float
) -> pa.Table:
    """Return what probes at every site read from a model's states, as `RECORD`.

    Args:
        loaded: the model.
        shown: from `frames`.
        settings: of the probe's training.
        seed: of its order.
        unit_cpu_s: expected CPU-seconds a frame.

    Raises:
        UnblindError: a prompt is too long for the model.
    """
    states = _states(loaded, shown, unit_cpu_s)
    fold = np.repeat([one.fold for one in shown], len(PLACES))
    place = np.tile(np.arange(len(PLACES)), len(shown))
    tables = []
    for site, features in zip(sites(loaded.model.config.layers), states, strict=True):
        guess = np.zeros_like(place)
        for part in np.unique(fold):
            own, others = (torch.from_numpy(some) for some in (fold == part, fold != part))
            known = (features[others], place[fold != part])
            guess[fold == part] = classify(*known, features[own], settings, seed)
        tables.append(_table(shown, site, place, guess))
    return pa.concat_tables(tables)


def sites(layers: int) -> tuple[str, ...]:
    """Return the names of the places at which states are read, first to last.

    Behind the embedding and behind each decoder block; the last is behind the final norm.
    """
    return ("embedding", *(f"block {n + 1}" for n in range(layers)))


@torch.no_grad()
def _states(loaded: Checkpoint, shown: Sequence[Shown], unit_cpu_s: float) -> Tensor:
    """Return the last prompt token's states, (sites, frames * boards, width) float32."""
    model, words = loaded.model.eval(), loaded.vocabulary
    progress, parts = Progress("first frames probed", len(shown), unit_cpu_s), []
    for start in range(0, len(shown), _BATCH):
        some = shown[start : start + _BATCH]
        prompts = [[words.action_prompt(text) for text in one.instructions] for one in some]
        model.check_length([prompt for of_one in prompts for prompt in of_one], 0)
        # A prompt is a branch: they share the picture and do not see each other.
        turns = [[Turn(prompt, (0,), (0.0,)) for prompt in of_one] for of_one in prompts]
        low = low_features(loaded, np.stack([one.image for one in some]))
        batch = collate(turns, device=low.device)
        places = 1 + model.config.grid**2 + batch.places
        layers = model.hidden(low, batch.text, layers=True)
        parts.append(torch.stack([layer[batch.rows, places].float().cpu() for layer in layers]))
        progress.advance(len(some))
    return torch.cat(parts, 1)


def _table(shown: Sequence[Shown], site: str, place: np.ndarray, guess: np.ndarray) -> pa.Table:
    """Return the rows of a site."""
    names, right = np.array(list(PLACES)), place == guess
    episodes = [one.episode for one in shown for _ in PLACES]
    columns = {
        "domain": [episode.condition for episode in episodes],
        "episode_id": [episode.episode_id for episode in episodes],
        "style": [episode.style for episode in episodes],
        "site": [site] * len(episodes),
        "place": names[place],
        "guess": names[guess],
        "right": right,
        "all_right": right.reshape(-1, len(PLACES)).all(1).repeat(len(PLACES)),
    }
    return pa.Table.from_pandas(pd.DataFrame(columns), RECORD, preserve_index=False)
