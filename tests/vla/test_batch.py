import models

from unblind.vla.batch import PAD, Turn, collate
from unblind.vla.text import EOS

WORDS = models.VOCABULARY


def turn(prompt, answer, weights=None, family="question"):
    made = Turn.of(prompt, answer)
    return Turn(made.prompt, made.answer, weights or made.weights, family)


def test_each_turn_is_a_branch_with_positions_of_its_own():
    batch = collate([[turn([10, 11, 12], [20, 21]), turn([13], [22])], [turn([14, 15], [23])]])
    pad = PAD
    assert batch.text.ids.tolist() == [
        [10, 11, 12, 20, 21, 13, 22],
        [14, 15, 23, pad, pad, pad, pad],
    ]
    assert batch.text.positions.tolist() == [[0, 1, 2, 3, 4, 0, 1], [0, 1, 2, 0, 0, 0, 0]]
    assert batch.text.branches.tolist() == [[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, -1, -1, -1, -1]]


def test_targets_are_the_answers_and_eos_and_nothing_else():
    batch = collate([[turn([10, 11, 12], [20, 21]), turn([13], [22])], [turn([14, 15], [23])]])
    assert batch.targets.tolist() == [20, 21, EOS, 22, EOS, 23, EOS]
    assert batch.rows.tolist() == [0, 0, 0, 0, 0, 1, 1]
    # Predicted from the prompt's last token on; EOS from the answer's last one.
    assert batch.places.tolist() == [2, 3, 4, 5, 6, 1, 2]
    assert batch.orders.tolist() == [0, 1, 2, 0, 1, 0, 1]


def test_an_actions_targets_are_its_seven_tokens_and_eos():
    ids = list(WORDS.actions)[:7]
    batch = collate([[turn([10, 11], ids, family="action"), turn([12], [20])]])
    assert batch.targets[batch.is_action].tolist() == [*ids, EOS]
    assert batch.targets[~batch.is_action].tolist() == [20, EOS]


def test_a_given_length_pads_further():
    turns = [[turn([10, 11], [20])]]
    assert collate(turns, 9).text.ids.shape == (1, 9)
    assert collate(turns, 9).places.tolist() == collate(turns).places.tolist()


def test_a_batch_moves_as_a_whole():
    turns = [[turn([10, 11], [20]), turn([12], [21])]]
    moved = collate(turns).to("meta")
    given = collate(turns, device="meta")
    for batch in (moved, given):
        assert all(tensor.is_meta for tensor in (*batch.text, *batch[1:]))
    assert moved.text.ids.shape == collate(turns).text.ids.shape
