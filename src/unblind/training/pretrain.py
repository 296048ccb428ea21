"""What the stages that make the base have in common: a new model, what is trained, and how."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unblind import config as settings
from unblind.config import Config, digest
from unblind.demos import pretraining
from unblind.pictures import questions
from unblind.sim.catalogs import load_catalog
from unblind.study.stages import STAGES
from unblind.training import data, loop
from unblind.training.feed import Feed
from unblind.training.losses import Learner, TokenLoss
from unblind.training.meter import Meter
from unblind.training.team import Team
from unblind.vla.lite import load_lite
from unblind.vla.prismatic import Prismatic, PrismaticConfig
from unblind.vla.text import BOS, Vocabulary, Words
from unblind.vla.tokens import ActionNormalizer

_MAX_POSITIONS = 512
#: Of a decoder that does nothing.
_NO_BLOCKS = {"layers": 0, "heads": 1, "intermediate_size": 1}
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


def make_model(sizes: settings.Encoder, vocabulary: Vocabulary, seed: int) -> Prismatic:
    """Return a new model: its tower pretrained on ImageNet, the rest random from ``seed``.

    Args:
        sizes: those of a `Model`, or of an encoder alone: its decoder has words but no blocks.
        vocabulary: its words.
        seed: of what is random.
    """
    values = _NO_BLOCKS | sizes.model_dump()
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
    tower.load_state_dict(load_lite(tower.name, len(tower.blocks)).state_dict())
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


def make_learner(config: Config, model: Prismatic, vocabulary: Vocabulary, feed: Feed) -> Learner:
    """Return the loss of a stage that makes the base."""
    loss = config.base.loss
    token_loss = TokenLoss(vocabulary, loss.action_width, loss.location_width)
    return Learner(model, feed, token_loss, vocabulary)


def train(
    team: Team,
    stage: str,
    model: Prismatic,
    loss: loop.StepLoss,
    plan: settings.Schedule,
    out: Path,
    seed: int,
    identity: Mapping[str, Any],
) -> None:
    """Train all but the tower's frozen blocks, the rest of the tower at a lower rate."""
    schedule = loop.Schedule(plan.steps, plan.rate, plan.warm_up, plan.weight_decay)
    unit = STAGES[stage].unit_cpu_s * plan.batch
    job = loop.Job(schedule, out, digest(identity), seed, _CHECKPOINT_STEPS, unit)
    parameters = trained(model)
    slower = [name for name in parameters if name.startswith("vision_backbone.")]
    loop.fit(team, parameters, loss, job, Meter(team, plan.batch), slower)
