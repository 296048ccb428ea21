"""Probes of the state that an answer is made from: which board does the instruction name?"""

from pathlib import Path

import models
import numpy as np
import pytest
import torch

from unblind.config import load
from unblind.diagnosis import named_board, probing
from unblind.png import encode
from unblind.think import domains
from unblind.think.episodes import decode, sample_ids
from unblind.vla.text import Words

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"
PLACES = ["left", "center", "right"]
#: All words of all instructions.
WORDS = [
    domain.template.format(concept=concept)
    for domain in domains.DOMAINS
    for concept in (*domain.concepts, "even", "odd")
]


def rows(count, names=("color", "weather", "parity"), styles=("seen",)):
    rng = np.random.default_rng(0)
    return [
        {"domain": name, "episode_id": number, "style": style}
        | {"image": encode(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))}
        for name in names
        for number in sample_ids(name, count, 0)
        for style in styles
    ]


def loaded():
    vocabulary = Words.build(WORDS)
    made = models.loaded()
    model = models.small(vocab_size=vocabulary.size)
    return type(made)(model, vocabulary, made.pixels, made.statistics, made.folder)


def test_every_frame_is_shown_with_each_of_its_boards_named_once():
    shown = named_board.frames(rows(3), "corrected")
    assert {one.episode.condition for one in shown} == {"color", "weather"}, "Parity has two boards"
    for one in shown:
        assert one.instructions[one.episode.named] == one.episode.instruction
        assert len(set(one.instructions)) == 3
        assert [board.place for board in one.episode.boards] == PLACES


def test_ids_are_held_out_whole_and_show_different_boards():
    ids = range(4 * 3 * 21, 4 * 3 * 21 + 70)  # Arrow: 4 x 3 x 2 arrangements, 3 targets, 21 tables
    image = encode(np.zeros((4, 4, 3), np.uint8))
    listed = [
        {"domain": "arrow", "episode_id": number, "style": style, "image": image}
        for number in ids
        for style in ("seen", "unseen")
    ]
    shown = named_board.frames(listed, "corrected")
    boards = [tuple(board.name for board in one.episode.boards) for one in shown]
    # 63 ids show the same boards: targets and tables change nothing about these.
    assert len(set(boards)) == 2 and len(shown) == 4
    assert [one.episode.style for one in shown] == ["seen", "unseen"] * 2
    assert [one.fold for one in shown] == [0, 0, 1, 1]
    parts = [one.fold for one in named_board.frames(rows(5), "corrected")]
    assert parts == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_states_are_those_of_each_prompt_alone():
    made, some = loaded(), named_board.frames(rows(2), "corrected")
    states = named_board._states(made, some, 0.0)
    assert states.shape == (3, 3 * len(some), 32)
    assert (states[0] == states[0][0]).all(), "all prompts end with the same token"
    one = some[1]
    low = named_board.low_features(made, one.image[None])
    for number, text in enumerate(one.instructions):
        prompt = made.vocabulary.action_prompt(text)
        alone = named_board.collate([[named_board.Turn(prompt, (0,), (0.0,))]]).text
        with torch.no_grad():
            layers = made.model.hidden(low, alone, layers=True)
        for site, layer in enumerate(layers):
            wanted = layer[0, -1]
            assert torch.allclose(states[site, 3 + number], wanted, atol=1e-4)


def test_a_record_has_a_row_for_each_site_and_board(monkeypatch):
    made, some = loaded(), named_board.frames(rows(4, styles=("seen", "unseen")), "corrected")
    told = []

    def learn(train, labels, test, settings, seed):
        told.append((len(train), len(test)))
        return probing.classify(train, labels, test, settings, seed)

    monkeypatch.setattr(named_board, "classify", learn)
    settings = load(MINI, {"probe.epochs": 2}).probe
    table = named_board.record(made, some, settings, 0, 0.0).to_pandas()
    assert list(table["site"].unique()) == ["embedding", "block 1", "block 2"]
    # 8 ids in two styles, three instructions: a quarter is asked about, the rest is learned.
    assert told == [(36, 12)] * 4 * 3
    assert len(table) == 3 * 48
    assert (table["right"] == (table["place"].astype(str) == table["guess"].astype(str))).all()
    frame = ["site", "domain", "episode_id", "style"]
    whole = table.groupby(frame, observed=True)
    assert (whole["right"].transform("all") == table["all_right"]).all()
    embedding = table[table["site"] == "embedding"]
    assert embedding["right"].mean() == pytest.approx(1 / 3), "the picture is not seen there"


def test_a_state_that_tells_the_place_is_read_and_one_of_the_picture_alone_is_not(monkeypatch):
    made, some = loaded(), named_board.frames(rows(8), "corrected")
    generator = torch.Generator().manual_seed(0)
    picture = torch.randn(len(some), 8, generator=generator).repeat_interleave(3, 0)
    place = torch.eye(3).repeat(len(some), 1) + 0.1 * picture[:, :3]
    states = torch.stack([picture, torch.cat([place, picture[:, 3:]], 1), picture])
    monkeypatch.setattr(named_board, "_states", lambda *_: states)
    table = named_board.record(made, some, load(MINI).probe, 0, 0.0).to_pandas()
    right = table.groupby("site", observed=True)["right"].mean()
    assert right["block 1"] == 1
    assert right["embedding"] == right["block 2"] == pytest.approx(1 / 3)


def test_the_named_board_is_where_the_episode_says():
    episode = decode("weather", sample_ids("weather", 1, 0)[0])
    (one,) = named_board.frames(rows(1, names=("weather",)), "corrected")
    assert one.episode == episode
