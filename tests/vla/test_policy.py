"""Models at work: independent of company, sampled from own streams, at the command line."""

import json
from dataclasses import replace

import commands
import models
import numpy as np
import pytest
import torch
from PIL import Image

from unblind import twin
from unblind.errors import UnblindError
from unblind.vla import checkpoint, lora, policy
from unblind.vla.decode import Sampling, decode
from unblind.vla.policy import Policy, answer

TEXTS = (
    "put carrot on plate",
    "put cube on plate",
    "put the carrot on the robot",
    "put the plate on the plate where the robot is holding the gripper",
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    statistics = models.STATISTICS.to_json()
    checkpoint.save(folder, models.small(), models.VOCABULARY, statistics)
    return folder


def test_an_action_does_not_depend_on_its_company(either, pictures):
    acting = Policy(either, width=3)
    together = acting.act(pictures, TEXTS)
    assert together.shape == (4, 7) and together.dtype == np.float32
    assert len({action.tobytes() for action in together}) > 1
    alone = [acting.act(pictures[k : k + 1], [TEXTS[k]]) for k in range(4)]
    assert np.concatenate(alone).tobytes() == together.tobytes()
    backwards = acting.act(pictures[::-1], TEXTS[::-1])
    assert backwards[::-1].tobytes() == together.tobytes()


def test_an_empty_instruction_is_one_too(either, pictures):
    """The prompt's phrases stay, no word is unknown, and its neighbours change nothing."""
    prompt = either.vocabulary.action_prompt("")
    named = either.vocabulary.action_prompt("put carrot on plate")
    assert prompt[0] == named[0] and prompt[-1] == named[-1] and 0 < len(prompt) < len(named)
    assert getattr(either.vocabulary, "UNKNOWN", None) not in prompt
    acting = Policy(either, width=2)
    together = acting.act(pictures[:2], ["", TEXTS[0]])
    assert np.isfinite(together).all()
    assert acting.act(pictures[:1], [""]).tobytes() == together[:1].tobytes()


def test_scores_are_bitwise_the_same_at_any_place_and_beside_anyone(either, pictures, monkeypatch):
    """With neighbours of the same padded length; another length is another shape of products."""
    acting, seen, logits = Policy(either, width=4), [], either.model.logits
    monkeypatch.setattr(either.model, "logits", lambda s: seen.append(logits(s)) or seen[-1])

    def scores(rows, row):
        seen.clear()
        acting.act(pictures[rows], [TEXTS[k] for k in rows])
        return torch.stack(seen)[:, row]

    wanted = scores([0], 0)
    assert torch.equal(scores([0, 1, 2, 1], 0), wanted)
    assert torch.equal(scores([1, 2, 1, 0], 3), wanted)
    assert torch.equal(scores([2, 0, 1], 1), wanted)


def test_actions_are_those_of_plain_decoding(either, pictures):
    acting, words = Policy(either, width=2), either.vocabulary
    pixels = either.pixels.evaluation(pictures[:1], dtype=torch.float32)
    ids = decode(either.model, pixels, [words.action_prompt(TEXTS[0])], 7, words.actions)
    assert acting.tokens(pictures[:1], TEXTS[:1]).tolist() == ids.tolist()
    actions = acting.act(pictures[:1], TEXTS[:1])
    np.testing.assert_array_equal(actions, acting.codec.decode(ids.numpy()).astype(np.float32))
    limits = np.array(acting.codec.normalizer.q99[:6], np.float32)
    assert (np.abs(actions[:, :6]) <= limits).all() and actions[0, 6] in (-1, 1)


def test_sampled_actions_follow_their_keys(either, pictures):
    acting, keys = Policy(either, sampling=Sampling(), width=3), [(0, row) for row in range(4)]
    first = acting.tokens(pictures, TEXTS, keys)
    assert (acting.tokens(pictures[::-1], TEXTS[::-1], keys[::-1])[::-1] == first).all()
    other = acting.tokens(pictures, TEXTS, [(1, row) for row in range(4)])
    assert (other != first).any()


def test_missing_texts_and_keys_are_refused(either, pictures):
    with pytest.raises(UnblindError, match="4 pictures, 3 instructions"):
        Policy(either).act(pictures, TEXTS[:3])
    with pytest.raises(UnblindError, match="0 keys"):
        Policy(either, sampling=Sampling()).act(pictures, TEXTS)


def test_an_instruction_beyond_the_model_s_positions_is_refused_at_once(loaded, pictures):
    acting, long = Policy(loaded, "sft", width=1), " ".join(["carrot"] * 4000)
    with pytest.raises(UnblindError, match=r"is too long: the model has room for 1784 .shorten"):
        acting.act(pictures[:1], [long])


# ---- from a folder ----------------------------------------------------------------------------


def adapted(model, folder, identity):
    """Write an adapter that changes what a model does."""
    wrapped = lora.add_lora(model, vision=True, seed=0, rank=4, alpha=8)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.05)
    lora.save_adapter(wrapped, folder, identity)


def test_an_adapter_changes_the_policy_and_another_bases_is_refused(base, pictures, tmp_path):
    loaded = checkpoint.load(base)
    adapted(loaded.model, tmp_path / "run", loaded.identity)
    before, after = policy.load(base), policy.load(base, tmp_path / "run")
    assert (after.act(pictures, TEXTS) != before.act(pictures, TEXTS)).any()
    assert after.codec.normalizer == models.STATISTICS
    other = tmp_path / "base"
    checkpoint.save(other, models.small(seed=1), models.VOCABULARY, models.STATISTICS.to_json())
    with pytest.raises(UnblindError, match="trained on another base"):
        policy.load(other, tmp_path / "run")


def test_statistics_beside_an_adapter_replace_the_base_s(twin_folder, tmp_path):
    record, own = tmp_path / "base.json", models.STATISTICS.to_release()
    record.write_text("{}")
    adapted(checkpoint.load(twin_folder).model, tmp_path / "run", "0" * 64)
    (tmp_path / "run" / checkpoint.HUB_STATISTICS).write_text(json.dumps({"sft": own}))
    with pytest.raises(UnblindError, match=r"another base \(000000000000, this one is 44136fa35"):
        policy.load(checkpoint.load(twin_folder, record=record), tmp_path / "run")
    loaded = checkpoint.load(twin_folder, record=record)
    adapted(checkpoint.load(twin_folder).model, tmp_path / "run", loaded.identity)
    acting = policy.load(loaded, tmp_path / "run", "bridge_orig")
    assert acting.codec.normalizer == models.STATISTICS
    assert policy.load(replace(loaded), None, "bridge_orig").codec.normalizer.q99[0] == 0.04


def test_a_missing_base_is_one_line(tmp_path):
    with pytest.raises(UnblindError, match=r"no folder .*nowhere"):
        policy.load(tmp_path / "nowhere")


# ---- OpenVLA and the model behind it ----------------------------------------------------------


def test_a_prismatic_vlm_answers_but_has_no_actions(tmp_path, pictures):
    model = checkpoint.load(twin.make("prismatic", tmp_path / "vlm"), dtype=torch.float32)
    assert len(model.model.state_dict()) == 982
    questions = ["Do you see the star?", "What is on the table?"]
    both = answer(model, pictures[:2], questions, tokens=5)
    alone = [answer(model, pictures[i : i + 1], [q], 5)[0] for i, q in enumerate(questions)]
    assert alone == both
    with pytest.raises(UnblindError, match="no action statistics"):
        Policy(model)


def test_the_command_line(twin_folder, pictures, tmp_path):
    Image.fromarray(pictures[0]).save(tmp_path / "frame.png")
    words = ("openvla", twin_folder, tmp_path / "frame.png", TEXTS[0])
    done = commands.run(*words, "--unnorm-key", "sft", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    acting = Policy(checkpoint.load(twin_folder), "sft", width=1)
    assert printed["tokens"] == acting.tokens(pictures[:1], TEXTS[:1])[0].tolist()
    assert set(printed["action"]) == {"x", "y", "z", "roll", "pitch", "yaw", "gripper"}
    assert "unnorm_key: bridge_orig, sft" in commands.problem(commands.run(*words))
