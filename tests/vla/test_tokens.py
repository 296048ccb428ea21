import json

import numpy as np
import pytest

from unblind.demos.manifests import action_statistics
from unblind.vla.tokens import ActionCodec, ActionNormalizer, ActionTokenizer, gripper_command


@pytest.fixture
def actions():
    rng = np.random.default_rng(0)
    values = rng.normal(0, [0.02, 0.02, 0.03, 0.05, 0.05, 0.2, 0], (1000, 7))
    values[:, 6] = np.where(rng.random(1000) < 0.5, -1, 1)
    return values


def test_ids_are_openvlas():
    tokenizer = ActionTokenizer()
    assert tokenizer.encode(np.array([-1.0, -1.5, 1.0, 2.0])).tolist() == [
        31999, 31999, 31744, 31744,
    ]  # fmt: skip
    assert tokenizer.encode(np.array([0.0, 0.999, -0.999])).tolist() == [31872, 31745, 31999]
    assert (tokenizer.ids.start, tokenizer.ids[-1], len(tokenizer.ids)) == (31744, 31999, 256)


def test_plus_one_has_its_own_id_but_decodes_like_its_neighbour():
    tokenizer = ActionTokenizer()
    assert len(tokenizer.centers) == 255
    assert tokenizer.decode(np.array([31744])) == tokenizer.decode(np.array([31745]))
    assert tokenizer.decode(np.array([31744]))[0] == pytest.approx(254 / 255)
    assert tokenizer.decode(np.array([31999]))[0] == pytest.approx(-254 / 255)


def test_every_other_id_survives_decoding_and_encoding():
    tokenizer = ActionTokenizer()
    ids = np.arange(31745, 32000)
    assert (tokenizer.encode(tokenizer.decode(ids)) == ids).all()
    assert tokenizer.decode(np.array([0, 40_000])).tolist() == [
        tokenizer.centers[-1], tokenizer.centers[0],
    ]  # fmt: skip


def test_rounding_error_is_half_a_bin():
    tokenizer = ActionTokenizer()
    values = np.random.default_rng(1).uniform(-1, 1, (500, 7))
    ids = tokenizer.encode(values)
    assert ids.shape == (500, 7) and ids.dtype == np.int64
    assert np.abs(tokenizer.decode(ids) - values).max() <= 1 / 255 + 1e-12


def test_edges_need_float64():
    tokenizer = ActionTokenizer()
    on_edge = tokenizer.edges[1:-1]
    assert (tokenizer.encode(on_edge) == 32000 - np.arange(2, 256)).all()
    narrow = 32000 - np.digitize(on_edge, tokenizer.edges.astype(np.float32).astype(np.float64))
    assert 0.3 < (narrow != tokenizer.encode(on_edge)).mean() < 0.7


def test_small_vocabulary():
    tokenizer = ActionTokenizer(vocab_size=300, bins=16)
    assert tokenizer.encode(np.array([-1.0, 1.0])).tolist() == [299, 284]
    assert len(tokenizer.centers) == 15


def fit(actions):
    return ActionNormalizer.from_json(action_statistics(actions), "made up")


def test_quantiles_map_to_the_ends(actions):
    normalizer = fit(actions)
    np.testing.assert_allclose(normalizer.q01, np.quantile(actions, 0.01, axis=0))
    ends = normalizer.normalize(np.array([normalizer.q01, normalizer.q99]))
    np.testing.assert_allclose(ends[:, :6], [[-1] * 6, [1] * 6], atol=1e-5)
    normalized = normalizer.normalize(actions)
    assert np.abs(normalized).max() <= 1
    assert (normalized[:, 6] == actions[:, 6]).all(), "the gripper is untouched"


def test_denormalize_inverts(actions):
    normalizer = fit(actions)
    inside = np.clip(actions, normalizer.q01, normalizer.q99)
    back = normalizer.denormalize(normalizer.normalize(inside))
    np.testing.assert_allclose(back, inside, atol=1e-7)


def test_constant_dimensions(actions):
    actions[:, 2] = 0.05
    actions[:, 6] = 1.0  # a gripper that never closes
    normalizer = fit(actions)
    released = normalizer.normalize(actions, "released")
    corrected = normalizer.normalize(actions)
    assert (released[:, 2] == 0).all() and (corrected[:, 2] == 0).all()
    assert (released[:, 6] == 0).all(), "the release zeroes what its mask excludes"
    assert (corrected[:, 6] == 1).all()
    np.testing.assert_allclose(normalizer.denormalize(corrected)[:, 2], 0.05)


def test_equal_quantiles(actions):
    actions[:, 1] = 0.0
    actions[0, 1] = 0.01  # one outlier: minimum and maximum differ, the quantiles do not
    normalizer = fit(actions)
    assert normalizer.normalize(actions, "released")[:2, 1].tolist() == [1.0, -1.0]
    assert (normalizer.normalize(actions)[:, 1] == 0).all()


def test_json_round_trip(actions):
    normalizer = fit(actions)
    assert (
        ActionNormalizer.from_json(json.loads(json.dumps(normalizer.to_json())), "") == normalizer
    )


def test_gripper_rule():
    assert gripper_command(np.array([0.996, 0.51, 0.5, 0.0, -0.996])).tolist() == [
        1, 1, -1, -1, -1,
    ]  # fmt: skip


def test_codec_gives_executable_actions(actions):
    codec = ActionCodec(fit(actions), ActionTokenizer())
    back = codec.decode(codec.encode(actions))
    width = np.subtract(codec.normalizer.q99, codec.normalizer.q01)[:6]
    inside = np.clip(actions, codec.normalizer.q01, codec.normalizer.q99)
    assert (np.abs(back - inside)[:, :6] <= width / 510 + 1e-7).all(), "half a bin"
    assert (back[:, 6] == actions[:, 6]).all()


def test_the_released_codec_gives_a_gripper_that_never_moves_the_middle_id(actions):
    """The release zeroes whatever is constant, also where its mask says to leave it alone."""
    actions[:, 6] = 1.0
    normalizer = fit(actions)
    released = ActionCodec(normalizer, ActionTokenizer(), "released")
    corrected = ActionCodec(normalizer, ActionTokenizer())
    assert set(released.encode(actions)[:, 6]) == {31872}  # 0
    assert set(corrected.encode(actions)[:, 6]) == {31744}  # 1
    assert (released.encode(actions)[:, :6] == corrected.encode(actions)[:, :6]).all()
