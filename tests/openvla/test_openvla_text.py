"""Prompts have the ids of Llama-2's tokenizer; statistics turn tokens into actions."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer
from unblind.openvla import statistics, text
from unblind.openvla.text import LlamaVocabulary

from unblind.errors import UnblindError

#: "In: What action should the robot take to" and "?\nOut: " by Llama-2's own tokenizer.
BEGIN = (512, 29901, 1724, 3158, 881, 278, 19964, 2125, 304)
END = (29973, 13, 3744, 29901, 29871)


def test_the_prompt_has_llama_2_s_ids(loaded):
    ids = loaded.vocabulary.action_prompt("put carrot on plate")
    assert ids[:9] == BEGIN and ids[-5:] == END
    words = loaded.vocabulary.decode(ids)
    assert words == "In: What action should the robot take to put carrot on plate?\nOut: "


def test_only_case_is_changed(loaded):
    """Inner punctuation and leading blanks stay, as in the release."""
    vocabulary = loaded.vocabulary
    assert vocabulary.action_prompt("Put Carrot On PLATE") == vocabulary.action_prompt(
        "put carrot on plate"
    )
    for instruction in (
        "put carrot onto plate.",
        "  put carrot on plate",
        "move it so it\u2019s on",
    ):
        words = vocabulary.decode(vocabulary.action_prompt(instruction))
        assert words == f"In: What action should the robot take to {instruction}?\nOut: "
    dotted = vocabulary.action_prompt("put carrot onto plate.")
    assert dotted[-5:] == END and dotted[-6] == vocabulary.encode(".")[-1]


def test_actions_are_the_last_256_ids_before_the_padding(loaded):
    assert loaded.vocabulary.actions == range(31744, 32000)
    assert (loaded.vocabulary.size, loaded.vocabulary.pad) == (32000, 32000)
    assert loaded.codec("sft").tokenizer.ids == range(31744, 32000)


def test_words_end_at_the_first_eos(loaded):
    vocabulary = loaded.vocabulary
    ids = (*vocabulary.encode("yes, left"), text.EOS, *vocabulary.encode("never"))
    assert vocabulary.decode(ids) == "yes, left"


@pytest.fixture
def load(own_folder):
    def attempt(change):
        values = json.loads((own_folder / text.FILE).read_text())
        change(values)
        (own_folder / text.FILE).write_text(json.dumps(values))
        return LlamaVocabulary.load(own_folder / text.FILE, 32000, 32000)

    return attempt


def swap(values):
    words = values["model"]["vocab"]
    words["?"], words["Out"] = words["Out"], words["?"]


def more(values):
    values["added_tokens"].append(values["added_tokens"][-1] | {"id": 32001, "content": "<more>"})


def rename_all(values):
    words = values["model"]["vocab"]
    values["model"]["vocab"] = {f"{w}x" if len(w) > 1 else w: n for w, n in words.items()}
    values["model"]["merges"] = []
    values["model"]["unk_token"] = "<unk>x"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swap, r"'\?' is 3744, not 29973; 'Out' is 29973, not 3744 \("),
        (more, "'<more>' is 32001"),
        (rename_all, r"'<s>'.*'</s>'|'▁In' is missing.* and \d+ more"),
        (lambda values: values.pop("model"), "cannot read"),
    ],
)
def test_another_vocabulary_is_refused_with_the_first_differing_words(load, change, said):
    with pytest.raises(UnblindError, match=said) as caught:
        load(change)
    assert "tokenizer.json of openvla/openvla-7b" in str(caught.value)


def test_a_vocabulary_of_another_size_is_refused(own_folder):
    with pytest.raises(UnblindError, match="32001 words below id 32128, not 32128"):
        LlamaVocabulary.load(own_folder / text.FILE, 32128, 32128)


def test_the_twin_s_tokenizer_is_one_of_the_library(twin_folder):
    tokenizer = Tokenizer.from_file(str(twin_folder / text.FILE))
    assert tokenizer.get_vocab_size(with_added_tokens=True) == 32001
    assert tokenizer.token_to_id("<PAD>") == 32000
    for words in ("put carrot on plate", "Ünïcode ✓\n"):
        assert tokenizer.decode(tokenizer.encode(words).ids, skip_special_tokens=False) == words


# ---- action statistics ------------------------------------------------------------------------


def test_statistics_come_from_the_base_and_from_fine_tuning(loaded):
    assert list(loaded.statistics) == ["bridge_orig", "sft"]
    gripper = np.array([31744, 31745, 31871, 31872, 31999])
    ids = np.full((5, 7), 31872)
    ids[:, 0], ids[:, 6] = [31744, 31745, 31872, 31999, 31998], gripper
    actions = loaded.codec("sft").decode(ids)
    # Bin centres 254/255 (also of +1's own id), 0, -254/255 and -252/255, times 0.05 m.
    wanted = np.array([254, 254, 0, -254, -252]) / 255 * 0.05
    np.testing.assert_allclose(actions[:, 0], wanted, atol=1e-12)
    # The gripper is not unfolded: 254/255 opens; 2/255, 0 and -254/255 close.
    assert actions[:, 6].tolist() == [1, 1, -1, -1, -1]


def test_ids_on_exact_bin_edges_and_ends(loaded):
    codec = loaded.codec("sft")
    edges = np.linspace(-1, 1, 256)
    actions = np.zeros((256, 7))
    actions[:, 6] = edges  # the gripper's dimension is not normalised
    assert codec.encode(actions)[:, 6].tolist() == (31999 - np.arange(256)).tolist()
    # Beyond q01 and q99 (0.05 m) is clipped. The 1e-8 in the release's quotient keeps q99 itself
    # below the last edge, and with it the id of +1.
    actions[:4, 0] = -0.06, -0.05, 0.05, 0.06
    assert codec.encode(actions)[:4, 0].tolist() == [31999, 31999, 31745, 31744]


def test_a_dimension_that_never_moved_is_0(loaded):
    still = json.loads(json.dumps(loaded.statistics["sft"]))
    for key in ("min", "max", "q01", "q99"):
        still["action"][key][2] = 0.0
    normalizer = statistics.choose({"still": still}, None, "here")
    assert normalizer.normalize(np.full(7, 0.01))[2] == 0
    assert normalizer.denormalize(np.full(7, 0.5))[2] == 0


def test_a_data_set_must_be_named_where_there_are_several(loaded):
    with pytest.raises(UnblindError, match=r"2 data sets.*unnorm_key: bridge_orig, sft"):
        loaded.codec()
    with pytest.raises(UnblindError, match=r"'bridge_org', did you mean 'bridge_orig'"):
        loaded.codec("bridge_org")
    with pytest.raises(UnblindError, match=r"no action statistics ''.*can be bridge_orig, sft"):
        loaded.codec("")
    with pytest.raises(UnblindError, match="no action statistics"):
        statistics.choose({}, None, "here")
    only = {"sft": loaded.statistics["sft"]}
    assert statistics.choose(only, None, "here") == statistics.choose(only, "sft", "here")


@pytest.mark.parametrize("damage", [None, {}, {"action": {}}, {"action": {"q01": [0.0] * 7}}, 5])
def test_unreadable_statistics_are_refused(damage):
    with pytest.raises(UnblindError, match="statistics 'sft' are unreadable"):
        statistics.choose({"sft": damage}, "sft", "here")


def test_statistics_of_another_robot_are_refused(loaded):
    short = {"action": {k: v[:6] for k, v in loaded.statistics["sft"]["action"].items()}}
    with pytest.raises(UnblindError, match="7 numbers wanted, found"):
        statistics.choose({"sft": short}, "sft", "here")


@pytest.mark.parametrize(
    ("key", "dimension", "value", "said"),
    [
        ("q01", 2, float("nan"), r"q01\[2\] is nan"),
        ("max", 5, float("inf"), r"maximum\[5\] is inf"),
        ("q01", 1, 0.5, r"q01\[1\] is 0.5, above q99\[1\], 0.05"),
        ("min", 0, 9.0, r"minimum\[0\] is 9.0, above maximum\[0\], 0.1"),
        ("q99", 3, "0.3", r"q99\[3\] is '0.3'"),
        ("q99", 3, True, r"q99\[3\] is True"),
        ("q99", 3, None, r"q99\[3\] is None"),
        ("mask", 6, "False", r"mask\[6\] is 'False'"),
        ("mask", 0, 1, r"mask\[0\] is 1"),
    ],
)
def test_impossible_statistics_are_refused_by_key_and_dimension(
    loaded, key, dimension, value, said
):
    wrong = json.loads(json.dumps(loaded.statistics["sft"]))
    wrong["action"][key][dimension] = value
    with pytest.raises(UnblindError, match=rf"here: statistics 'sft' cannot be used: {said}"):
        statistics.choose({"sft": wrong}, "sft", "here")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_files_of_statistics_hold_finite_numbers(loaded, tmp_path, text):
    wrong = json.loads(json.dumps({"sft": loaded.statistics["sft"]}))
    wrong["sft"]["action"]["q99"][4] = "HERE"
    path = tmp_path / statistics.FILE
    path.write_text(json.dumps(wrong).replace('"HERE"', text))
    with pytest.raises(
        UnblindError, match=rf"{statistics.FILE}: sft.action.q99\[4\] is -?(nan|inf)"
    ):
        statistics.read(tmp_path, {})
