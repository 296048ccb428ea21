"""Linear probes against first principles, and the record that they leave."""

from pathlib import Path

import demonstrations
import models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from unblind import files
from unblind.config import load
from unblind.diagnosis import layers, probe_pictures, probing
from unblind.vla import random
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.pixels import Released
from unblind.vla.prismatic import PrismaticConfig

MINI = Path(__file__).parents[2] / "workflow" / "config" / "mini.yaml"


def settings(**changes):
    return load(MINI, {f"probe.{key}": value for key, value in changes.items()}).probe


def clouds(count, width=12, classes=4, spread=0.3, seed=0):
    """Return features around one random centre a class."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(count) % classes
    noise = torch.randn(count, width, generator=generator)
    return centers[labels] + spread * noise, labels.numpy()


def test_separate_clouds_are_told_apart_and_noise_is_not():
    (train, labels), (test, wanted) = clouds(200), clouds(80, seed=1)
    found = probing.classify(train, labels, test, settings(), 0)
    assert (found == wanted).all()
    blind = torch.randn(400, 12, generator=torch.Generator().manual_seed(2))
    found = probing.classify(blind[:200], labels, blind[200:], settings(), 0)
    assert abs((found == np.arange(200) % 4).mean() - 0.25) < 0.12


def test_the_first_step_is_that_of_gradient_descent_on_cross_entropy():
    """From zero, a step of the whole set moves each class towards its mean."""
    train, labels = clouds(40)
    wanted = torch.nn.functional.one_hot(torch.from_numpy(labels), 4).float() - 0.25
    logits = train @ (wanted.T @ train).T + wanted.sum(0)
    plain = settings(epochs=1, batch=40, momentum=0.0, standardised=False)
    found = probing.classify(train, labels, train, plain, 0)
    assert (found == logits.argmax(1).numpy()).all()


def test_standardised_features_know_no_scale_and_a_constant_one_does_no_harm():
    train, labels = clouds(60, spread=2.5)
    once = probing.classify(train, labels, train, settings(), 0)
    scaled = torch.cat([1000 * train + 7, torch.full((60, 1), 5.0)], dim=1)
    assert (probing.classify(scaled, labels, scaled, settings(), 0) == once).mean() > 0.95
    assert (probing.classify(train, labels, train, settings(), 0) == once).all()


def test_a_linear_place_is_found_and_an_absent_one_is_guessed_in_the_middle():
    x = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))
    values = np.stack(
        [3 * x[:, 2].numpy() + 10, np.random.default_rng(0).normal(5, 1, 300)], axis=1
    )
    found = probing.regress(x[:200], values[:200], x[200:])
    assert np.abs(found[:, 0] - values[200:, 0]).max() < 0.05
    assert np.abs(found[:, 1] - 5).max() < 0.5


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(3)]


def test_a_models_features_are_its_tokens_and_their_mean(images):
    loaded = models.loaded()
    (tokens,), (found,) = layers.visual_tokens(loaded, images), probing.of_model(loaded)(images)
    assert list(found) == list(layers.sites(loaded.model))
    for site, features in found.items():
        torch.testing.assert_close(features.mean, tokens[site].mean(1))
        width = tokens[site].shape[2]
        whole = features.whole.reshape(3, width, -1).transpose(1, 2)
        torch.testing.assert_close(whole, tokens[site])


def test_openvlas_layout_is_read_likewise_and_large_grids_are_averaged(images, monkeypatch):
    model = tiny_openvla()
    (found,) = probing.of_model(model)(images)
    assert list(found) == ["tower", "projector", "block 1", "block 2"]
    monkeypatch.setattr(probing, "_GRID", 1)
    (coarse,) = probing.of_model(model)(images)
    for site, features in coarse.items():
        torch.testing.assert_close(features.whole, found[site].mean)


def tiny_openvla():
    sizes = PrismaticConfig(**models.TINY_OPENVLA)
    model = random.model(sizes, 0)  # in bfloat16, as published
    means, deviations = ((0.5,) * 3,) * 2, ((0.5,) * 3,) * 2
    return Checkpoint(model, models.VOCABULARY, Released(28, means, deviations), {}, Path("x"))


def test_random_weights_are_the_same_twice_and_other_with_another_seed(images):
    sizes = models.small().config
    first, again, other = (
        next(probing.of_random(sizes, seed)(images))["block 2"].mean for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.std() > 0.01 and torch.isfinite(first).all()
    assert not torch.allclose(first[0], first[1]), "pictures still differ"


def test_pixels_are_their_own_features(images):
    (found,) = probing.of_pixels([np.full((96, 128, 3), 51, np.uint8), *images])
    assert found["pixels"].mean.shape == (4, 16 * 12 * 3)
    torch.testing.assert_close(found["pixels"].mean[0], torch.full((576,), 0.2))


@pytest.fixture
def folder(tmp_path):
    """Two names in two tasks, four pictures for training and two for the test."""
    rng = np.random.default_rng(0)
    for task in ("icons", "stills"):
        for split, count in (("train", 4), ("test", 2)):
            rows = [
                {
                    "image": demonstrations.picture(rng),
                    "name": ("bell", "cat")[k % 2],
                    "look": "line",
                    **({key: float(k) for key in probe_pictures.PLACE} if task == "stills" else {}),
                }
                for k in range(count)
            ]
            table = pa.Table.from_pylist(rows, probe_pictures.SCHEMA)
            pq.write_table(table, tmp_path / f"{task}-{split}.parquet")
    counts = {"train": 4, "test": 2}
    files.write_json(tmp_path / "manifest.json", {"pictures": {"icons": counts, "stills": counts}})
    return tmp_path


def test_a_record_has_a_row_for_each_test_picture_and_site(folder):
    loaded = models.loaded()
    made = probing.record(probing.of_model(loaded), folder, settings(epochs=2), 0, 0.01)
    frame = made.to_pandas()
    sites = layers.sites(loaded.model)
    assert len(frame) == 2 * 2 * len(sites)
    assert made.schema.equals(probing.RECORD)
    assert list(frame["site"][frame["task"] == "icons"]) == [s for s in sites for _ in range(2)]
    assert set(frame["name"]) == {"bell", "cat"} >= set(frame["guess"])
    stills = frame[frame["task"] == "stills"]
    assert stills[[*probing.GUESSED]].notna().all(axis=None)
    assert frame[frame["task"] == "icons"][[*probing.GUESSED, "row"]].isna().all(axis=None)
    again = probing.record(probing.of_model(loaded), folder, settings(epochs=2), 0, 0.01)
    assert again.equals(made)
    pixels = probing.record(probing.of_pixels, folder, settings(epochs=2), 0, 0.01)
    assert set(pixels.to_pandas()["site"]) == {"pixels"}


def test_the_configurations_sites_are_the_models():
    model = models.small()
    own = load(MINI).base.model.model_copy(update={"layers": model.config.layers})
    assert own.sites == layers.sites(model)
