"""The trained policy: its answers do not depend on who else is in the batch."""

from dataclasses import replace

import models
import numpy as np
import pytest
import torch
from unblind.rollout.vla import VlaPolicy, load_policy

from unblind.errors import UnblindError
from unblind.rollout.policies import Observation
from unblind.sim.episodes import decode
from unblind.vla import checkpoint, lora
from unblind.vla.text import action_prompt

WORDS = models.VOCABULARY
INSTRUCTIONS = (
    "put carrot on plate",
    "put cube on plate",
    "put the carrot on the robot",
    "put cube",
    "put the plate on the plate where the robot is holding the gripper",
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    checkpoint.save(folder, models.small(), WORDS, models.STATISTICS.to_json())
    return folder


@pytest.fixture(scope="module")
def policy(base):
    return load_policy(base, None, width=4)


@pytest.fixture(scope="module")
def observations():
    rng = np.random.default_rng(0)
    episode = decode("in_distribution", 0)
    coarse = [rng.integers(0, 256, (12, 16, 3), dtype=np.uint8) for _ in INSTRUCTIONS]
    return [
        Observation(replace(episode, instruction=text), 0, image.repeat(8, 0).repeat(8, 1))
        for text, image in zip(INSTRUCTIONS, coarse, strict=True)
    ]


def test_an_episodes_action_does_not_depend_on_its_company(policy, observations):
    alone = [policy.act([one])[0] for one in observations]
    together = policy.act(observations[:4])
    backwards = policy.act(observations[3::-1])[::-1]
    assert len({action.tobytes() for action in alone}) == 5, "each has its own"
    for row in range(4):
        assert together[row].tobytes() == backwards[row].tobytes() == alone[row].tobytes()
    assert policy.act(observations).tobytes() == np.stack(alone).tobytes(), "in two batches"


def test_scores_are_bitwise_the_same_at_any_place_and_beside_anyone(
    policy, observations, monkeypatch
):
    """With neighbours of the same padded length; another length is another shape of products."""
    seen = []
    logits = policy._model.logits
    monkeypatch.setattr(policy._model, "logits", lambda s: seen.append(logits(s)) or seen[-1])

    def scores(batch, row):
        seen.clear()
        policy.act(batch)
        return torch.stack(seen)[:, row]

    first, *others = observations[:4]
    wanted = scores([first], 0)
    assert torch.equal(scores([first, *others], 0), wanted)
    assert torch.equal(scores([*others, first], 3), wanted)
    assert torch.equal(scores([others[1], first, others[0]], 1), wanted)


def test_actions_are_executable_and_within_the_statistics(policy, observations):
    actions = policy.act(observations)
    assert actions.shape == (5, 7) and actions.dtype == np.float32
    assert set(actions[:, 6]) <= {-1.0, 1.0}
    limits = np.array(models.STATISTICS.q99[:6])
    assert (np.abs(actions[:, :6]) <= limits).all()


def test_the_instruction_is_told_in_openvlas_words(policy, observations):
    prompts = [WORDS.encode(action_prompt(text)) for text in INSTRUCTIONS[:2]]
    images = np.stack([one.image for one in observations[:2]])
    assert (policy.predict(images, prompts) == policy.act(observations[:2])).all()


def test_an_adapter_changes_the_policy_and_another_bases_is_refused(base, observations, tmp_path):
    wrapped = lora.add_lora(checkpoint.load(base).model, vision=True, seed=0, rank=4, alpha=8)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.05)
    lora.save_adapter(wrapped, tmp_path / "run", base / checkpoint.WEIGHTS)
    adapted = load_policy(base, tmp_path / "run", width=4)
    assert isinstance(adapted, VlaPolicy)
    assert (adapted.act(observations) != load_policy(base, None, 4).act(observations)).any()
    other = tmp_path / "base"
    checkpoint.save(other, models.small(seed=1), WORDS, models.STATISTICS.to_json())
    with pytest.raises(UnblindError, match="trained on another base"):
        load_policy(other, tmp_path / "run")


def test_a_missing_base_says_how_to_get_one(tmp_path):
    with pytest.raises(UnblindError, match=r"no model in .*unblind base pull"):
        load_policy(tmp_path / "nowhere", None)
