"""The stages that make the base: questions about pictures, then a robot's demonstrations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unblind import config as settings
from unblind.config import Config, digest
from unblind.demos import pretraining, shards
from unblind.pictures import questions
from unblind.sim.catalogs import load_catalog
from unblind.study import jobs
from unblind.study.stages import STAGES
from unblind.training import data, loop
from unblind.training.feed import Feed, Inputs
from unblind.training.frames import ActionWeights, Labelled
from unblind.training.losses import Learner, TokenLoss
from unblind.training.meter import Meter
from unblind.training.team import Team
from unblind.vla import checkpoint
from unblind.vla.batch import collate
from unblind.vla.lite import load_lite
from unblind.vla.pixels import Squeezed
from unblind.vla.prismatic import Prismatic, PrismaticConfig
from unblind.vla.text import BOS, Vocabulary, Words
from unblind.vla.tokens import ActionNormalizer

_MAX_POSITIONS = 512
#: Steps between states to go on from.
_CHECKPOINT_STEPS = 100
#: Action statistics before any demonstration was seen: nothing is decoded with them.
NO_STATISTICS = ActionNormalizer((-1.0,) * 7, (1.0,) * 7, (-1.0,) * 7, (1.0,) * 7)


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


@dataclass(frozen=True)
class Drawn:
    """Examples with questions, their pictures jittered (see `feed.Feed`).

    Attributes:
        team: the processes, which share a batch.
        model: what is trained; its tower's frozen part makes the features.
        shares: where examples come from.
        seed: of the examples.
        jitter: largest relative change of a picture's brightness and colours.
    """

    team: Team
    model: Prismatic
    shares: Sequence[data.Share]
    seed: int
    jitter: float

    def __call__(self, step: int, part: int) -> Inputs:
        """Return a part of a step's batch."""
        rng = np.random.default_rng([self.seed, step, part, 1])
        examples = data.batch(self.shares, step, part, self.team.n_parts, self.seed)
        pixels = Squeezed(self.model.config.image_size)
        # Generated pictures and demonstrations may differ in size.
        images = [pixels.training(data.jitter(e.image, rng, self.jitter)[None]) for e in examples]
        low = self.model.vision_backbone.low(torch.cat(images))
        return Inputs(low, collate([e.turns for e in examples]), None)


def make_learner(config: Config, model: Prismatic, vocabulary: Vocabulary, feed: Feed) -> Learner:
    """Return the loss of a stage that makes the base."""
    loss = config.base.loss
    token_loss = TokenLoss(vocabulary, loss.action_width, loss.location_width)
    return Learner(model, feed, token_loss, vocabulary)


def train(
    team: Team,
    model: Prismatic,
    learner: Learner,
    plan: settings.Schedule,
    out: Path,
    seed: int,
    identity: Mapping[str, Any],
) -> None:
    """Train all but the tower's frozen blocks, the rest of the tower at a lower rate."""
    schedule = loop.Schedule(plan.steps, plan.rate, plan.warm_up, plan.weight_decay)
    unit = STAGES["vlm"].unit_cpu_s * plan.batch
    job = loop.Job(schedule, out, digest(identity), seed, _CHECKPOINT_STEPS, unit)
    parameters = trained(model)
    slower = [name for name in parameters if name.startswith("vision_backbone.")]
    loop.fit(team, parameters, learner, job, Meter(team, plan.batch), slower)


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
    loaded = checkpoint.load(start)
    model, vocabulary = loaded.model.train(), loaded.vocabulary
    statistics = shards.load_manifest(demos)["statistics"]
    codec = checkpoint.make_codec(ActionNormalizer.from_json(statistics, demos), model.config)
    robot = data.Demonstrations(
        Labelled(demos, "train", config.demos.noop_filter),
        vocabulary,
        codec,
        ActionWeights.read(base.loss),
        base.robot_questions,
        seed,
    )
    shares = [data.Share(robot, plan.batch - plan.pictures_with_questions)]
    if plan.pictures_with_questions:
        source = data.Questions(pictures, "train", vocabulary, base.questions.turns, seed)
        shares.append(data.Share(source, plan.pictures_with_questions))
    identity = jobs.settings(config, "robot") | {"round": number, "start": loaded.identity}
    learner = make_learner(config, model, vocabulary, Drawn(team, model, shares, seed, base.jitter))
    train(team, model, learner, plan, out, seed, identity)
    if team.leads:
        checkpoint.save(out, model, vocabulary, statistics)
    team.wait()
