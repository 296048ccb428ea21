"""Robot pretraining: broad demonstrations with their actions, and pictures with questions.

Both are seen as stored features of the tower's frozen blocks. Colours are changed before these, so
a frame is stored in several looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unblind.config import Config
from unblind.demos import shards
from unblind.study import jobs
from unblind.study.stages import STAGES
from unblind.training import album, cache, data, pretrain
from unblind.training.album import Album
from unblind.training.feed import Inputs, positions
from unblind.training.frames import ActionWeights, Labelled, Pictures
from unblind.training.losses import Learner
from unblind.training.team import Team
from unblind.training.vlm import Reading
from unblind.vla import checkpoint
from unblind.vla.batch import collate
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.tokens import ActionNormalizer


def of_looks(
    function: cache.OfPictures, copies: int, amount: float, rng: np.random.Generator
) -> cache.OfPictures:
    """Return what makes (n, 1 + copies, ...): features of pictures, and of jittered copies.

    Args:
        function: makes the features (n, ...).
        copies: of each picture beside itself.
        amount: see `jitter`.
        rng: draws the changes, picture by picture in the order of the calls.
    """

    def looks(images: np.ndarray) -> np.ndarray:
        changed = [
            np.stack([jitter(image, rng, amount) for image in images]) for _ in range(copies)
        ]
        return np.stack([function(some) for some in (images, *changed)], axis=1)

    return looks


def jitter(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Return the picture with its brightness, contrast and colour balance changed at random.

    Args:
        image: (H, W, 3) uint8.
        rng: draws the change.
        amount: largest relative change.
    """
    contrast = 1 + rng.uniform(-amount, amount)
    gain = 1 + rng.uniform(-amount, amount, 3)
    values = ((image.astype(np.float32) - 128) * contrast + 128) * gain.astype(np.float32)
    return np.clip(values, 0, 255).astype(np.uint8)


def write_low(
    loaded: Checkpoint, config: Config, labelled: Labelled, out: Path, team: Team
) -> cache.Rows:
    """Write the features of demonstrations, ``out/SHARD.npy`` for every shard, and return them.

    A row (looks, channels, rows, columns) float16 is a labelled frame: as it is, then jittered.
    Shards of an interrupted call are kept.

    Args:
        loaded: its vision backbone's frozen part is what counts.
        config: for looks and seed.
        labelled: which frames.
        out: folder.
        team: the processes, which share the shards.

    Raises:
        UnblindError: a shard is missing or damaged, there is no frame, or the disk is full.
    """
    base, counts, parts = config.base, [], labelled.parts()
    paths = [out / f"{Path(part.shard).stem}.npy" for part in parts]
    unit = STAGES["features_low"].unit_cpu_s * (1 + base.jittered_copies)
    for number, (part, path) in enumerate(zip(parts, paths, strict=True)):
        pictures = Pictures(part)
        counts.append(len(pictures))
        if number % team.n_parts in team.parts and not path.exists():
            rng = np.random.default_rng([config.seed, number])
            function = cache.of_tower(loaded)
            looks = of_looks(function, base.jittered_copies, base.jitter, rng)
            cache.write(path, pictures, looks, unit)
    team.wait()
    return cache.Rows(paths, counts)


@dataclass(frozen=True)
class Acting:
    """Frames of demonstrations with actions and questions, in a look drawn anew (`feed.Feed`).

    Attributes:
        team: the processes, which share a batch.
        demos: what is said about the frames.
        low: (N, looks, ...) their features.
        batch: frames a step.
        seed: of looks and questions.
    """

    team: Team
    demos: data.Demonstrations
    low: cache.Rows
    batch: int
    seed: int

    @property
    def counts(self) -> list[int]:
        """Frames in each part of a step."""
        return [
            len(range(part, self.batch, self.team.n_parts)) for part in range(self.team.n_parts)
        ]

    def __call__(self, step: int, part: int) -> Inputs:
        """Return a part of a step's batch."""
        rng = np.random.default_rng([self.seed, step, part, 1])
        rows = self.demos.rows(positions(step, self.batch, part, self.team.n_parts))
        looks = self.low[rows]
        chosen = looks[np.arange(len(rows)), rng.integers(0, looks.shape[1], len(rows))]
        batch = collate([self.demos.turns(row, rng) for row in rows])
        return Inputs(torch.from_numpy(chosen.astype(np.float32)), batch, None)


class Mixture:
    """The loss of frames and of pictures with questions (see `loop.StepLoss`).

    They are batches of their own: a batch pads its texts to the longest, and a dozen questions are
    longer than an action. Each weighs as much as it has pictures, however many questions these
    carry.

    Args:
        shares: losses, each with its pictures in every part of a step.
    """

    def __init__(self, shares: Sequence[tuple[Learner, Sequence[int]]]) -> None:
        self._shares = shares
        counts = [count for _, counts in shares for count in counts]
        self._mean = sum(counts) / len(shares[0][1])

    def __call__(self, step: int, part: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and, without gradient, the means of what the losses tell."""
        present = [(learner, counts[part]) for learner, counts in self._shares if counts[part]]
        found = [(learner(step, part), count / self._mean) for learner, count in present]
        loss = torch.stack([value * weight for (value, _), weight in found]).sum()
        told = [numbers for (_, numbers), _ in found]
        means = {name: torch.stack([one[name] for one in told]).nanmean() for name in told[0]}
        return loss, means | {"loss": loss.detach()}


def train_robot(
    team: Team,
    config: Config,
    start: Path,
    demos: Path,
    pictures: Path,
    pictures_low: Path,
    out: Path,
) -> None:
    """Go on from the checkpoint ``start`` with broad demonstrations; write ``out``.

    Each round goes on from the stored weights of the one before, which stay in ``out/round-N``: one
    whose weights stand there is not repeated. The frozen features of the frames stay in
    ``out/low``.

    Args:
        team: the processes.
        config: the whole configuration.
        start: folder of the model that has read pictures.
        demos: folder of the demonstrations.
        pictures: folder of the pictures with questions.
        pictures_low: folder of their features (`album.write_low`); what lacks is made.
        out: folder of the result.

    Raises:
        UnblindError: an input is missing or damaged, the loss is no longer finite, or the disk is
            full.
    """
    labelled = Labelled(demos, "train", config.demos.noop_filter)
    loaded = checkpoint.load(start)
    low = write_low(loaded, config, labelled, out / "low", team)
    album.write_low(loaded.model, pictures, "train", pictures_low, team)
    team.wait()
    stored = Album(pictures, "train", pictures_low)
    rounds = len(config.base.robot)
    for number in range(rounds):
        last = number + 1 == rounds
        folder = out if last else out / f"round-{number + 1}"
        if last or not (folder / checkpoint.WEIGHTS).exists():
            _train_round(team, config, number, start, labelled, low, stored, folder)
        start = folder


def _train_round(
    team: Team,
    config: Config,
    number: int,
    start: Path,
    labelled: Labelled,
    low: cache.Rows,
    stored: Album,
    out: Path,
) -> None:
    base, plan, seed = config.base, config.base.robot[number], config.seed + number
    loaded = checkpoint.load(start)
    model, vocabulary = loaded.model.train(), loaded.vocabulary
    statistics = shards.load_manifest(labelled.folder)["statistics"]
    normalizer = ActionNormalizer.from_json(statistics, labelled.folder)
    codec, weights = checkpoint.make_codec(normalizer, model.config), ActionWeights.read(base.loss)
    demos = data.Demonstrations(labelled, vocabulary, codec, weights, base.robot_questions, seed)
    n_pictures = plan.pictures_with_questions
    n_frames = plan.batch - n_pictures
    acting = Acting(team, demos, low, n_frames, seed)
    reading = Reading(team, stored, vocabulary, n_pictures, base.questions.turns, 0, seed)
    loss = Mixture(
        [
            (pretrain.make_learner(config, model, vocabulary, feed), feed.counts)
            for feed in (acting, reading)
        ]
    )
    identity = jobs.settings(config, "robot") | {"round": number, "start": loaded.identity}
    pretrain.train(team, "robot", model, loss, plan, out, seed, identity)
    if team.leads:
        checkpoint.save(out, model, vocabulary, statistics)
    team.wait()
