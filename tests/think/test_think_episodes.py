"""What an id of VL-Think means: order of digits, layouts, the inverted score of Parity."""

import json
from collections import Counter

import numpy as np
import pytest

from unblind.errors import UnblindError
from unblind.pictures.scenes import COLORS
from unblind.sim.builtin import BUILTIN
from unblind.think import domains
from unblind.think.domains import DOMAINS, SHAPES
from unblind.think.episodes import decode, sample_ids, variants

THREE = [domain for domain in DOMAINS if domain.name != "parity"]


def contents(episode):
    return [board.name for board in episode.boards]


def some_ids(domain, n=40):
    return np.random.default_rng(0).integers(0, domain.size, n).tolist()


# ---- ids ----------------------------------------------------------------------------------------


def test_the_first_id_takes_the_first_of_everything():
    episode = decode("shape", 0)
    assert contents(episode) == ["black trapezoid", "black triangle", "black right_triangle"]
    assert (episode.named, episode.table_index) == (0, 0)
    assert episode.instruction == "put carrot on trapezoid"
    assert contents(decode("color", 0)) == ["black trapezoid", "red trapezoid", "green trapezoid"]
    assert decode("color", 0).instruction == "put carrot on black"


def test_the_last_id_takes_the_last_of_everything():
    episode = decode("shape", domains.get("shape").size - 1)
    assert contents(episode) == ["brown cross", "brown arrow", "brown star"]
    assert (episode.named, episode.table_index) == (2, 20)
    assert episode.instruction == "put carrot on star"
    last = decode("traffic", domains.get("traffic").size - 1)
    assert contents(last) == ["yield sign", "wild animals sign", "uneven road sign"]
    assert last.instruction == "put carrot on uneven road sign"


def test_a_shapes_colour_follows_it_and_shapes_follow_all_colours():
    # From the right: table 21, place 3, then (shape 14, colour 8) x 3 with 14, 13, 12 shapes left.
    one = 63 * (((((2 * 8 + 5) * 13 + 2) * 8 + 1) * 12 + 0) * 8 + 7)
    assert contents(decode("shape", one)) == ["purple right_triangle", "red rectangle",
                                              "brown trapezoid"]  # fmt: skip
    # Colours 8, 7, 6 left, then three shapes of 14.
    other = 63 * (((((4 * 7 + 4) * 6 + 0) * 14 + 13) * 14 + 0) * 14 + 9)
    assert contents(decode("color", other)) == ["orange cross", "purple trapezoid", "black circle"]


@pytest.mark.parametrize("domain", THREE, ids=lambda domain: domain.name)
def test_the_table_counts_first_then_the_target(domain):
    base = 63 * (domain.size // 63 // 2)
    for offset in (0, 1, 20, 21, 62):
        episode = decode(domain, base + offset)
        assert contents(episode) == contents(decode(domain, base))
        assert (episode.table_index, episode.named) == (offset % 21, offset // 21)


def test_every_id_of_a_small_domain_is_another_episode():
    for name in ("arrow", "parity"):
        domain = domains.get(name)
        seen = {
            (*contents(e), e.named, e.table_index, e.instruction)
            for e in (decode(domain, number) for number in range(domain.size))
        }
        assert len(seen) == domain.size


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_boards_differ_in_what_is_asked(domain):
    for number in some_ids(domain):
        episode = decode(domain, number)
        assert len({board.concept for board in episode.boards}) == len(episode.boards)
        asked = episode.boards[episode.named].concept
        if domain.name == "parity":
            asked = "odd" if int(asked) % 2 else "even"
        assert episode.instruction == domain.template.format(concept=asked)
        assert episode.concept == asked


@pytest.mark.parametrize("number", [-1, 672, 10**12])
def test_an_id_beyond_the_space_is_refused_or_wraps(number):
    with pytest.raises(UnblindError, match="beyond the space of parity"):
        decode("parity", number)
    wrapped, plain = decode("parity", number, "released"), decode("parity", number % 672)
    assert contents(wrapped) == contents(plain)


# ---- layout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_everything_is_dropped_where_it_is_released(domain):
    episode = decode(domain, some_ids(domain)[0])
    (role, carrot, xyz), *boards = episode.cast(BUILTIN)
    assert (role, carrot.name, xyz.tolist()) == ("object", "carrot", [-0.10, 0.0, 1.0])
    ys = [-0.155, 0.155] if domain.name == "parity" else [-0.155, 0.0, 0.155]
    assert [place.tolist() for _, _, place in boards] == [[-0.25, y, 1.0] for y in ys]
    assert [role for role, _, _ in boards].index("plate") == episode.named
    for _, model, _ in boards:
        assert model.density == 6368
        assert model.bbox == pytest.approx(
            np.array([[-0.055, -0.055, -0.003], [0.055, 0.055, 0.003]]), abs=1e-6
        )
    assert json.loads(json.dumps(episode.to_json()))["boards"][0]["place"] == "left"


def test_all_21_tables_and_all_places_come():
    listed = [decode("arrow", number) for number in range(1512)]
    assert Counter(e.table_index for e in listed) == dict.fromkeys(range(21), 72)
    assert Counter(e.named for e in listed) == dict.fromkeys(range(3), 504)


# ---- Parity -------------------------------------------------------------------------------------


def is_as_asked(episode, board):
    return int(episode.boards[board].concept) % 2 == (episode.concept == "odd")


def test_released_parity_scores_the_wrong_board_in_all_672_ids():
    listed = [decode("parity", number, "released") for number in range(672)]
    perfect = [next(b for b in (0, 1) if is_as_asked(e, b)) for e in listed]
    assert sum(e.scored == board for e, board in zip(listed, perfect, strict=True)) == 0
    assert [e.named for e in listed] == perfect
    # The released planner goes right for even and left for odd numbers.
    wrong = sum((e.concept == "even") != board for e, board in zip(listed, perfect, strict=True))
    assert wrong == 336


def test_corrected_parity_scores_what_the_instruction_names_in_the_same_scene():
    for number in range(672):
        corrected, released = decode("parity", number), decode("parity", number, "released")
        assert is_as_asked(corrected, corrected.scored) and corrected.scored == corrected.named
        assert corrected.boards == released.boards
        assert corrected.instruction == released.instruction
        assert corrected.plate == corrected.boards[corrected.scored].name != released.plate


# ---- the other layout ---------------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", ["corrected", "released"])
@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_the_other_layout_asks_the_same_elsewhere(domain, fidelity):
    for number in some_ids(domain):
        one = decode(domain, number, fidelity)
        other = decode(domain, number, fidelity, swapped=True)
        assert sorted(contents(one)) == sorted(contents(other))
        assert other.boards[other.named].name == one.boards[one.named].name
        assert other.boards[other.scored].name == one.boards[one.scored].name
        assert (one.instruction, one.table) == (other.instruction, other.table)
        assert one.named != other.named, "always the same place is never right twice"
        assert [board.place for board in one.boards] == [board.place for board in other.boards]
        moved = [a != b for a, b in zip(contents(one), contents(other), strict=True)]
        assert sum(moved) == 2, "two boards change places"


def test_places_are_as_balanced_in_the_other_layout():
    places = Counter(decode("arrow", number, swapped=True).named for number in range(1512))
    assert places == dict.fromkeys(range(3), 504)


# ---- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_lists_are_prefixes_and_purposes_never_meet(domain):
    listed = sample_ids(domain, 20, 0)
    assert sample_ids(domain, 7, 0) == listed[:7]
    assert len(set(listed)) == 20
    assert sample_ids(domain, 20, 1) != listed
    assert not set(listed) & set(sample_ids(domain, 20, 0, purpose="validation"))


def test_more_episodes_than_a_purpose_has_are_refused():
    assert len(sample_ids("parity", 56, 0)) == 56
    with pytest.raises(UnblindError, match="57 evaluation episodes asked of parity"):
        sample_ids("parity", 57, 0)


def test_every_variant_of_a_question_is_one_episode():
    listed = variants([3, 9], "weather", "corrected", ["seen", "unseen"], True, True)
    keys = {(e.episode_id, e.style, e.swapped, e.in_hand) for e in listed}
    assert len(keys) == len(listed) == 2 * 2 * 2 * 2
    assert len(variants([3, 9], "weather", "corrected", ["seen"], False, False)) == 2
    assert set(SHAPES) >= {board.drawing for board in decode("color", 5).boards}
    assert {board.color for board in decode("shape", 5).boards} <= set(COLORS)
