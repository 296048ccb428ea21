"""VLM pretraining: the decoder learns to read the tower's tokens, from questions about pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unblind.config import Config
from unblind.pictures import questions
from unblind.study import jobs
from unblind.training import data, pretrain
from unblind.training.album import Album
from unblind.training.feed import Inputs
from unblind.training.team import Team
from unblind.vla import checkpoint
from unblind.vla.batch import Turn, collate
from unblind.vla.text import Vocabulary


@dataclass(frozen=True)
class Reading:
    """Pictures of an album with questions, asked anew at every look (see `feed.Feed`).

    Attributes:
        team: the processes, which share a batch.
        album: the pictures.
        vocabulary: of the model.
        batch: pictures a step, dealt to its parts from the last one on, as frames are from the
            first: parts of a step that has both are as large as each other.
        turns: questions of a picture, at most.
        reading_steps: first steps, with the questions of `questions.READING` alone.
        seed: of pictures and questions.
    """

    team: Team
    album: Album
    vocabulary: Vocabulary
    batch: int
    turns: int
    reading_steps: int
    seed: int

    @property
    def counts(self) -> list[int]:
        """Pictures in each part of a step."""
        parts = range(self.team.n_parts)
        return [len(range(part, self.batch, self.team.n_parts)) for part in reversed(parts)]

    def __call__(self, step: int, part: int) -> Inputs:
        """Return a part of a step's batch."""
        rng = np.random.default_rng([self.seed, step, part])
        numbers = rng.integers(0, len(self.album), self.counts[part])
        plan = questions.READING if step < self.reading_steps else questions.PLAN
        batch = collate([self._ask(number, rng, plan) for number in numbers])
        return Inputs(self.album.low(numbers), batch, None)

    def _ask(self, number: int, rng: np.random.Generator, plan: Mapping[str, int]) -> list[Turn]:
        scene, names = self.album.scenes[number], self.album.names
        turns = questions.make_turns(scene, names, rng, self.turns, plan)
        return [data.ask(self.vocabulary, turn.question, turn.answer) for turn in turns]


def train_vlm(team: Team, config: Config, start: Path, pictures: Path, out: Path) -> None:
    """Go on from the tower's checkpoint ``start`` with questions; write the checkpoint ``out``."""
    plan = config.base.vlm
    loaded = checkpoint.load(start)
    model, vocabulary = loaded.model.train(), loaded.vocabulary
    album = Album(pictures, "train", start / "low")
    feed = Reading(team, album, vocabulary, plan.batch, plan.turns, plan.reading_steps, config.seed)
    learner = pretrain.make_learner(config, model, vocabulary, feed)
    identity = jobs.settings(config, "vlm") | {"start": loaded.identity}
    pretrain.train(team, "vlm", model, learner, plan, out, config.seed, identity)
    if team.leads:
        checkpoint.save(out, model, vocabulary, pretrain.NO_STATISTICS.to_json())
