import math

import pytest
import torch
import vit_reference as reference
from safetensors.torch import load_file
from torch.nn import functional

from unblind.errors import UnblindError
from unblind.teachers.layouts import LAYOUTS
from unblind.teachers.loading import load_teacher
from unblind.teachers.networks import NETWORKS, stretch
from unblind.teachers.registry import TEACHERS, Vit
from unblind.teachers.vit import random_teacher
from unblind.twin import teachers as twins

# Twins have width 32 and 2 heads. Name -> reference, normalisation, input side for 16 x 16.
FAMILIES = {
    "c-radiov3-l": (reference.radio, reference.CLIP, 256),
    "c-radiov3-h": (reference.radio, reference.CLIP, 256),
    "dinov2-large": (reference.dino, reference.IMAGENET, 224),
    "dinov2-giant": (reference.dino, reference.IMAGENET, 224),
    "siglip-so400m": (reference.siglip, reference.HALF, 224),
    "theia-base-cddsv": (reference.theia, reference.IMAGENET, 256),
}
VITS = {name: row for name, row in TEACHERS.items() if isinstance(row, Vit)}
IMAGES = torch.rand(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins")
    for name in FAMILIES:
        twins.make(name, root / name, seed=1)
    return root


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture
def teacher(folders, name):
    return load_teacher(name, str(folders / name))


def resized(side):
    return functional.interpolate(IMAGES, (side, side), mode="bilinear", align_corners=False)


def test_features_equal_an_independent_network(folders, name, teacher):
    forward, _, side = FAMILIES[name]
    found = teacher.features(IMAGES, 16)
    with torch.no_grad():
        tensors = load_file(folders / name / "model.safetensors")
        wanted = forward(tensors, resized(side), 2, 16)
    assert found.shape == (3, 256, 32) and found.dtype == torch.float32
    assert wanted.std() > 0.1
    assert (found - wanted).abs().max() < 1e-5


def test_pictures_are_normalised_exactly_once(name, teacher):
    _, (mean, deviation), side = FAMILIES[name]
    seen = []
    first = {
        "radio": lambda net: net.embeddings,
        "dino": lambda net: net.patch_embed,
        "siglip": lambda net: net.patch_embed,
        "theia": lambda net: net.patch_embed,
    }[TEACHERS[name].family](teacher.net)
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    teacher.features(IMAGES, 16)
    wanted = [(resized(side)[:, c] - mean[c]) / deviation[c] for c in range(3)]
    assert len(seen) == 1
    assert torch.allclose(seen[0], torch.stack(wanted, dim=1), atol=1e-6)


def test_batching_does_not_matter(teacher):
    together = teacher.features(IMAGES, 16)
    singles = torch.cat([teacher.features(image[None], 16) for image in IMAGES])
    assert (together - singles).abs().max() < 1e-5


def test_frozen_in_every_mode(teacher):
    outer = torch.nn.ModuleList([teacher]).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in outer.parameters())
    before = teacher.features(IMAGES, 16)
    found = teacher.features(IMAGES.clone().requires_grad_(), 16)
    assert not found.requires_grad and torch.equal(found, before)


def test_the_callers_autocast_does_not_reach_the_teacher(teacher):
    wanted = teacher.features(IMAGES, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(teacher.features(IMAGES, 16), wanted)


def test_bfloat16_stays_near_and_comes_out_as_float32(folders, name, teacher):
    rough = load_teacher(name, str(folders / name), dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in rough.net.parameters()} == {torch.bfloat16}
    found, exact = rough.features(IMAGES, 16), teacher.features(IMAGES, 16)
    assert found.dtype == torch.float32
    assert functional.cosine_similarity(found, exact, dim=-1).min() > 0.99
    assert rough.describe(16)["precision"] == "bfloat16"


def test_black_and_white_differ(teacher):
    black, white = torch.zeros(1, 3, 224, 224), torch.ones(1, 3, 224, 224)
    assert (teacher.features(black, 16) - teacher.features(white, 16)).abs().max() > 0.1


def test_tokens_stand_row_by_row(teacher, name):
    # A bright patch moves the tokens of its own place most.
    side = FAMILIES[name][2]
    cell = side // 16
    grey = torch.full((1, 3, side, side), 0.5)
    marked = grey.clone()
    marked[:, :, 3 * cell : 4 * cell, 11 * cell : 12 * cell] = 1.0
    change = (teacher.features(marked, 16) - teacher.features(grey, 16)).norm(dim=-1)[0]
    assert divmod(int(change.argmax()), 16) == (3, 11)


def test_description(folders, name, teacher):
    told = teacher.describe(16)
    assert told["teacher"] == name and told["network"] == TEACHERS[name].repo
    assert told["input_size"] == FAMILIES[name][2]
    assert told["twin"] is True and told["width"] == 32 and not told["interpolated"]
    assert len(told["files"]["model.safetensors"]) == 64


def test_grid_out_of_reach_is_refused_or_interpolated(folders):
    folder = str(folders / "siglip-so400m")
    with pytest.raises(UnblindError, match=r"'siglip-so400m' cannot give a 20 x 20 grid"):
        load_teacher("siglip-so400m", folder).features(IMAGES, 20)
    wide = load_teacher("siglip-so400m", folder, interpolate=True)
    assert wide.features(IMAGES, 20).shape == (3, 400, 32)
    told = wide.describe(20)
    assert told["interpolated"] and told["input_size"] == 224


def cubic(distance):
    """The cubic convolution kernel with a = -0.75 (Keys 1981)."""
    d = abs(distance)
    if d <= 1:
        return 1.25 * d**3 - 2.25 * d**2 + 1
    return -0.75 * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def test_stretched_positions_follow_dinos_rule():
    rows = torch.randn(14, generator=torch.Generator().manual_seed(0))
    plane = rows.view(14, 1).expand(14, 14).reshape(1, 196, 1)
    positions = torch.cat([torch.full((1, 1, 1), -7.0), plane], dim=1)
    assert stretch(positions, 1, 14) is positions
    found = stretch(positions, 1, 16)
    assert found.shape == (1, 257, 1) and found[0, 0, 0] == -7
    # Token i of 16 lies at (i + 1/2) 14 / 16.1 - 1/2 of 14: a tenth of a token is added.
    for token, value in enumerate(found[0, 1:, 0].view(16, 16)[:, 5].tolist()):
        place = (token + 0.5) * 14 / 16.1 - 0.5
        near = range(math.floor(place) - 1, math.floor(place) + 3)
        wanted = sum(cubic(place - n) * float(rows[min(max(n, 0), 13)]) for n in near)
        assert value == pytest.approx(wanted, abs=1e-4), token


@pytest.mark.parametrize(
    ("name", "unused", "numbers"),
    [
        # Numbers in the published files, the tensors that no feature needs included.
        ("c-radiov3-l", 4 * 1024, 319_934_470),
        ("c-radiov3-h", 0, 651_642_886),
        ("dinov2-large", 1024, 304_368_640),
        ("dinov2-giant", 1536, 1_136_480_768),
    ],
)
def test_full_size_layouts_have_the_published_number_of_parameters(name, unused, numbers):
    row = TEACHERS[name]
    shapes = LAYOUTS[row.family].shapes(row.sizes)
    assert sum(map(math.prod, shapes.values())) + unused == numbers


def test_siglips_two_towers_have_the_published_number_of_parameters():
    row = TEACHERS["siglip-so400m"]
    shapes = LAYOUTS["siglip"].shapes(row.sizes) | twins._siglip_extra(row.sizes)
    missing_words = (32_000 - twins._VOCABULARY) * 1152
    assert sum(map(math.prod, shapes.values())) + missing_words == 877_360_306


@pytest.mark.parametrize("name", VITS)
def test_full_size_networks_take_every_tensor_of_the_layout(name):
    row = TEACHERS[name]
    with torch.device("meta"):
        net = NETWORKS[row.family].build(row.sizes)
    ours = [key for entry in LAYOUTS[row.family].entries(row.sizes) for key in entry.ours]
    assert len(ours) == len(set(ours)) and set(ours) == set(net.state_dict())
    for entry in LAYOUTS[row.family].entries(row.sizes):
        if entry.ours:
            count = sum(net.state_dict()[key].numel() for key in entry.ours)
            assert count == len(entry.theirs) * math.prod(entry.shape), entry


def test_widths_and_input_sides_of_the_table():
    told = {name: (row.sizes.width, 16 * row.sizes.patch) for name, row in VITS.items()}
    assert told == {
        "c-radiov3-l": (1024, 256),
        "c-radiov3-h": (1280, 256),
        "dinov2-large": (1024, 224),
        "dinov2-giant": (1536, 224),
        "siglip-so400m": (1152, 224),
        "theia-base-cddsv": (768, 256),
        "theia-base-cdiv": (768, 256),
    }


def test_random_teacher_has_full_sizes():
    teacher = random_teacher("theia-base-cdiv", "cpu", torch.bfloat16, seed=3)
    found = teacher.features(IMAGES[:1], 16)
    assert found.shape == (1, 256, 768) and found.isfinite().all()
    again = random_teacher("theia-base-cdiv", "cpu", torch.bfloat16, seed=3)
    assert torch.equal(found, again.features(IMAGES[:1], 16))
