"""The model at work: independent of company, sampled from own streams, at the command line."""

import json

import commands
import numpy as np
import pytest
import torch
from PIL import Image
from unblind.openvla import decode, sequence
from unblind.openvla.checkpoint import load
from unblind.openvla.policy import Policy, answer

from unblind import twin
from unblind.errors import UnblindError

TEXTS = ("put carrot on plate", "put cup on plate", "put the potato on the envelope", "put it")


@pytest.fixture(scope="module")
def frames():
    coarse = np.random.default_rng(3).integers(0, 256, (4, 6, 8, 3), np.uint8)
    return coarse.repeat(80, 1).repeat(80, 2)


def test_an_action_does_not_depend_on_its_company(loaded, frames):
    policy = Policy(loaded, "sft", width=3)
    together = policy.act(frames, TEXTS)
    assert together.shape == (4, 7) and together.dtype == np.float32
    assert len({action.tobytes() for action in together}) > 1
    for row, text in enumerate(TEXTS):
        assert policy.act(frames[row : row + 1], [text])[0].tobytes() == together[row].tobytes()


def test_actions_are_those_of_plain_decoding(loaded, frames):
    policy = Policy(loaded, "bridge_orig", width=2)
    prompt = sequence.pad_left([loaded.vocabulary.action_prompt(TEXTS[0])], 0)
    pixels = loaded.pixels.evaluation(frames[:1], dtype=torch.float32)
    ids = decode.decode(loaded.model, pixels, prompt, 7, range(31744, 32000))
    assert policy.tokens(frames[:1], TEXTS[:1]).tolist() == ids.tolist()
    wanted = loaded.codec("bridge_orig").decode(ids.numpy())
    np.testing.assert_array_equal(policy.act(frames[:1], TEXTS[:1]), wanted.astype(np.float32))


def test_sampled_actions_follow_their_keys(loaded, frames):
    policy = Policy(loaded, "sft", decode.Sampling(), width=3)
    keys = [(0, row) for row in range(4)]
    first = policy.tokens(frames, TEXTS, keys)
    assert (policy.tokens(frames[::-1], TEXTS[::-1], keys[::-1])[::-1] == first).all()
    other = policy.tokens(frames, TEXTS, [(1, row) for row in range(4)])
    assert (other != first).any()


def test_missing_texts_and_keys_are_refused(loaded, frames):
    with pytest.raises(UnblindError, match="4 pictures, 3 instructions"):
        Policy(loaded, "sft").act(frames, TEXTS[:3])
    with pytest.raises(UnblindError, match="0 keys"):
        Policy(loaded, "sft", decode.Sampling()).act(frames, TEXTS)
    with pytest.raises(UnblindError, match="did you mean 'sft'"):
        Policy(loaded, "sf")


def test_a_prismatic_vlm_answers_but_has_no_actions(tmp_path, frames):
    model = load(twin.make("prismatic", tmp_path / "vlm"), dtype=torch.float32)
    assert model.config.kind == "prismatic" and len(model.model.state_dict()) == 982
    questions = ["Do you see the star?", "What is on the table?"]
    both = answer(model, frames[:2], questions, tokens=5)
    assert [answer(model, frames[i : i + 1], [q], 5)[0] for i, q in enumerate(questions)] == both
    with pytest.raises(UnblindError, match="no action statistics"):
        Policy(model)


def test_the_command_line(twin_folder, frames, tmp_path):
    Image.fromarray(frames[0]).save(tmp_path / "frame.png")
    words = ("openvla", twin_folder, tmp_path / "frame.png", TEXTS[0])
    done = commands.run(*words, "--unnorm-key", "sft", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    policy = Policy(load(twin_folder), "sft", width=1)
    assert printed["tokens"] == policy.tokens(frames[:1], TEXTS[:1])[0].tolist()
    assert set(printed["action"]) == {"x", "y", "z", "roll", "pitch", "yaw", "gripper"}
    assert "unnorm_key: bridge_orig, sft" in commands.problem(commands.run(*words))


def test_an_instruction_beyond_the_model_s_positions_is_refused_at_once(loaded, frames):
    policy, long = Policy(loaded, "sft", width=1), " ".join(["carrot"] * 4000)
    with pytest.raises(UnblindError, match=r"is too long: the model has room for 1784 .shorten"):
        policy.act(frames[:1], [long])
    with pytest.raises(UnblindError, match=r"is too long: the model has room for 1663"):
        answer(loaded, frames[:1], [long])


@pytest.mark.parametrize("text", ["", " \t"])
def test_an_empty_instruction_is_acted_on_and_noted(twin_folder, tmp_path, text):
    Image.new("RGB", (64, 48)).save(tmp_path / "p.png")
    words = ("openvla", str(twin_folder), str(tmp_path / "p.png"), text, "--unnorm-key", "sft")
    done = commands.run(*words)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 7
    assert done.stderr == ("note: the instruction is empty: the model acts by the picture alone\n")
