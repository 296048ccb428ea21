"""Pixel values: mini's, and bit for bit those of the release's operations."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from unblind.errors import UnblindError
from unblind.machine import torchvision as guard
from unblind.vla import lanczos
from unblind.vla.pixels import FILE, Released, Squeezed

guard.guard()
from torchvision.transforms import InterpolationMode  # noqa: E402
from torchvision.transforms import functional as vision  # noqa: E402

#: The hub's file: ImageNet's numbers rounded to bfloat16, and SigLIP's.
MEANS = ((0.484375, 0.455078125, 0.40625), (0.5, 0.5, 0.5))
DEVIATIONS = ((0.228515625, 0.2236328125, 0.224609375), (0.5, 0.5, 0.5))


def test_squeezing_scales_the_sides_apart_and_keeps_channels_last():
    images = np.zeros((2, 96, 128, 3), np.uint8)
    images[0, 48:, 64:] = 255  # the lower right quarter stays the lower right quarter
    images[1] = 51, 0, 255
    found = Squeezed(128).evaluation(images)
    assert found.shape == (2, 3, 128, 128) and found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (found[0, :, 66:, 66:] == 1).all()
    assert (found[0, :, :62] == 0).all() and (found[0, :, :, :62] == 0).all()
    assert found[1, :, 7, 7].tolist() == pytest.approx([0.2, 0, 1])
    assert torch.equal(Squeezed(128).training(images), found)
    assert Squeezed(128).evaluation(images, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_normalized_pictures_in_0_to_1_are_what_training_shows(either):
    side = either.pixels.size
    images = np.random.default_rng(4).integers(0, 256, (2, side, side, 3), np.uint8)
    unit = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    wanted = either.pixels.training(images, dtype=torch.float32)
    assert torch.equal(either.pixels.normalized(unit), wanted)


def test_the_twin_s_file_is_read(loaded):
    assert loaded.pixels == Released(224, MEANS, DEVIATIONS)
    bfloat16 = torch.tensor([0.485, 0.456, 0.406, 0.229, 0.224, 0.225]).bfloat16().float()
    assert [*MEANS[0], *DEVIATIONS[0]] == bfloat16.tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_evaluation_is_the_release_s_bit_for_bit(loaded, pictures, dtype):
    """Resize, divide and normalise a tensor of the model's precision, by torchvision."""
    low = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(dtype)
    parts = []
    for mean, deviation in zip(MEANS, DEVIATIONS, strict=True):
        part = vision.resize(low, [224, 224], InterpolationMode.BICUBIC, antialias=True)
        part = vision.center_crop(part, [224, 224]) / 255.0
        parts.append(vision.normalize(part, mean, deviation))
    wanted = torch.cat(parts, 1)
    found = loaded.pixels.evaluation(pictures, dtype=dtype)
    assert found.dtype == dtype and found.shape == (4, 6, 224, 224)
    assert torch.equal(found, wanted)


def test_evaluation_neither_clamps_nor_keeps_float32(loaded):
    """At edges bicubic values overshoot: black is (0 - 0.484375) / 0.2285 = -2.12 at least."""
    image = np.zeros((1, 480, 640, 3), np.uint8)
    image[:, 200:280, 240:400] = 255
    exact = loaded.pixels.evaluation(image, dtype=torch.float32)
    assert exact[:, 0].min() < -2.25 and exact[:, 3:].min() < -1.05 and exact[:, 3:].max() > 1.05
    rough = loaded.pixels.evaluation(image)
    assert 0.001 < (rough.float() - exact).abs().max() < 0.06


def test_pictures_of_the_model_s_size_are_not_resized(loaded):
    image = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3)).astype(np.uint8)
    found = loaded.pixels.evaluation(image, dtype=torch.float32)
    back = found[:, 3:] * 0.5 + 0.5
    torch.testing.assert_close(back, torch.from_numpy(image).permute(0, 3, 1, 2) / 255)


def test_training_is_the_release_s_bit_for_bit(loaded):
    """A Pillow picture of 224 pixels, to_tensor and normalise by torchvision, then bfloat16."""
    image = np.random.default_rng(2).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    pillow = vision.resize(
        Image.fromarray(image), [224, 224], InterpolationMode.BICUBIC, antialias=True
    )
    wanted = torch.cat(
        [
            vision.normalize(vision.to_tensor(pillow), mean, deviation)
            for mean, deviation in zip(MEANS, DEVIATIONS, strict=True)
        ]
    )
    exact = loaded.pixels.training(image[None], dtype=torch.float32)
    assert torch.equal(exact[0], wanted)
    assert torch.equal(loaded.pixels.training(image[None])[0], wanted.bfloat16())


@pytest.mark.parametrize(
    ("shape", "digest"),
    [
        ((480, 640, 3), "010b44e6dfa625bd87e24e25bf6869f92b47146c2a07c714f4e9e1afaf45a80f"),
        ((96, 128, 3), "8d15a4a072ea618b9a6edb9c54cb821e93e11dfb4e1224cccaf0212df4f05aa5"),
    ],
)
def test_training_resizes_bytes_as_tensorflow_2_15_does(shape, digest):
    """The digests are TensorFlow 2.15.1's, of lanczos3 with antialiasing, rounded and clipped."""
    image = np.random.default_rng(7).integers(0, 256, shape, np.uint8)
    found = lanczos.resize(np.stack([image, 255 - image]), 224)
    assert found.shape == (2, 224, 224, 3) and found.dtype == np.uint8
    assert hashlib.sha256(found[0].tobytes()).hexdigest() == digest


def test_training_and_evaluation_resize_differently(loaded, pictures):
    training = loaded.pixels.training(pictures, dtype=torch.float32)
    resized = lanczos.resize(pictures, 224)
    assert torch.equal(training, loaded.pixels.training(resized, dtype=torch.float32))
    apart = (training - loaded.pixels.evaluation(pictures, dtype=torch.float32)).abs()
    assert 0.05 < apart.max() < 2


@pytest.mark.parametrize("value", [0, 7, 255])
def test_one_colour_stays_one_colour(value):
    image = np.full((1, 480, 640, 3), value, np.uint8)
    assert (lanczos.resize(image, 224) == value).all()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((480, 640, 3), np.uint8), np.zeros((1, 3, 8, 8), np.uint8), np.zeros((1, 8, 8, 3))],
)
def test_wrong_pictures_are_refused(either, wrong):
    for way in (either.pixels.evaluation, either.pixels.training):
        with pytest.raises(UnblindError, match="RGB pictures of bytes"):
            way(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_resize_strategy": "letterbox"}, "image_resize_strategy is 'letterbox'"),
        ({"tvf_do_letterbox": [True, False]}, r"tvf_do_letterbox is \[True"),
        ({"interpolations": ["bicubic", "bilinear"]}, r"interpolations\[1\] is 'bilinear'"),
        ({"input_sizes": [[3, 384, 384]] * 2}, r"input_sizes\[0\] is \[3, 384, 384\]"),
        ({"tvf_normalize_params": [{"mean": [0.5] * 3, "std": [0.5] * 3}]}, "1 towers, not 2"),
        ({"tvf_normalize_params": [{"mean": [0.5] * 3, "std": [0.0] * 3}] * 2}, "not positive"),
        ({"tvf_normalize_params": "none"}, "unreadable"),
        ({"tvf_resize_params": [{"size": [224, 224], "interpolation": 2}]}, "tvf_resize_params"),
    ],
)
def test_other_preparations_are_refused(own_folder, change, said):
    values = json.loads((own_folder / FILE).read_text())
    (own_folder / FILE).write_text(json.dumps(values | change))
    with pytest.raises(UnblindError, match=said):
        Released.read(own_folder, 224, 2)


def test_a_letterbox_that_is_off_may_be_said_once_or_for_each_tower(own_folder):
    values = json.loads((own_folder / FILE).read_text())
    for off in (False, [False, False], None):
        (own_folder / FILE).write_text(json.dumps(values | {"tvf_do_letterbox": off}))
        assert Released.read(own_folder, 224, 2).size == 224


def test_means_and_stds_serve_where_the_release_s_own_numbers_are_missing(own_folder):
    values = json.loads((own_folder / FILE).read_text())
    del values["tvf_normalize_params"]
    (own_folder / FILE).write_text(json.dumps(values))
    found = Released.read(own_folder, 224, 2)
    assert found.means == ((0.485, 0.456, 0.406), (0.5, 0.5, 0.5))
