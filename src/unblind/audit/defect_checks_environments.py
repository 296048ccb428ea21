"""Checks of the released environments: conditions of Table 1, VL-Think, settling, overlays.

Nothing is simulated or rendered: the rules decide about ids, speeds and made-up pictures.
"""

import numpy as np

from unblind.audit.defect_outcome import Outcome, by_name
from unblind.errors import UnblindError
from unblind.sim import conditions, overlay
from unblind.sim.episodes import Fidelity, decode, sample_ids, space_size
from unblind.sim.success import needs_more_settling

# Of VL-Think's Parity environment: the numbers on its boards, in the order of the released
# model_db.json, and the table photos.
_NUMBERS = (8, 5, 4, 1, 7, 6, 3, 2)
_ODD = tuple(number for number in _NUMBERS if number % 2)
_EVEN = tuple(number for number in _NUMBERS if number % 2 == 0)
_PARITY_IDS = len(_ODD) * len(_EVEN) * 2 * len(conditions.TABLES)


def multi_carrot_self_distractor() -> Outcome:
    """Count pairs of MultiCarrot's test split in which the distractor is the target."""
    space = conditions.get("multi_carrot").evaluation
    digits = space.digits()
    pairs = digits["object"] * digits["distractor"]

    def own(fidelity: Fidelity) -> int:
        ids = (pair * (space.size // pairs) for pair in range(pairs))
        return sum(decode("multi_carrot", n, fidelity=fidelity).self_distractor for n in ids)

    released, corrected = own("released"), own("corrected")
    text = "the distractor is the target in {} of " + f"{pairs} pairs"
    return Outcome(
        text.format(released), text.format(corrected), shown=released > 0 and corrected == 0
    )


def texture_depends_on_batch() -> Outcome:
    """Blend one made-up frame alone and together with a companion that has a larger mask."""
    rng = np.random.default_rng(0)
    rgb, photo, texture = rng.integers(0, 256, (3, 96, 128, 3), dtype=np.uint8)
    mask = np.zeros((96, 128), bool)
    mask[20:50, 30:90] = True
    frame = (rgb, mask, photo, texture, 0.5)
    released = overlay.blend_mask(*frame, (30, 60)) != overlay.blend_mask(*frame, (80, 100))
    # The fixed rule does not know about companions, so this is the same call twice.
    corrected = overlay.blend_mask(*frame) != overlay.blend_mask(*frame)
    changed = [int(differs.any(-1).sum()) for differs in (released, corrected)]
    text = "a companion changes {:,} of " + f"{mask.sum():,} textured pixels"
    return Outcome(*map(text.format, changed), shown=changed[0] > 0 and changed[1] == 0)


def settling_depends_on_batch() -> Outcome:
    """Ask for 4 environments whether they settle on: together, as released, and each alone."""
    speeds = np.zeros((4, 2, 3))
    speeds[:, 0, 0] = 0.0006  # m/s, of the objects
    still = np.zeros_like(speeds)
    together = needs_more_settling(speeds, still)
    alone = sum(needs_more_settling(speeds[i : i + 1], still[i : i + 1]) for i in range(4))
    return Outcome(
        f"{4 * together} of 4 objects at 0.6 mm/s settle on when batched",
        f"{alone} of 4 settle on, each decided alone",
        shown=4 * together != alone,
    )


def settling_overlooks_carrot() -> Outcome:
    """Let the carrot move at 2 mm/s among three boards at rest, as VL-Think judges it."""
    carrot, board = np.array([0.002, 0.0, 0.0]), np.zeros(3)
    left, centre, right = board, board, board
    # The release stores the right board's speed under the carrot's name and so adds it twice.
    lists = [(right, left, centre, right), (carrot, left, centre, right)]
    settles = [needs_more_settling(np.array([s]), np.zeros((1, 4, 3))) for s in lists]
    text = "carrot at 2 mm/s: {}"
    words = ["settles on" if settle else "taken to be at rest" for settle in settles]
    return Outcome(*map(text.format, words), shown=settles == [False, True])


def ee_pose_unshifted_row() -> Outcome:
    """Count ids of EEPose that start in the training pose, in one list of either fidelity."""
    fixed = {"object": 0, "table": 0, "place": 0, "yaw": 1}
    unshifted = {}
    for fidelity in ("released", "corrected"):
        ids = sample_ids("ee_pose", 1000, 4, purpose="pretraining", fidelity=fidelity, fixed=fixed)
        unshifted[fidelity] = sum(not any(decode("ee_pose", n).joint_offset) for n in ids)
    text = "{} of 1,000 drawn ids start in the training pose"
    return Outcome(
        *map(text.format, unshifted.values()),
        shown=unshifted["released"] > 0 and unshifted["corrected"] == 0,
    )


def ids_wrap_silently() -> Outcome:
    """Cut the last id of EEPose to 32 bits, as an int32 array would, and decode it."""
    last = space_size("ee_pose") - 1
    short = int(np.int64(last).astype(np.int32))
    meant, got = (decode("ee_pose", n, fidelity="released") for n in (last, short))
    try:
        decode("ee_pose", short)
        refusal = "accepted"
    except UnblindError as error:
        refusal = f"refused: {error.cause}"
    return Outcome(
        f"id {last:,} cut to 32 bits is {short:,}: '{meant.object}' becomes '{got.object}'",
        f"id {short:,} is {refusal}",
        shown=meant.object != got.object and refusal != "accepted",
    )


def _parity_boards(number: int, fidelity: Fidelity) -> tuple[int, int, int]:
    """Return what the prompt asks for (0 even, 1 odd) and the scored and the planned number.

    An id counts odd board, side of the target, even board and table photo; the prompt says "even"
    for even ids (released class ``PutOnNumberInSceneParity``).
    """
    rest = number // len(conditions.TABLES)
    odd, even = _ODD[rest // (2 * len(_EVEN))], _EVEN[rest % len(_EVEN)]
    on_right = rest // len(_EVEN) % 2 == 1
    asked = number % 2
    matching, other = (odd, even) if asked else (even, odd)
    if fidelity == "corrected":
        return asked, matching, matching
    # The release puts the other parity on the target's side and scores that board; its planner
    # goes right for "even" and left for "odd", whichever side is the target's.
    scored, unscored = other, matching
    planned = scored if on_right == (asked == 0) else unscored
    return asked, scored, planned


def _parity_errors(fidelity: Fidelity) -> tuple[int, int]:
    """Return on how many ids the scored and the planned board contradict the prompt."""
    boards = np.array([_parity_boards(number, fidelity) for number in range(_PARITY_IDS)])
    asked, scored, planned = boards.T
    return int((scored % 2 != asked).sum()), int((planned % 2 != asked).sum())


def parity_scoring_inverted() -> Outcome:
    """Count ids of Parity whose scored board contradicts the prompt."""
    released, corrected = _parity_errors("released")[0], _parity_errors("corrected")[0]
    text = "the scored board contradicts the prompt in {} of " + f"{_PARITY_IDS} ids"
    return Outcome(
        text.format(released), text.format(corrected), shown=released > 0 and corrected == 0
    )


def parity_planner_target() -> Outcome:
    """Count ids of Parity whose planned board contradicts the prompt."""
    released, corrected = _parity_errors("released")[1], _parity_errors("corrected")[1]
    text = "the planner's board contradicts the prompt in {} of " + f"{_PARITY_IDS} ids"
    return Outcome(
        text.format(released), text.format(corrected), shown=released > 0 and corrected == 0
    )


CHECKS = by_name(
    multi_carrot_self_distractor,
    texture_depends_on_batch,
    settling_depends_on_batch,
    settling_overlooks_carrot,
    ee_pose_unshifted_row,
    ids_wrap_silently,
    parity_scoring_inverted,
    parity_planner_target,
)
