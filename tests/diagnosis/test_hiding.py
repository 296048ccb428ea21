"""Hidden visual tokens: from whole texts and from what is decoded token by token."""

import looked_at
import numpy as np
import pytest
import torch

from unblind.diagnosis.attention import low_features
from unblind.diagnosis.hiding import hiding
from unblind.errors import UnblindError
from unblind.vla.batch import Turn, collate
from unblind.vla.policy import Policy

TEXTS = ["put carrot on plate", "put cube on plate"]


@pytest.fixture(scope="module", params=looked_at.CHECKPOINTS)
def loaded(request):
    return looked_at.CHECKPOINTS[request.param]()


def masks(loaded, *rows):
    """Return masks of whole pictures: all hidden or nothing."""
    tokens = loaded.model.config.grid**2
    return torch.tensor(rows)[:, None, None].expand(len(rows), 1, tokens)


def acted(loaded, images, hidden):
    with hiding(loaded.model, lambda layer: hidden):
        return Policy(loaded, width=4).tokens(images, TEXTS[:1] * len(images))


def test_decoding_without_the_picture_knows_nothing_of_it(loaded):
    """All seven tokens depend on the prompt alone: also those that are read from a cache."""
    images = looked_at.frames(2).images
    plain = Policy(loaded, width=4).tokens(images, TEXTS[:1] * 2)
    assert not (plain[0] == plain[1]).all()
    hidden = acted(loaded, images, masks(loaded, True, True))
    assert (hidden[0] == hidden[1]).all()
    # A row's mask is its own; pictures that fill the batch hide nothing.
    mixed = acted(loaded, images, masks(loaded, True, False))
    assert (mixed[0] == hidden[0]).all() and (mixed[1] == plain[1]).all()
    assert (acted(loaded, images, masks(loaded, False, False)) == plain).all()


def test_decoding_equals_reading_the_same_tokens_at_once(loaded):
    """With half of the picture hidden in one layer, cached steps see what a whole text sees."""
    frames, model = looked_at.frames(2), loaded.model
    tokens = model.config.grid**2
    half = (torch.arange(tokens) < tokens // 2).expand(2, 1, -1)

    def at_first_layer(layer):
        return half if layer == 1 else torch.zeros_like(half)

    words, allowed = loaded.vocabulary, loaded.vocabulary.actions
    with hiding(model, at_first_layer), torch.no_grad():
        found = Policy(loaded, width=4).tokens(frames.images, TEXTS)
        turns = [
            [Turn(words.action_prompt(text), tuple(ids), (1.0,) * 7)]
            for text, ids in zip(TEXTS, found.tolist(), strict=True)
        ]
        batch = collate(turns)
        (states,) = model.hidden(low_features(loaded, frames.images), batch.text)
        at = states[batch.rows, 1 + tokens + batch.places]
        likeliest = model.scores(at, allowed).argmax(-1) + allowed.start
    assert likeliest.tolist() == np.ravel(found).tolist()


def test_more_masks_than_pictures_are_refused(loaded):
    with pytest.raises(UnblindError, match="5 masks for a batch of 4"):
        acted(loaded, looked_at.frames(2).images, masks(loaded, *[True] * 5))
