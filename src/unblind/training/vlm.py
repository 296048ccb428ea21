"""VLM pretraining: the decoder learns to read the tower's tokens, from questions about pictures."""

from pathlib import Path

import numpy as np
from torch import Tensor

from unblind.config import Config
from unblind.study import jobs
from unblind.study.stages import STAGES
from unblind.training import data, questions, stages
from unblind.training.album import Album
from unblind.training.parallel import PARTS, Team
from unblind.vla import checkpoint
from unblind.vla.layout import TokenLoss, Turn, collate
from unblind.vla.prismatic import Prismatic
from unblind.vla.text import Vocabulary


class Reader:
    """A model's loss on questions about an album's pictures, asked anew at every look.

    Args:
        model: what is trained.
        vocabulary: its words.
        album: the pictures.
        targets: the token loss.
        batch: pictures a step.
        turns: questions of a picture, at most.
        seed: of pictures and questions.
    """

    def __init__(
        self,
        model: Prismatic,
        vocabulary: Vocabulary,
        album: Album,
        targets: TokenLoss,
        batch: int,
        turns: int,
        seed: int,
    ) -> None:
        self._model, self._vocabulary, self._album = model, vocabulary, album
        self._targets, self._batch, self._turns, self._seed = targets, batch, turns, seed

    def __call__(self, step: int, part: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and the numbers of the log (see `loop.StepLoss`)."""
        rng = np.random.default_rng([self._seed, step, part])
        numbers = rng.integers(0, len(self._album), self._batch // PARTS)
        batch = collate([self._ask(n, rng) for n in numbers])
        (states,) = self._model.hidden(self._album.low(numbers), batch.text)
        logits = stages.answer_logits(self._model, states, batch)
        loss = self._targets(logits, batch)
        return loss, {"loss": float(loss.detach()), **stages.accuracies(logits, batch)}

    def _ask(self, number: int, rng: np.random.Generator) -> list[Turn]:
        album = self._album
        turns = questions.make_turns(album.scenes[number], album.names, rng, self._turns)
        return [data.ask(self._vocabulary, turn.question, turn.answer) for turn in turns]


def train_vlm(team: Team, config: Config, start: Path, pictures: Path, out: Path) -> None:
    """Go on from the tower's checkpoint ``start`` with questions; write the checkpoint ``out``."""
    base = config.base
    found = checkpoint.load(start)
    model, vocabulary = found.model.train(), found.vocabulary
    reader = Reader(
        model,
        vocabulary,
        Album(pictures, "train", start / "low"),
        stages.token_loss(base.loss, vocabulary),
        base.vlm.batch,
        base.vlm.turns,
        config.seed,
    )
    identity = jobs.settings(config, "vlm") | {"start": found.sha256}
    stages.train(team, model, reader, base.vlm, out, identity, STAGES["vlm"].unit_cpu_s)
    if team.leads:
        checkpoint.save(out, model, vocabulary, stages.NO_STATISTICS.to_json())
