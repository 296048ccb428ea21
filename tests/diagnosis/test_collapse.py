"""Separation of classes: by hand, of a model's tokens, the released index, and refusals."""

import looked_at
import models
import numpy as np
import pytest
import torch

from unblind.config import Collapse, load
from unblind.diagnosis import collapse, layers
from unblind.errors import UnblindError
from unblind.vla.text import Words

SETTINGS = Collapse(classes=["carrot", "cube"], layers=[1, 2], prompt="where is it", neighbours=1)


@pytest.fixture(scope="module", params=looked_at.CHECKPOINTS)
def loaded(request):
    return looked_at.CHECKPOINTS[request.param]()


def test_separation_by_hand():
    # Angles of 0, 10, 90 and 100 degrees: two classes of two neighbours.
    angles = np.radians([0, 10, 90, 100])
    vectors, classes = np.c_[np.cos(angles), np.sin(angles)], np.array(["a", "a", "b", "b"])
    found = collapse.separation(vectors, classes, np.arange(4), 1)
    assert found["right"].all() and (found["overlap"] == 0).all()
    inside = 1 - np.cos(np.radians(10))
    outside = 1 - (np.cos(np.radians(90)) + np.cos(np.radians(100))) / 2
    assert found["silhouette"][0] == pytest.approx((outside - inside) / outside)
    mixed = collapse.separation(vectors, np.array(["a", "b", "a", "b"]), np.arange(4), 1)
    assert not mixed["right"].any() and (mixed["overlap"] == 1).all()


def test_pictures_of_the_same_episode_do_not_vote():
    angles = np.radians([0, 1, 50, 90, 91, 60])
    vectors, classes = np.c_[np.cos(angles), np.sin(angles)], np.array(list("aaabbb"))
    found = collapse.separation(vectors, classes, np.array([0, 0, 1, 2, 2, 3]), 1)
    # The nearest of another episode: of the first two the third, of the third the last.
    assert found["right"].tolist() == [True, True, False, True, True, False]


def test_of_classes_with_as_many_votes_the_nearest_wins():
    angles = np.radians([0, 5, 7, 20])
    vectors = np.c_[np.cos(angles), np.sin(angles)]
    found = collapse.separation(vectors, np.array(list("abab")), np.arange(4), 2)
    assert not found["right"][0] and found["overlap"][0] == 0.5


@torch.no_grad()
def test_vectors_are_means_of_visual_tokens_and_of_no_prompt(loaded):
    frames = looked_at.frames()
    found = collapse.features(loaded, frames, SETTINGS)
    assert {key for key in found} == {(t, n) for t in collapse.TOKENS for n in (1, 2)}
    states = loaded.model.hidden(
        collapse.low_features(loaded, frames.images), _none(4), layers=True
    )[1][:, 1:].numpy()
    shares = frames.shares(loaded.model.config.grid)["object"]
    wanted = (states * shares[..., None]).sum(1) / shares.sum(1, keepdims=True)
    assert found["object", 1] == pytest.approx(wanted, abs=1e-5)
    assert found["picture", 1] == pytest.approx(states.mean(1), abs=1e-5)
    other = SETTINGS.model_copy(update={"prompt": "is the robot holding"})
    again = collapse.features(loaded, frames, other)
    for tokens in ("object", "picture", "released"):
        assert again[tokens, 2] == pytest.approx(found[tokens, 2], abs=1e-5)
    assert not np.allclose(again["prompt", 2], found["prompt", 2], atol=1e-3)


def _none(count):
    from unblind.vla.prismatic import Text

    none = torch.zeros(count, 0, dtype=torch.long)
    return Text(none, none, none)


def test_the_released_index_is_that_of_a_patch(loaded):
    frames = looked_at.frames()
    words = Words.build(["do you see carrot on picture? cube watering can"])
    ids = [1, *words.question_prompt("Do you see carrot on picture?")]
    place = ids.index(words.encode("carrot")[0])
    assert collapse.released_place(words, "carrot") == place
    # Of a name of two words no piece holds both: the last token's index counts.
    last = len([1, *words.question_prompt("Do you see watering can on picture?")]) - 1
    assert collapse.released_place(words, "watering can") == last
    mine = collapse.released_place(loaded.vocabulary, "carrot")
    assert 1 <= mine <= loaded.model.config.grid**2 + 8
    found = collapse.features(loaded, frames, SETTINGS)
    if mine <= loaded.model.config.grid**2:
        visual = loaded.model.hidden(
            collapse.low_features(loaded, frames.images), _none(4), layers=True
        )[1][0, mine]
        assert found["released", 1][0] == pytest.approx(visual.detach().numpy(), abs=1e-5)


def test_a_record_of_classes_that_differ_in_their_pictures():
    frames = looked_at.frames(12)
    bright = (frames.rows["object"] == "carrot").to_numpy()
    frames.images[:] = 120 + frames.images // 16
    frames.images[bright, 2:10, 3:13] = 255
    frames.images[~bright, 2:10, 3:13] = 0
    frames.rows["episode_id"] = np.arange(12)
    table = collapse.record(models.loaded(), frames, SETTINGS, 0.0)
    rows = table.to_pandas()
    assert len(rows) == 12 * len(collapse.TOKENS) * 2
    means = rows.groupby(["tokens", "layer"], observed=True)["silhouette"].mean()
    assert means["object", 1] > means["prompt", 1]
    assert rows[rows["tokens"] == "object"]["right"].mean() > 0.9
    again = collapse.record(models.loaded(), frames, SETTINGS, 0.0)
    assert table.equals(again)
    drawn = rows["tokens"] == "object"
    assert np.isfinite(rows.loc[drawn, ["x", "y"]]).all(axis=None)
    assert rows.loc[~drawn, ["x", "y"]].isna().all(axis=None)


def test_an_empty_class_few_pictures_and_a_missing_layer_are_refused():
    model, frames = models.loaded(), looked_at.frames(8)
    empty = SETTINGS.model_copy(update={"classes": ["carrot", "cube", "plate"]})
    with pytest.raises(UnblindError, match="no picture shows an object of the class plate"):
        collapse.record(model, frames, empty, 0.0)
    deep = SETTINGS.model_copy(update={"layers": [1, 3]})
    with pytest.raises(UnblindError, match=r"cannot look at layers \[1, 3\] of a decoder of 2"):
        collapse.record(model, frames, deep, 0.0)
    many = SETTINGS.model_copy(update={"neighbours": 8})
    with pytest.raises(UnblindError, match="8 pictures of 2 classes are too few"):
        collapse.record(model, frames, many, 0.0)


def test_a_prompt_that_names_a_class_is_refused(request):
    path = request.config.rootpath / "workflow" / "config" / "mini.yaml"
    with pytest.raises(UnblindError, match=r"prompt holds a word of a class \(bottle\)"):
        load(path, {"collapse.prompt": "Do you see a bottle?"})
    with pytest.raises(UnblindError, match="names an object twice"):
        load(path, {"collapse.classes": ["cup", "cup"]})


def test_sites_and_layers_count_alike():
    model = models.loaded()
    (tokens,) = layers.visual_tokens(model, list(looked_at.frames(2).images))
    found = collapse.features(model, looked_at.frames(2), SETTINGS)
    mean = tokens["block 2"].mean(1).numpy()
    assert found["picture", 2] == pytest.approx(mean, abs=1e-5)
