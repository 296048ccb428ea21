"""Episodes that one run wins and the other loses, counted, listed and drawn."""

from pathlib import Path

import commands
import imageio.v3 as imageio
import numpy as np
import pytest
import sizes
import synthetic
import takes

from unblind.cli import look
from unblind.config import load
from unblind.errors import Note, UnblindError
from unblind.films import compare

EPISODES = 8


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A study of which the records of two runs are there, with made-up ids from 0 and from 1000."""
    results = tmp_path_factory.mktemp("results")
    changes = sizes.episodes(EPISODES)
    config = load(commands.SMOKE, {**changes, "results": str(results), "seeds": [0, 1]})
    for run, finals in (("default", 3), ("base", 1)):
        for seed in config.seeds:
            folder = results / "rollouts" / run / str(seed)
            synthetic.write_records(
                config, run, seed, folder, {"carrot": finals}, rules=("rollout",)
            )
    return config


def test_episodes_are_paired_counted_and_listed(config):
    duel = compare.duel(config, "PutOnPlateInScene25Carrot-v1", ["default", "base"], None)
    assert (duel.condition, duel.seeds) == ("carrot", (0, 1))
    assert (duel.paired.won, duel.paired.lost, duel.paired.n) == (4, 0, 2 * EPISODES)
    assert duel.paired.delta == pytest.approx(4 / 16)
    assert duel.p == pytest.approx(2 * 0.5**4)
    assert [(one.seed, one.episode.episode_id) for one in duel.decided] == [
        (0, 1),
        (0, 2),
        (1, 1001),
        (1, 1002),
    ]
    text = compare.told(duel)
    assert "carrot: Default and Base (before fine-tuning) on 16 identical episodes" in text
    assert "alone succeeds in 4" in text and "+25.0 points" in text and "p = 0.12" in text
    rows = [line.split(maxsplit=3) for line in text.splitlines()[-4:]]
    assert [row[:3] for row in rows] == [
        ["0", "1", "default"],
        ["0", "2", "default"],
        ["1", "1001", "default"],
        ["1", "1002", "default"],
    ]
    assert rows[0][3] == duel.decided[0].episode.instruction
    other = compare.duel(config, "carrot", ["base", "default"], 1)
    assert (other.paired.won, other.paired.lost) == (0, 2)
    assert {one.winner for one in other.decided} == {"default"}


def test_what_cannot_be_compared_is_refused(config):
    for runs in (["default"], ["default"] * 2, ["default", "base", "noop"]):
        with pytest.raises(UnblindError, match="name two runs"):
            compare.duel(config, "carrot", runs, None)
    with pytest.raises(UnblindError, match="unknown condition 'carot'"):
        compare.duel(config, "carot", ["default", "base"], None)
    with pytest.raises(UnblindError, match="unknown run 'defualt'"):
        compare.duel(config, "carrot", ["defualt", "base"], None)
    with pytest.raises(UnblindError, match=r"noop/0/carrot\.parquet is missing"):
        compare.duel(config, "carrot", ["default", "noop"], None)


def test_the_first_episodes_are_drawn_in_rows(config, tmp_path, monkeypatch, capsys):
    duel = compare.duel(config, "carrot", ["default", "base"], None)
    log = takes.replace_actors(monkeypatch, compare, lambda name, episode: name == "default")
    path = compare.draw(config, duel, tmp_path / "sheet.png", 3)
    assert log == [
        *(("default", 0, 1), ("default", 0, 2), ("default", 1, 1001)),
        *(("base", 0, 1), ("base", 0, 2), ("base", 1, 1001)),
    ]
    told = capsys.readouterr().err
    assert "steps to act again: 480 to do, about" in told
    sheet = imageio.imread(path)
    green = (np.abs(sheet.astype(int) - (0, 150, 80)).sum(-1) < 3).sum(1)
    assert ((green[1:] > 200) & (green[:-1] <= 200)).sum() == 6, "two edges of a frame a row"
    assert [one.name for one in tmp_path.iterdir()] == ["sheet.png"]


def test_a_list_needs_no_model(config, capsys):
    study = [f"results={config.results}", "seeds=[0, 1]"]
    study += [f"{key}={value}" for key, value in sizes.episodes(EPISODES).items()]
    asked = {"config": Path(commands.SMOKE), "override": study, "seed": 1, "only_list": True}
    look.compare("carrot", runs="base, default", **asked)
    duel = compare.duel(config, "carrot", ["base", "default"], 1)
    assert capsys.readouterr().out == compare.told(duel) + "\n"
    assert not Path(config.results, "films").exists()


def test_who_acts_otherwise_than_in_the_record_is_named(config, tmp_path, monkeypatch):
    duel = compare.duel(config, "carrot", ["default", "base"], 0)
    takes.replace_actors(monkeypatch, compare, lambda name, episode: True)
    with pytest.warns(Note, match="base acts otherwise in episode 1 than in its record: success"):
        compare.draw(config, duel, tmp_path / "sheet.png", 1)


def test_a_sheet_is_called_by_what_it_compares(config):
    folder = Path(config.results, "films")
    duel = compare.duel(config, "carrot", ["default", "base"], None)
    assert compare.place(config, duel) == folder / "compare-carrot-default-base.png"
    one = compare.duel(config, "carrot", ["default", "base"], 1)
    assert compare.place(config, one).name == "compare-carrot-default-base-seed1.png"
