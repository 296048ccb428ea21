"""Knockout in closed loop: the success of a model whose text cannot see the target.

At every step the simulator tells which pixels show the object, and the visual tokens that show one
of them are hidden from the prompt and from the action tokens, in all decoder layers or in half of
them. Visual tokens still see each other. The planner's labels play no part: what is lost is lost
with the model's own mistakes and their correction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from unblind.config import Config
from unblind.diagnosis.frames import PARTS, area_shares
from unblind.diagnosis.hiding import hiding
from unblind.errors import UnblindError
from unblind.rollout import records
from unblind.rollout.draw import draw
from unblind.rollout.factory import ScenePolicy, load_policy
from unblind.rollout.policies import Observation, Policy
from unblind.rollout.run import Evaluation, Suite, evaluate, made_from
from unblind.rollout.trained import details
from unblind.rollout.worker import Reply, Scenes, Setup
from unblind.sim.episodes import Episode
from unblind.study import jobs
from unblind.study.rows.names import KNOCKOUTS
from unblind.study.stages import EPISODE_CPU_S

#: Pictures in a call of the model: no more than in one of its batches (`unblind.vla.policy`).
_WIDTH = 8
SCHEMA = pa.unify_schemas([records.SCHEMA, pa.schema([("hidden", pa.string())])])
"""Columns of a record: those of all, and which of `VARIANTS` it is of."""


@dataclass(frozen=True)
class Variant:
    """What is hidden from text and actions.

    Attributes:
        tokens: 'nothing', the 'target', or as many tokens 'elsewhere'.
        start, end: layers in which, as shares of the decoder's depth.
    """

    tokens: str = "nothing"
    start: float = 0.0
    end: float = 1.0

    def holds(self, layer: int, depth: int) -> bool:
        """Tell whether it holds at a layer, from 1, of a decoder of ``depth`` layers."""
        return self.start <= (layer - 1) / depth < self.end


#: All that is tried, by name of the record. The middle layer of an odd number is in the first half.
VARIANTS: Mapping[str, Variant] = dict(
    zip(
        KNOCKOUTS,
        (
            Variant(),
            Variant("target"),
            Variant("target", end=0.5),
            Variant("target", start=0.5),
            Variant("elsewhere"),
        ),
        strict=True,
    )
)


@dataclass(frozen=True)
class KnockoutEpisode(Episode):
    """An episode with something hidden.

    Attributes:
        hidden: one of `VARIANTS`.
    """

    hidden: str


def knockout_episodes(config: Config, name: str, seed: int) -> list[KnockoutEpisode]:
    """Return the episodes of a variant: the same scenes for all variants and runs.

    They are the first of Table 1's episodes of the condition.

    Raises:
        UnblindError: ``knockout.condition`` is none, or has fewer episodes.
    """
    asked, condition = config.rollout, config.knockout.condition
    at_random = asked.random_count(condition)
    drawn = draw(
        condition, config.knockout.episodes, seed, config.fidelity, at_random, asked.purpose
    )
    return [KnockoutEpisode(**vars(episode), hidden=name) for episode in drawn]


class KnockoutScenes(Scenes):
    """Scenes that tell where the picture shows the object."""

    def _kind(self) -> Any:
        from unblind.diagnosis.segments import SegmentedEnv

        return SegmentedEnv

    def reset(self, scene: int, episode: Episode) -> Reply:
        """Start an episode."""
        return self._told(scene, super().reset(scene, episode))

    def step(self, scene: int, action: np.ndarray | None) -> Reply:
        """Do one control step."""
        return self._told(scene, super().step(scene, action))

    def _told(self, scene: int, state: Reply) -> Reply:
        shown = self._envs[scene].segments()
        return replace(state, target=shown == PARTS.index("object"))


class KnockoutPolicy(ScenePolicy):
    """A model some of whose visual tokens its text cannot see, as each episode says."""

    def act(self, observations: Sequence[Observation]) -> np.ndarray:
        """Return (N, 7) float32 actions."""
        parts = [
            self._part(observations[start : start + _WIDTH])
            for start in range(0, len(observations), _WIDTH)
        ]
        return np.concatenate(parts)

    def _part(self, some: Sequence[Observation]) -> np.ndarray:
        model = self._policy.loaded.model
        hidden = hidden_tokens(some, model.config.grid, model.config.layers)
        with hiding(model, lambda layer: hidden[:, layer - 1, None]):
            return super().act(some)


def hidden_tokens(some: Sequence[Observation], grid: int, layers: int) -> Tensor:
    """Return which visual tokens are hidden at each layer, (N, layers, grid * grid) bool.

    The target's are all that show a pixel of it. As many others are the first of an order that the
    episode decides, so that in the course of an episode they stay where they are as far as the
    target lets them.

    Args:
        some: with the place of the object; their episodes say what is hidden.
        grid: visual tokens along a side.
        layers: of the decoder.
    """
    target = area_shares(np.stack([seen.target for seen in some]), grid) > 0
    hidden = np.zeros((len(some), layers, grid**2), bool)
    for row, seen in enumerate(some):
        variant = VARIANTS[seen.episode.hidden]
        at = [variant.holds(layer, layers) for layer in range(1, layers + 1)]
        if variant.tokens == "target":
            hidden[row, at] = target[row]
        elif variant.tokens == "elsewhere":
            order = np.random.default_rng(seen.episode.episode_id).permutation(grid**2)
            others = order[~target[row][order]][: target[row].sum()]
            hidden[row][np.ix_(at, others)] = True
    return torch.from_numpy(hidden)


def _setup(config: Config, policy: Policy | None) -> Setup:
    return Setup(config, images=True, oracle=False)


_SUITE = Suite(
    episodes=knockout_episodes,
    setup=_setup,
    crew={"scenes": KnockoutScenes},
    schema=SCHEMA,
)


def knock_out(
    config: Config, run: str, seed: int, out: Path, names: Sequence[str] | None, n_workers: int
) -> None:
    """Write ``out/NAME.parquet`` for each of `VARIANTS` whose record is not current.

    As `unblind.rollout.run.rollout`: finished episodes of an interrupted call are kept, and the
    result does not depend on the number of workers.

    Args:
        config: the whole configuration.
        run: one of ``config.runs`` with a model that acts.
        seed: evaluation seed; draws the episode ids and seeds the policy.
        out: folder of the records.
        names: of `VARIANTS`; all if None.
        n_workers: processes.

    Raises:
        UnblindError: unknown run, variant or condition, a run that is no model, the catalog lacks
            files, the run's model is missing or damaged, a worker died, or the disk is full.
    """
    job = jobs.Job(config, jobs.stage_of(config, "knockout", run), run, seed)
    names = names or list(VARIANTS)
    if unknown := [name for name in names if name not in VARIANTS]:
        raise UnblindError(f"'{unknown[0]}' is no knockout", f"name some of: {', '.join(VARIANTS)}")
    evaluation = Evaluation(
        run,
        seed,
        made_from(job),
        details(config, run, seed),
        lambda: KnockoutPolicy(load_policy(config, run, seed), seed),
        EPISODE_CPU_S["vla"] * config.rollout.max_steps / 80,
        _SUITE,
    )
    evaluate(config, evaluation, out, names, n_workers)
