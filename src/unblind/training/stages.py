"""The stages that make the base: questions about pictures, then a robot's demonstrations."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unblind import config as settings
from unblind.config import Config, digest
from unblind.progress import UNIT_CPU_S
from unblind.sim import pretraining, shards
from unblind.sim.catalog import load_catalog
from unblind.training import data, loop, questions
from unblind.training.parallel import PARTS, Team
from unblind.vla import checkpoint
from unblind.vla.batch import Batch, TokenLoss, collate
from unblind.vla.lite import load_lite
from unblind.vla.pixels import Squeezed
from unblind.vla.prismatic import Prismatic, PrismaticConfig
from unblind.vla.text import BOS, Vocabulary, Words
from unblind.vla.tokens import ActionNormalizer

_MAX_POSITIONS = 512
#: Action statistics before any demonstration was seen: nothing is decoded with them.
_NO_STATISTICS = ActionNormalizer((-1.0,) * 7, (1.0,) * 7, (-1.0,) * 7, (1.0,) * 7)


def make_vocabulary() -> Words:
    """Return the vocabulary of everything that can be asked or told at this scale."""
    catalog = load_catalog(pretraining.CATALOG)
    names = [model.name for model in (*catalog.objects, *catalog.plates)]
    extra = [data.HEIGHT_QUESTION, data.HOLD_QUESTION, *pretraining.TEMPLATES]
    return Words.build([*questions.vocabulary(), *names, *extra])


def make_model(sizes: settings.Model, vocabulary: Vocabulary, seed: int) -> Prismatic:
    """Return a new model: its tower pretrained on ImageNet, the rest random from ``seed``."""
    values = sizes.model_dump()
    shape = PrismaticConfig(
        **{**values, "towers": tuple(values["towers"])},
        vocab_size=vocabulary.size,
        padded=0,
        bos=BOS,
        rms_norm_eps=1e-6,
        max_positions=_MAX_POSITIONS,
    )
    with torch.random.fork_rng(devices=[]):  # layers know no other generator
        torch.default_generator.manual_seed(seed)
        model = Prismatic(shape)
    tower = model.vision_backbone.featurizer
    tower.load_state_dict(load_lite(sizes.towers[0], len(tower.blocks)).state_dict())
    return model


def trained(model: Prismatic) -> dict[str, nn.Parameter]:
    """Return what the base's stages train: all but the tower's frozen first blocks."""
    fixed = {"vision_backbone.featurizer.stem."} | {
        f"vision_backbone.featurizer.blocks.{n}." for n in range(model.config.frozen_blocks)
    }
    chosen = {}
    for name, parameter in model.named_parameters():
        free = not any(name.startswith(start) for start in fixed)
        parameter.requires_grad_(free)
        if free:
            chosen[name] = parameter
    return chosen


class Learner:
    """A model's loss on a part of a step's batch.

    Args:
        model: what is trained.
        shares: where examples come from.
        targets: the token loss.
        seed: of the examples.
        jitter: largest relative change of a picture's brightness and colours.
    """

    def __init__(
        self,
        model: Prismatic,
        shares: Iterable[data.Share],
        targets: TokenLoss,
        seed: int,
        jitter: float,
    ) -> None:
        self._model, self._shares, self._targets = model, list(shares), targets
        self._seed, self._jitter = seed, jitter

    def __call__(self, step: int, part: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and the numbers of the log (see `loop.StepLoss`)."""
        rng = np.random.default_rng([self._seed, step, part, 1])
        examples = data.batch(self._shares, step, part, PARTS, self._seed)
        pixels = Squeezed(self._model.config.image_size)
        # Generated pictures and demonstrations may differ in size.
        changed = [data.jitter(e.image, rng, self._jitter)[None] for e in examples]
        batch = collate([e.turns for e in examples])
        low = self._model.vision_backbone.low(torch.cat([*map(pixels.training, changed)]))
        (states,) = self._model.hidden(low, batch.text)
        logits = answer_logits(self._model, states, batch)
        loss = self._targets(logits, batch)
        return loss, {"loss": float(loss.detach()), **accuracies(logits, batch)}


def answer_logits(model: Prismatic, states: Tensor, batch: Batch) -> Tensor:
    """Return the scores (M, vocab) that predict a batch's targets."""
    start = states.shape[1] - batch.text.ids.shape[1]
    return model.logits(states[batch.rows, start + batch.places])


DIMENSIONS = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


def accuracies(logits: Tensor, batch: Batch) -> dict[str, float]:
    """Return the share of right tokens: of each action dimension, and of other answers."""
    right = logits.detach().argmax(-1) == batch.targets
    found = {}
    for order, name in enumerate(DIMENSIONS):
        mine = batch.is_action & (batch.orders == order)
        if mine.any():
            found[f"accuracy_{name}"] = float(right[mine].float().mean())
    if (~batch.is_action).any():
        found["accuracy_answers"] = float(right[~batch.is_action].float().mean())
    return found


def token_loss(values: settings.ActionLoss, vocabulary: Vocabulary) -> TokenLoss:
    """Return the loss that the configuration asks for."""
    return TokenLoss(vocabulary, values.action_width, values.location_width)


def schedule(values: settings.Schedule) -> loop.Schedule:
    """Return a stage's schedule."""
    return loop.Schedule(values.steps, values.rate, values.warm_up, values.weight_decay)


def _train(
    team: Team,
    model: Prismatic,
    learner: Callable[..., Any],
    plan: settings.Schedule,
    out: Path,
    identity: Mapping[str, Any],
    unit_cpu_s: float,
) -> None:
    parameters = trained(model)
    slow = [name for name in parameters if name.startswith("vision_backbone.")]
    loop.fit(
        team,
        parameters,
        slow,
        learner,
        schedule(plan),
        out,
        digest(identity),
        unit_cpu_s=unit_cpu_s * plan.batch,
    )


def train_vlm(team: Team, config: Config, pictures: Path, out: Path) -> None:
    """Train a new model on pictures with questions; write the checkpoint ``out``."""
    base = config.base
    vocabulary = make_vocabulary()
    model = make_model(base.model, vocabulary, config.seed)
    source = data.Questions(pictures, "train", vocabulary, base.questions.turns, config.seed)
    learner = Learner(
        model,
        [data.Share(source, base.vlm.batch)],
        token_loss(base.loss, vocabulary),
        config.seed,
        base.jitter,
    )
    _train(team, model, learner, base.vlm, out, config.part("vlm"), UNIT_CPU_S["pretraining"])
    if team.leads:
        checkpoint.save(out, model, vocabulary, _NO_STATISTICS.to_json())


def train_robot(
    team: Team, config: Config, start: Path, demos: Path, pictures: Path, out: Path
) -> None:
    """Go on from the checkpoint ``start`` with broad demonstrations; write ``out``.

    Each round goes on from the stored weights of the one before, which stay in ``out/round-N``.
    """
    rounds = len(config.base.robot)
    for number in range(rounds):
        last = number + 1 == rounds
        folder = out if last else out / f"round-{number + 1}"
        _robot_round(team, config, number, start, demos, pictures, folder)
        start = folder


def _robot_round(
    team: Team,
    config: Config,
    number: int,
    start: Path,
    demos: Path,
    pictures: Path,
    out: Path,
) -> None:
    base, plan, seed = config.base, config.base.robot[number], config.seed + number
    found = checkpoint.load(start)
    model, vocabulary = found.model.train(), found.vocabulary
    statistics = shards.load_manifest(demos)["statistics"]
    codec = checkpoint.make_codec(ActionNormalizer.from_json(statistics, demos), model.config)
    robot = data.Demonstrations(
        demos,
        "train",
        vocabulary,
        codec,
        config.demos.noop_filter,
        action_weights(base.loss),
        base.robot_questions,
        seed,
    )
    shares = [data.Share(robot, plan.batch - plan.pictures_with_questions)]
    if plan.pictures_with_questions:
        source = data.Questions(pictures, "train", vocabulary, base.questions.turns, seed)
        shares.append(data.Share(source, plan.pictures_with_questions))
    learner = Learner(model, shares, token_loss(base.loss, vocabulary), seed, base.jitter)
    identity = config.part("robot") | {"round": number, "start": found.identity}
    _train(team, model, learner, plan, out, identity, UNIT_CPU_S["pretraining"])
    if team.leads:
        checkpoint.save(out, model, vocabulary, statistics)
    team.wait()


def action_weights(values: settings.ActionLoss) -> data.ActionWeights:
    """Return the weights that the configuration asks for."""
    return data.ActionWeights(values.gripper_reach, values.gripper_lift, values.still_motion)
