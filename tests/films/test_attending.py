"""Maps of a film are those that Figure 4 shows."""

import commands
import models
import numpy as np
import pandas as pd
import pytest
import takes

from unblind.config import load
from unblind.diagnosis.attention import prompt_attention
from unblind.diagnosis.frames import Frames
from unblind.films import attending
from unblind.films.acting import Actor
from unblind.sim.episodes import decode


def test_maps_are_those_of_the_instruction_at_the_aligned_layer():
    config = load(commands.SMOKE, {"training.align.layers": [2]})
    episode, model = decode("in_distribution", 5), models.loaded()
    some = takes.take(episode, steps=17)
    found = attending.maps(config, Actor("base", "Base", 0, None, model), some)
    assert found.shape == (18, 4, 4)
    assert found.mean((1, 2)) == pytest.approx(np.ones(18))
    told = {"instruction": [episode.instruction] * 2, "object": [episode.object] * 2}
    frames = Frames(pd.DataFrame(told), some.pictures[16:], np.zeros((2, 1, 1)))
    weights = prompt_attention(model, frames, config.attention)[:, 0, 1].mean(1)[:, 1:-1]
    shares = weights / weights.sum(1, keepdims=True)
    assert found[16:].reshape(2, 16) == pytest.approx(16 * shares, abs=1e-5)
