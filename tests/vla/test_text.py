"""Two vocabularies with one interface: the same prompts, in mini's words and in Llama-2's."""

import json

import models
import pytest
from tokenizers import Tokenizer

from unblind.errors import UnblindError
from unblind.vla import text
from unblind.vla.text import Llama, Words
from unblind.vla.tokens import ActionTokenizer

WORDS = models.VOCABULARY
#: "In: What action should the robot take to" and "?\nOut: " by Llama-2's own tokenizer.
BEGIN = (512, 29901, 1724, 3158, 881, 278, 19964, 2125, 304)
END = (29973, 13, 3744, 29901, 29871)


def test_the_last_256_ids_are_the_action_tokenizers(either):
    words = either.vocabulary
    assert words.actions == ActionTokenizer(words.size).ids
    assert words.actions.stop == words.size


def test_only_the_case_of_instructions_is_changed(either):
    words = either.vocabulary
    assert words.action_prompt("Put Carrot On PLATE") == words.action_prompt("put carrot on plate")
    dotted, plain = (words.action_prompt(f"put carrot on plate{end}") for end in (".", ""))
    assert len(dotted) == len(plain) + 1


def test_questions_and_actions_have_prompts_of_their_own(either):
    words = either.vocabulary
    question = words.question_prompt("put carrot on plate")
    assert question == words.encode("In: put carrot on plate\nOut:")
    assert question != words.action_prompt("put carrot on plate")


def test_a_stored_tokenizer_is_the_same(either, tmp_path):
    words, path = either.vocabulary, tmp_path / "tokenizer.json"
    words.save(path)
    more = () if isinstance(words, Words) else (words.size, words.pad)
    again = type(words).load(path, *more)
    assert again.action_prompt("put carrot on plate") == words.action_prompt("put carrot on plate")
    assert (again.actions, again.locations) == (words.actions, words.locations)


@pytest.mark.parametrize("content", [None, "", "{}", "[1]"])
def test_a_file_that_is_no_tokenizer_is_one_error(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    for load in (Words.load, lambda path: Llama.load(path, 32000, 32000)):
        with pytest.raises(UnblindError, match=r"tokenizer\.json"):
            load(path)


# ---- mini's words -----------------------------------------------------------------------------


def test_the_fixed_phrases_are_one_token_each():
    ids = WORDS.action_prompt("put carrot on plate")
    assert len(ids) == 1 + 4 + 1
    assert len(WORDS.question_prompt("where is the carrot")) == 1 + 4 + 1
    assert ids[0] != WORDS.encode("In:")[0], "the longest phrase wins"
    # Released action tokenisation: OpenVLA's wording, the instruction in lower case.
    assert ids == WORDS.encode(
        "In: What action should the robot take to put carrot on plate?\nOut:"
    )


def test_words_survive_encoding_and_case_does_not_matter():
    told = "where is the gripper <loc003><loc127>"
    assert WORDS.decode(WORDS.encode(told)) == "where is the gripper <loc003> <loc127>"
    assert WORDS.encode("Where IS the Gripper") == WORDS.encode("where is the gripper")


def test_unknown_words_are_marked_and_nothing_is_added():
    assert WORDS.encode("put zebra") == (*WORDS.encode("put"), Words.UNKNOWN)
    assert WORDS.unknown_words("put zebra on gnu") == ("zebra", "gnu")
    special = [WORDS.tokenizer.token_to_id(name) for name in ("<pad>", "<s>", "</s>", "<unk>")]
    assert special == [WORDS.pad, text.BOS, text.EOS, Words.UNKNOWN]


def test_places_are_128_bins_of_a_side():
    assert [text.location(x) for x in (0.0, 1 / 128, 0.5, 0.999, 1.0, -0.1, 1.7)] == [
        f"<loc{n:03d}>" for n in (0, 1, 64, 127, 127, 0, 127)
    ]
    assert WORDS.encode("".join(f"<loc{n:03d}>" for n in range(128))) == tuple(WORDS.locations)
    assert WORDS.locations.stop == WORDS.actions.start
    names = [WORDS.tokenizer.id_to_token(number) for number in WORDS.actions]
    assert names == [f"<act{n:03d}>" for n in range(256)]


def test_the_order_of_texts_does_not_matter():
    assert Words.build(reversed(models.WORDS)).tokenizer.to_str() == WORDS.tokenizer.to_str()


# ---- Llama-2's --------------------------------------------------------------------------------


def test_the_prompt_has_llama_2_s_ids(loaded):
    ids = loaded.vocabulary.action_prompt("put carrot on plate")
    assert ids[:9] == BEGIN and ids[-5:] == END
    words = loaded.vocabulary.decode(ids)
    assert words == "In: What action should the robot take to put carrot on plate?\nOut: "


@pytest.mark.parametrize(
    "instruction",
    ["put carrot onto plate.", "  put carrot on plate", "move it so it\u2019s on"],
)
def test_punctuation_and_leading_blanks_stay_as_in_the_release(loaded, instruction):
    vocabulary = loaded.vocabulary
    words = vocabulary.decode(vocabulary.action_prompt(instruction))
    assert words == f"In: What action should the robot take to {instruction}?\nOut: "
    assert vocabulary.unknown_words(instruction) == ()


def test_ranges_of_llama_2_s_ids(loaded):
    vocabulary = loaded.vocabulary
    assert vocabulary.actions == range(31744, 32000) and not vocabulary.locations
    assert (vocabulary.size, vocabulary.pad) == (32000, 32000)


def test_words_end_at_the_first_eos(loaded):
    vocabulary = loaded.vocabulary
    ids = (*vocabulary.encode("yes, left"), text.EOS, *vocabulary.encode("never"))
    assert vocabulary.decode(ids) == "yes, left"


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
def test_another_vocabulary_is_refused_with_the_first_differing_words(
    twin_folder, tmp_path, change, said
):
    values = json.loads((twin_folder / text.FILE).read_text())
    change(values)
    (tmp_path / text.FILE).write_text(json.dumps(values))
    with pytest.raises(UnblindError, match=said) as caught:
        Llama.load(tmp_path / text.FILE, 32000, 32000)
    assert "tokenizer.json of openvla/openvla-7b" in str(caught.value)


def test_a_vocabulary_of_another_size_is_refused(twin_folder):
    with pytest.raises(UnblindError, match="32001 words below id 32128, not 32128"):
        Llama.load(twin_folder / text.FILE, 32128, 32128)


def test_the_twin_s_tokenizer_is_one_of_the_library(twin_folder):
    tokenizer = Tokenizer.from_file(str(twin_folder / text.FILE))
    assert tokenizer.get_vocab_size(with_added_tokens=True) == 32001
    assert tokenizer.token_to_id("<PAD>") == 32000
    for words in ("put carrot on plate", "Ünïcode ✓\n"):
        assert tokenizer.decode(tokenizer.encode(words).ids, skip_special_tokens=False) == words
