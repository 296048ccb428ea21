"""Episodes in which a policy is told something else, the scene being the same: instruction arms.

What succeeds as often as when told what to do does not hear the instruction: told of the other
object or plate, it should leave the right one alone; told nothing, or the words in another order,
it lacks what says where to go; told the same in other words, it should do the same.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from unblind.config import Arm
from unblind.sim import conditions
from unblind.sim.episodes import Episode


def of_other(episode: Episode) -> str:
    """Return the instruction that the episode's distractors would have, in the same template.

    Success still means that the episode's own object lies on its own plate.

    Args:
        episode: with a second object or a second plate.
    """
    return conditions.TEMPLATES[episode.template_index].format_map(
        {
            "object": episode.distractor or episode.object,
            "plate": episode.distractor_plate or episode.plate,
        }
    )


def nothing(episode: Episode) -> str:
    """Return the empty instruction."""
    return ""


def shuffled(episode: Episode) -> str:
    """Return the instruction's words in an order that the episode decides, but not their own."""
    words, random = episode.instruction.split(), _random("shuffled", episode)
    others = words
    while others == words:
        others = [words[place] for place in random.permutation(len(words))]
    return " ".join(others)


def paraphrase(episode: Episode) -> str:
    """Return the same in another template (`conditions.TEMPLATES`) that the episode decides."""
    others = [n for n in range(len(conditions.TEMPLATES)) if n != episode.template_index]
    chosen = others[_random("paraphrase", episode).integers(len(others))]
    names = {"object": episode.object, "plate": episode.plate}
    return conditions.TEMPLATES[chosen].format_map(names)


#: What a policy can be told instead of its instruction.
ARMS: Mapping[Arm, Callable[[Episode], str]] = {
    "told_other": of_other,
    "told_nothing": nothing,
    "told_shuffled": shuffled,
    "told_paraphrase": paraphrase,
}


def tell(arm: Arm, episode: Episode) -> Episode:
    """Return an episode with the instruction of an arm, and nothing else changed."""
    return replace(episode, instruction=ARMS[arm](episode))


def _random(arm: str, episode: Episode) -> np.random.Generator:
    """Return a stream of an episode's own, the same for all runs."""
    return np.random.default_rng(
        [zlib.crc32(f"{arm}/{episode.condition}".encode()), episode.episode_id]
    )
