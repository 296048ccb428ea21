"""Losses on the plane: at its corners those of the models, and what a grid and lines hold."""

import copy
from pathlib import Path

import demonstrations
import models
import numpy as np
import pytest
import torch

from unblind.align.objective import Objective
from unblind.config import load
from unblind.diagnosis import landscape
from unblind.diagnosis.landscape import ACTION, ALIGNMENT, ANSWERS, Examples, Measures
from unblind.diagnosis.plane import Plane, change
from unblind.training import evaluate
from unblind.training.feed import Inputs
from unblind.training.losses import Learner, TokenLoss
from unblind.vla import lora
from unblind.vla.batch import Turn, collate

SMOKE = Path(__file__).parents[2] / "workflow" / "config" / "smoke.yaml"
WIDTH, FRAMES = 6, 3
NAMES = ("default", "align")


def trained(seed):
    """Return the small model with merged adapters that change it."""
    loaded = models.loaded()
    wrapped = lora.add_lora(loaded.model, rank=2, alpha=2, seed=seed, vision=True)
    with torch.no_grad():
        for name, weights in wrapped.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed))
    lora.merge(wrapped).eval()
    return loaded


@pytest.fixture(scope="module")
def corners():
    return {"base": models.loaded(), "default": trained(1), "align": trained(2)}


@pytest.fixture(scope="module")
def plane(corners):
    base = corners["base"].model
    return Plane(*(change(base, corners[name].model) for name in NAMES))


@pytest.fixture(scope="module")
def measures(corners):
    base, rng = corners["base"], np.random.default_rng(0)
    with torch.no_grad():
        low = base.model.vision_backbone.low(models.pictures(FRAMES))
    words = models.VOCABULARY
    turns = [
        Turn.of(words.action_prompt(text), words.actions[5 * n : 5 * n + 7 - n])
        for n, text in enumerate(("put carrot on plate", "put cube on plate", "put plate"))
    ]
    teacher = torch.from_numpy(rng.normal(size=(FRAMES, 16, WIDTH)).astype(np.float32))
    align = load(SMOKE).training.align
    objective = Objective(align, 0, base.model.config.widths, WIDTH)
    asked = [{"question": "where is the carrot", "answer": "yes", "kind": "where"}]
    rows = [{"image": demonstrations.picture(rng), "turns": asked} for _ in range(2)]
    return Measures(
        Examples(low, turns, teacher),
        TokenLoss(words, 2.0, 0.0),
        objective,
        list(evaluate.batches(base, rows)),
        [["where"], ["where"]],
    )


def alone(loaded, measures, row):
    """Return the terms of a training batch of one frame."""

    def feed(step, part):
        examples = measures.examples
        one = slice(row, row + 1)
        return Inputs(examples.low[one], collate([[examples.turns[row]]]), examples.teacher[one])

    words = loaded.vocabulary
    with torch.no_grad():
        return Learner(loaded.model, feed, measures.token_loss, words, measures.objective)(0, 0)[1]


def test_losses_at_the_corners_are_those_of_a_training_step_of_each_model(corners, plane, measures):
    base = copy.deepcopy(corners["base"])
    points = landscape.edges(NAMES, plane, 1)
    points, values = landscape.measure(base, plane, points, {"edge": measures}, 0.0)
    frame, points = values.to_pandas(), points.to_pandas()
    for name, mixture in (("base", (0, 0)), ("default", (1, 0)), ("align", (0, 1))):
        here = points[(points["first"] == mixture[0]) & (points["second"] == mixture[1])]
        assert len(here) == 2, "each model is an end of two lines"
        for row in range(FRAMES):
            wanted = alone(corners[name], measures, row)
            for measure, key in ((ACTION, "action"), (ALIGNMENT, "alignment")):
                found = frame[
                    frame["point"].isin(here["point"])
                    & (frame["measure"] == measure)
                    & (frame["item"] == row)
                ]["value"]
                assert found.to_numpy() == pytest.approx(float(wanted[key]), rel=1e-4, abs=1e-5)
    between = frame[frame["measure"] == ACTION].groupby("point")["value"].mean()
    assert len(set(between.round(4))) == 6, "three models, and three points between them"


def test_answers_are_those_of_the_models(corners, plane, measures):
    base = copy.deepcopy(corners["base"])
    points = landscape.edges(NAMES, plane, 1)
    _, values = landscape.measure(base, plane, points, {"edge": measures}, 0.0)
    frame = values.to_pandas()
    last = frame[(frame["measure"] == ANSWERS) & (frame["point"] == len(points) - 1)]
    (asked,) = measures.asked
    right = evaluate.judge(corners["align"], asked)
    assert last["value"].astype(bool).tolist() == [answer for some in right for answer in some]
    assert last["item"].tolist() == [0, 1] and set(last["kind"]) == {"where"}


def test_lines_join_the_models_and_the_grid_surrounds_them(plane):
    points = landscape.edges(NAMES, plane, 3)
    line = [point for point in points if point.name == "default to align"]
    assert [point.t for point in line] == [0, 0.25, 0.5, 0.75, 1]
    assert [(p.first, p.second) for p in line] == [(1 - t, t) for t in (0, 0.25, 0.5, 0.75, 1)]
    assert (line[-1].x, line[-1].y) == pytest.approx((plane.foot, plane.height))
    grid = landscape.grid(plane, 5, 0.25)
    assert len({(round(p.x, 6), round(p.y, 6)) for p in grid}) == len(grid) == 25
    assert min(p.y for p in grid) == pytest.approx(-0.25 * plane.height)
    assert max(p.y for p in grid) == pytest.approx(1.25 * plane.height)
    for point in grid:
        assert plane.place(point.first, point.second) == pytest.approx((point.x, point.y))


def test_a_path_begins_at_the_base_and_ends_at_its_model(plane):
    half = {name: weight / 2 for name, weight in plane.second.items()}
    start, middle, end = landscape.path(plane, "align", {2: half, 4: plane.second})
    assert (start.step, start.x, start.y) == (0, 0, 0)
    assert (middle.step, middle.second) == (2, pytest.approx(0.5))
    assert (end.first, end.second) == pytest.approx((0, 1), abs=1e-6)
    assert (end.x, end.y) == pytest.approx((plane.foot, plane.height))
    assert end.off == pytest.approx(0, abs=1e-3)
