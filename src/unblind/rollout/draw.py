"""Which episodes a condition is evaluated on: the first at random, further ones evenly.

Further episodes are drawn by minimisation (Pocock and Simon 1975): next comes the one whose values
of all factors together have come least often so far. With 64 episodes every object, plate, table,
texture, template, yaw and place then counts about the same, and the first ones stay those of a
smaller study.
"""

from collections import Counter
from collections.abc import Iterator

from unblind.sim import conditions
from unblind.sim.episodes import Episode, Fidelity, Purpose, decode, sample_ids

#: Of the list of ids, the first so many that are not yet drawn are compared.
WINDOW = 256
#: What is balanced: fields of an episode. Joint offsets are too many to come twice.
FACTORS = (
    *("object_index", "distractor_index", "plate_index", "distractor_plate_index"),
    *("table_index", "texture_index", "template_index", "yaw_index"),
    *("object_xyz", "plate_xyz", "third_xyz"),
)


def draw(
    condition: str,
    n: int,
    seed: int,
    fidelity: Fidelity,
    at_random: int,
    purpose: Purpose = "evaluation",
) -> list[Episode]:
    """Return ``n`` episodes; the first k of n are the list for k.

    Args:
        condition: its name.
        n: how many.
        seed: of the list of ids (`sample_ids`).
        fidelity: of the episodes.
        at_random: the first so many are those of the list.
        purpose: of the list; lists of different purposes never meet.

    Raises:
        UnblindError: see `sample_ids`.
    """
    split = conditions.get(condition).split
    further = max(n - at_random, 0)
    listable = n + (WINDOW if further else 0)
    ids = sample_ids(condition, listable, seed, split, purpose=purpose, fidelity=fidelity)
    listed = [decode(condition, number, split, fidelity) for number in ids]
    chosen, waiting = listed[: n - further], listed[n - further :]
    seen = Counter(level for episode in chosen for level in _levels(episode))
    for _ in range(further):
        # Of several that came least often, the first of the list.
        best = min(waiting[:WINDOW], key=lambda one: sum(seen[level] for level in _levels(one)))
        waiting.remove(best)
        chosen.append(best)
        seen.update(_levels(best))
    return chosen


def _levels(episode: Episode) -> Iterator[tuple[str, object]]:
    """Yield each factor with the value that an episode has of it."""
    return ((factor, getattr(episode, factor)) for factor in FACTORS)
