import models
import pytest

from unblind.errors import UnblindError
from unblind.vla import text
from unblind.vla.text import Vocabulary
from unblind.vla.tokens import ActionTokenizer

WORDS = models.VOCABULARY


def test_prompts_have_openvlas_wording():
    # Released action tokenisation: the instruction in lower case, nothing else changed.
    assert text.action_prompt("put Carrot on plate.") == (
        "In: What action should the robot take to put carrot on plate.?\nOut:"
    )
    assert text.question_prompt("where is the carrot") == "In: where is the carrot\nOut:"


def test_the_fixed_phrases_are_one_token_each():
    ids = WORDS.encode(text.action_prompt("put carrot on plate"))
    assert len(ids) == 1 + 4 + 1
    assert len(WORDS.encode(text.question_prompt("where is the carrot"))) == 1 + 4 + 1
    assert ids[0] != WORDS.encode("In:")[0], "the longest phrase wins"


def test_words_survive_encoding_and_case_does_not_matter():
    told = "where is the gripper <loc003><loc127>"
    assert WORDS.decode(WORDS.encode(told)) == "where is the gripper <loc003> <loc127>"
    assert WORDS.encode("Where IS the Gripper") == WORDS.encode("where is the gripper")


def test_unknown_words_are_marked_and_nothing_is_added():
    assert WORDS.encode("put zebra") == (*WORDS.encode("put"), text.UNKNOWN)
    special = [WORDS.tokenizer.token_to_id(name) for name in ("<pad>", "<s>", "</s>", "<unk>")]
    assert special == [text.PAD, text.BOS, text.EOS, text.UNKNOWN]


def test_places_are_128_bins_of_a_side():
    assert [text.location(x) for x in (0.0, 1 / 128, 0.5, 0.999, 1.0, -0.1, 1.7)] == [
        f"<loc{n:03d}>" for n in (0, 1, 64, 127, 127, 0, 127)
    ]
    assert WORDS.encode("".join(f"<loc{n:03d}>" for n in range(128))) == tuple(WORDS.locations)


def test_the_last_256_ids_are_the_action_tokenizers():
    assert WORDS.actions == ActionTokenizer(WORDS.size).ids
    assert WORDS.locations.stop == WORDS.actions.start
    names = [WORDS.tokenizer.id_to_token(number) for number in WORDS.actions]
    assert names == [f"<act{n:03d}>" for n in range(256)]


def test_the_order_of_texts_does_not_matter():
    assert Vocabulary.build(reversed(models.WORDS)).tokenizer.to_str() == WORDS.tokenizer.to_str()


def test_a_stored_tokenizer_is_the_same(tmp_path):
    path = tmp_path / "tokenizer.json"
    WORDS.save(path)
    prompt = text.action_prompt("put carrot on plate") + "<loc005>"
    assert Vocabulary.load(path).encode(prompt) == WORDS.encode(prompt)
    assert Vocabulary.load(path).actions == WORDS.actions


@pytest.mark.parametrize("content", [None, "", "{}", "[1]"])
def test_a_file_that_is_no_tokenizer_is_one_error(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UnblindError, match=r"cannot read the tokenizer .*tokenizer\.json"):
        Vocabulary.load(path)
