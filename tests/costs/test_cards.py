"""What fits on a card, and what several GPUs cost, against sums by hand."""

from pathlib import Path

import pytest

from unblind.costs import cards
from unblind.costs.paper_scale import VALUES, fixed_memory, picture_memory

WEIGHTS, LORA, TEACHER = 15_082_474_368, 110_828_288, 2 * 320e6 + 4 * 14_693_376


def of(card, eight_bit=False, checkpointing=False):
    (found,) = [
        one
        for one in cards.fits()
        if (one.card, one.eight_bit, one.checkpointing) == (card, eight_bit, checkpointing)
    ]
    return found


def test_the_largest_batches_follow_from_the_memory():
    fixed, picture = WEIGHTS + 16 * LORA, 32e9 / 12
    assert fixed_memory("default") == fixed
    assert fixed_memory("align") == fixed + TEACHER
    assert picture_memory() == picture
    for card in cards.CARDS:
        batch = of(card).default
        assert fixed + batch * picture <= card < fixed + (batch + 1) * picture
    assert [of(card).default for card in cards.CARDS] == [2, 8, 23]
    # The paper's batch of 8, of both methods at once: 2 x 8 pictures on one card of 80 GB.
    assert of(80e9).two == 8 and of(40e9).two == 1
    assert 2 * fixed + TEACHER + 16 * picture <= 80e9


def test_checkpointing_keeps_the_inputs_of_blocks_alone():
    decoder, towers = 32 * 288 * 4096, 24 * 261 * 1024 + 27 * 256 * 1152
    assert VALUES["D_inputs"] == 2 * (decoder + towers)
    logits = 288 * 32_064 * 4 * 2
    wanted = 2 * (decoder + towers) + logits + 32e9 / 12 / 32
    assert picture_memory(checkpointing=True) == pytest.approx(wanted)
    assert of(24e9, checkpointing=True).align >= cards.BATCH > of(24e9).align
    # Each forward pass once more: six operations a weight instead of four.
    plain, twice = (cards.step_seconds("align", checkpointing=way) for way in (False, True))
    assert twice == pytest.approx(1.5 * plain)


def test_an_eight_bit_base_saves_half_of_the_weights():
    assert fixed_memory("default", 1) == fixed_memory("default") - WEIGHTS / 2
    saved = int((WEIGHTS / 2) // picture_memory())
    assert of(40e9, eight_bit=True).default - of(40e9).default in (saved, saved + 1)


def test_rollouts_call_the_policy_with_what_fits():
    for card in cards.CARDS:
        pictures = cards.calls(card)
        assert WEIGHTS + pictures * 288 * 524_288 <= card
        assert WEIGHTS + (pictures + 1) * 288 * 524_288 > card


def test_gradients_are_added_in_a_ring():
    # Two GPUs send each half of the float32 gradients twice: 443 MB at 20 GB a second.
    assert cards.all_reduce_seconds(2, "PCIe 4.0") == pytest.approx(4 * LORA / 20e9)
    assert cards.all_reduce_seconds(8, "NVLink") == pytest.approx(4 * LORA * 7 / 4 / 200e9)
    assert cards.all_reduce_seconds(1, "NVLink") == 0
    assert cards.step_seconds("align", 4) == pytest.approx(cards.step_seconds("align") / 4)


def test_the_documentation_shows_the_tables_and_says_that_they_are_assumed():
    page = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text()
    assert all(part in page for part in cards.markdown().split("\n\n"))
    for link in cards.LINKS.values():
        assert f"{VALUES[link] / 1e9:g} GB" in page
    for text in ("assumed", *(f"{cards.calls(card)}" for card in cards.CARDS)):
        assert text in page
