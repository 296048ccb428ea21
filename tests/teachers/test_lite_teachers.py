import pytest
import torch

from unblind.errors import UnblindError
from unblind.teachers.loading import load_teacher
from unblind.teachers.teacher import Sizing, resize, tokens
from unblind.vla import lite

IMAGES = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
# Width and input side for an 8 x 8 grid.
ROWS = {"lite2": (208, 256), "lite2-128": (88, 128)}


@pytest.fixture(scope="module", params=ROWS)
def teacher(request):
    return load_teacher(request.param)


def test_grid_width_and_input_side(teacher):
    width, side = ROWS[teacher.name]
    found = teacher.features(IMAGES.clone().requires_grad_(), 8)
    assert found.shape == (2, 64, width) and teacher.width == width
    assert found.dtype == torch.float32 and not found.requires_grad
    assert teacher.describe(8)["input_size"] == side
    assert teacher.describe(8)["sha256"] == lite.VARIANTS["lite2"].sha256
    assert not teacher.describe(8)["interpolated"]


def test_a_token_covers_its_own_region_of_the_picture(teacher):
    grey = torch.full((1, 3, 128, 128), 0.5)
    for row, column in ((1, 6), (5, 2)):
        marked = grey.clone()
        marked[:, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = IMAGES[
            :1, :, :16, :16
        ]
        change = (teacher.features(marked, 8) - teacher.features(grey, 8)).norm(dim=-1)[0]
        assert divmod(int(change.argmax()), 8) == (row, column)


def test_student_and_teacher_tokens_meet_over_the_same_region(teacher):
    student = lite.load_lite("lite0", blocks=11)
    grey, marked = torch.full((1, 3, 128, 128), 0.5), torch.full((1, 3, 128, 128), 0.5)
    marked[:, :, 48:64, 96:112] = IMAGES[:1, :, :16, :16]
    with torch.no_grad():
        mine = tokens(student(marked), 8) - tokens(student(grey), 8)
    theirs = teacher.features(marked, 8) - teacher.features(grey, 8)
    assert int(mine.norm(dim=-1).argmax()) == int(theirs.norm(dim=-1).argmax()) == 3 * 8 + 6


def test_batch_equals_singles():
    teacher = load_teacher("lite2-128")
    singles = torch.cat([teacher.features(image[None], 8) for image in IMAGES])
    assert torch.allclose(teacher.features(IMAGES, 8), singles, atol=1e-4)


def test_pictures_of_the_right_size_are_not_resampled():
    assert resize(IMAGES, 128) is IMAGES
    net = lite.load_lite("lite2", blocks=9)
    with torch.no_grad():
        wanted = net(IMAGES).flatten(2).transpose(1, 2)
    assert torch.equal(load_teacher("lite2-128").features(IMAGES, 8), wanted)


def test_tokens_stand_row_by_row():
    maps = torch.arange(6.0).view(1, 1, 2, 3)[..., :2]
    assert tokens(maps, 2)[0, :, 0].tolist() == [0, 1, 3, 4]


def test_grid_that_does_not_fit_is_refused_unless_interpolated():
    with pytest.raises(UnblindError, match=r"'lite2' cannot give a 20 x 20 grid.*grids 2 to 16"):
        load_teacher("lite2").features(IMAGES, 20)
    teacher = load_teacher("lite2-128", interpolate=True)
    assert teacher.features(IMAGES, 3).shape == (2, 9, 88)
    assert teacher.describe(3)["interpolated"] and teacher.describe(3)["input_size"] == 64


def test_sizing_bounds_are_inclusive():
    sizing = Sizing(stride=16, least=60, most=96)
    assert [sizing.nearest(grid) for grid in (1, 5, 9)] == [4, 5, 6]
    assert sizing.side(6, "t") == 96
    with pytest.raises(UnblindError):
        sizing.side(3, "t")


def test_foreign_weights_are_refused(tmp_path):
    with pytest.raises(UnblindError, match=r"'lite2' come as a package, not from"):
        load_teacher("lite2", str(tmp_path))


def test_bfloat16_stays_near_and_comes_out_as_float32():
    exact = load_teacher("lite2-128").features(IMAGES, 8)
    rough = load_teacher("lite2-128", dtype=torch.bfloat16).features(IMAGES, 8)
    assert rough.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(rough, exact, dim=-1).min() > 0.98
