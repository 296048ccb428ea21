"""Models of others under the same light: areas on any grid, and our own code on a Prismatic."""

import looked_at
import numpy as np
import pytest
import torch

from unblind import twin
from unblind.config import Answerer, Attention
from unblind.diagnosis import answerers, attention
from unblind.diagnosis.answerers import PrismaticAnswerer
from unblind.diagnosis.frames import PARTS
from unblind.errors import UnblindError

SETTINGS = Attention(question="do you see the {object}?", generic="describe the scene briefly")


@pytest.fixture(scope="module")
def prismatic():
    return PrismaticAnswerer(looked_at.openvla())


def test_shares_are_those_of_pixels_on_any_grid():
    frames = looked_at.frames(2)
    rows, columns = 3, 4
    found = answerers.shares(frames, (rows, columns))
    cells = (frames.segments == PARTS.index("plate")).reshape(2, rows, 16, columns, 16)
    np.testing.assert_allclose(found["plate"], cells.mean((2, 4)).reshape(2, -1), atol=1e-12)
    np.testing.assert_allclose(sum(found.values()), 1, atol=1e-12)
    square = answerers.shares(frames, (5, 5))
    for part, own in frames.shares(5).items():
        np.testing.assert_allclose(square[part], own, atol=1e-12)


def test_a_look_is_what_the_other_pages_have_of_the_same_model(prismatic):
    frames, loaded = looked_at.frames(2), looked_at.openvla()
    own = attention.prompt_attention(loaded, frames, SETTINGS)
    for number, row in enumerate(frames.rows.itertuples()):
        for place, text in ((1, f"do you see the {row.object}?"), (2, SETTINGS.generic)):
            look = prismatic.look(frames.images[number], text)
            np.testing.assert_allclose(look.weights, own[number, place], atol=1e-6)
            assert look.weights.sum(-1) == pytest.approx(np.ones(look.weights.shape[:2]), abs=1e-6)
            side = loaded.model.config.grid
            assert look.grid == (side, side) and look.visual.shape[:2] == (
                1 + prismatic.layers,
                side**2,
            )


def test_a_record_is_that_of_our_own_models_for_the_question(prismatic):
    frames, loaded = looked_at.frames(), looked_at.openvla()
    mine, maps = answerers.attend(prismatic, frames, SETTINGS, 0.0)
    theirs, their_maps = attention.record(loaded, frames, SETTINGS, 0.0)
    key = ["frame", "variant", "layer"]
    mine, theirs = (
        table.to_pandas().query("prompt == 'question'").sort_values(key).reset_index(drop=True)
        for table in (mine, theirs)
    )
    assert list(mine.columns) == list(theirs.columns) and len(mine) == len(theirs)
    for column in mine.columns:
        if column == "target_by_head":
            raw = mine["variant"] == "raw"
            pairs = zip(mine[column][raw], theirs[column][raw], strict=True)
            assert all(np.allclose(a, b, atol=1e-5) for a, b in pairs)
        elif mine[column].dtype.kind == "f":
            np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-4, atol=1e-6)
        else:
            assert (mine[column].astype(str) == theirs[column].astype(str)).all()
    mine, theirs = (
        table.to_pandas().query("prompt == 'question'").sort_values(key)["map"].tolist()
        for table in (maps, their_maps)
    )
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(mine, theirs, strict=True))


def test_a_prismatic_in_the_hub_s_layout_is_read_by_our_own_code(tmp_path):
    folder = twin.make("prismatic", tmp_path / "prismatic")
    about = Answerer(family="prismatic", source=str(folder), billions=7.5)
    own = answerers.load(folder, about, torch.device("cpu"), torch.float32, eager=True)
    look = own.look(looked_at.frames(2).images[0], "do you see the cube?")
    assert own.layers == 32 and look.grid == (16, 16)
    assert look.visual.shape[:2] == (33, 256) and look.last.shape[0] == 33
    assert look.weights.sum(-1) == pytest.approx(np.ones((32, 2)), abs=1e-5)
    other = about.model_copy(update={"family": "internvl"})
    with pytest.raises(UnblindError, match="is of model_type 'prismatic', not 'internvl'"):
        answerers.load(folder, other, torch.device("cpu"), torch.float32, eager=True)


def test_a_prismatic_says_the_same_alone_and_in_a_batch(prismatic):
    images = looked_at.frames().images
    texts = ["do you see the cube?", "where is it?", "what is it?", "where?"]
    together = prismatic.say(images, texts, 4)
    assert together == [prismatic.say(images[k : k + 1], texts[k : k + 1], 4)[0] for k in range(4)]
