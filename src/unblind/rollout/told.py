"""Episodes in which a policy is told of the other object or plate, the scene being the same.

What succeeds there as often as in the episode proper does not follow the instruction.
"""

from dataclasses import replace

from unblind.sim import conditions
from unblind.sim.episodes import Episode


def of_other(episode: Episode) -> Episode:
    """Return an episode with the instruction that its distractors would have.

    Success still means that the episode's own object lies on its own plate.

    Args:
        episode: with a second object or a second plate.
    """
    names = {
        "object": episode.distractor or episode.object,
        "plate": episode.distractor_plate or episode.plate,
    }
    template = conditions.TEMPLATES[episode.template_index]
    return replace(episode, instruction=template.format_map(names))
