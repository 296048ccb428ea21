"""Films of one and of several runs: what they show, and what is written beside them."""

import json

import commands
import imageio_ffmpeg
import numpy as np
import pytest
import takes

from unblind.config import load
from unblind.errors import Note, UnblindError
from unblind.films import attending, watch
from unblind.films.watch import Style

STEPS = 3


@pytest.fixture
def config(tmp_path):
    return load(commands.SMOKE, {"results": str(tmp_path), "rollout.max_steps": STEPS})


@pytest.fixture
def episode(config):
    return watch.the_episode(config, "in_distribution", 5, None)


@pytest.fixture
def actors(monkeypatch):
    """Let made-up actors act, of whom the planner alone wins."""
    return takes.replace_actors(monkeypatch, watch, lambda name, episode: name == "oracle")


def pictures(path):
    """Return a film's pictures, (n, h, w, 3)."""
    frames = imageio_ffmpeg.read_frames(path)
    width, height = next(frames)["size"]
    return np.stack([np.frombuffer(one, np.uint8).reshape(height, width, 3) for one in frames])


def test_one_policy_is_shown_as_its_camera_sees(renderer, config, episode, tmp_path, capsys):
    path = watch.watch(config, episode, ["noop"], 0, tmp_path / "film.mp4")
    film = pictures(path)
    assert film.shape == (STEPS + 1, 480, 640, 3)
    assert film.std() > 10
    assert capsys.readouterr().out == "'put carrot on plate': no success\n"
    assert json.loads((tmp_path / "film.json").read_text()) == {
        "condition": "in_distribution",
        "episode_id": 5,
        "instruction": "put carrot on plate",
        "runs": [{"run": "noop", "label": "Do nothing", "seed": 0, "success": False}],
        "attention": False,
    }


def test_high_quality_is_drawn_anew_at_full_size(renderer, config, episode, tmp_path):
    config = load(commands.SMOKE, {"rollout.max_steps": 1})
    plain = watch.watch(config, episode, ["noop"], 0, tmp_path / "plain.mp4")
    high = watch.watch(config, episode, ["noop"], 0, tmp_path / "high.mp4", Style(quality="high"))
    plain, high = (pictures(path).astype(float) for path in (plain, high))
    assert plain.shape == high.shape == (2, 480, 640, 3)
    assert np.abs(plain - high).mean() < 12, "the same scene"
    edges = [np.abs(np.diff(film, axis=2)).mean() for film in (plain, high)]
    assert edges[1] > 1.2 * edges[0], "with finer detail"


def test_several_runs_stand_side_by_side(config, episode, actors, tmp_path, capsys):
    names = ["default", "base", "oracle"]
    path = watch.watch(config, episode, names, 2, tmp_path / "film.mp4", Style(board=True))
    assert [name for name, _, _ in actors] == names and {seed for _, seed, _ in actors} == {2}
    film = pictures(path)
    assert len(film) == STEPS + 1 + 5, "the end stands still for a second"
    width = film.shape[2] // 3
    green = (np.abs(film.astype(int) - (0, 150, 80)).sum(-1) < 40).sum(1)
    assert green[:STEPS].sum() == 0, "there is no success before the last step"
    assert green[STEPS:, : 2 * width].sum() == 0 and (green[STEPS:, 2 * width :] > 0).any(1).all()
    assert np.abs(film[STEPS].astype(int) - film[-1]).mean() < 1
    told = json.loads((tmp_path / "film.json").read_text())
    assert [(run["run"], run["success"]) for run in told["runs"]] == [
        ("default", False),
        ("base", False),
        ("oracle", True),
    ]
    assert "oracle: 'put carrot on plate': success\n" in capsys.readouterr().out


def test_maps_are_laid_over_the_panels_of_models(config, episode, actors, tmp_path, monkeypatch):
    actor = watch.acting.actor
    monkeypatch.setattr(
        watch.acting,
        "actor",
        lambda *words: watch.acting.Actor(
            **vars(actor(*words)) | {"model": words[1] == "base" or None}
        ),
    )
    even = np.full((STEPS + 1, 4, 4), 9.0)
    even[:, 0, 0] = 0
    monkeypatch.setattr(attending, "maps", lambda *_: even)
    style = Style(board=True, attention=True)
    with pytest.warns(Note, match="noop has no attention"):
        path = watch.watch(config, episode, ["base", "noop"], 0, tmp_path / "film.mp4", style)
    film = pictures(path)[STEPS:].astype(int)
    middle = film.shape[2] // 2
    colourful = film.max(-1) - film.min(-1) > 35
    below = film.shape[1] - 60
    assert colourful[:, :below, :middle].mean() > 0.4, "yellow, but for a corner"
    assert colourful[:, :below, middle:].mean() < 0.01
    assert json.loads((tmp_path / "film.json").read_text())["attention"] is True


def test_what_cannot_be_filmed_is_refused(config, episode, tmp_path):
    out = tmp_path / "film.mp4"
    for names in ([], ["noop"] * 2, ["oracle", "random", "noop", "base", "default"]):
        with pytest.raises(UnblindError, match="name one to 4 different runs"):
            watch.watch(config, episode, names, 0, out)
    with pytest.raises(UnblindError, match=r"ends in \.mp4"):
        watch.watch(config, episode, ["noop"], 0, tmp_path / "film.json")
    with pytest.raises(UnblindError, match="no attention of oracle, noop: no model acts"):
        watch.watch(config, episode, ["oracle", "noop"], 0, out, Style(True, True))
    with pytest.raises(UnblindError, match="unknown run 'alihn'"):
        watch.watch(config, episode, ["oracle", "alihn"], 0, out, Style(True))
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_fails_leaves_what_was_there(config, episode, actors, tmp_path, monkeypatch):
    out = watch.watch(config, episode, ["noop"], 0, tmp_path / "film.mp4")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken(*_):
        raise UnblindError("ffmpeg cannot write it")

    monkeypatch.setattr(watch, "write_film", broken)
    with pytest.raises(UnblindError, match="ffmpeg"):
        watch.watch(config, episode, ["random"], 0, out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert sorted(before) == ["film.json", "film.mp4"]


def test_a_film_is_called_by_what_it_shows(config, episode, tmp_path):
    def name(*words):
        return watch.place(config, *words).relative_to(tmp_path).as_posix()

    assert name(episode, ["noop"], 0, Style()) == "films/in_distribution-5-noop.mp4"
    train = watch.the_episode(config, "carrot", 5, "train")
    both = ["default", "align"]
    assert name(train, both, 2, Style(True, True)) == (
        "films/carrot-5-default-align-seed2-attention-train.mp4"
    )
