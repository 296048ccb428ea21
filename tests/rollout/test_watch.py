"""A film of one episode: the policy sees what it is evaluated with, the film is larger."""

import commands
import imageio_ffmpeg
import numpy as np

from unblind.config import load
from unblind.rollout import watch
from unblind.rollout.policies import HOLD


class Onlooker:
    """Stands still and remembers what it saw."""

    needs_images = True

    def __init__(self):
        self.seen = []

    def act(self, observations):
        self.seen += [o.image for o in observations]
        return np.tile(HOLD, (len(observations), 1))


def test_a_policy_sees_pictures_of_evaluation(renderer, tmp_path, monkeypatch, capsys):
    onlooker = Onlooker()
    monkeypatch.setattr(watch, "make_policy", lambda *_: onlooker)
    config = load(commands.SMOKE, {"rollout.max_steps": 3})
    path = watch.watch(config, "in_distribution", 5, "noop", 0, tmp_path / "film.mp4", None)
    assert [image.shape for image in onlooker.seen] == [(48, 64, 3)] * 3
    assert all(image.std() > 10 for image in onlooker.seen)
    frames = imageio_ffmpeg.read_frames(path)
    assert next(frames)["size"] == (640, 480)
    assert len(list(frames)) == 4
    assert capsys.readouterr().out == "'put carrot on plate': no success\n"
