"""Keys that no longer exist are named with those that replaced them."""

from pathlib import Path

import pytest

from unblind.config import load
from unblind.errors import UnblindError

FOLDER = Path(__file__).parents[2] / "workflow" / "config"
MINI = FOLDER / "mini.yaml"


def test_a_key_that_was_renamed_is_named_with_the_new_one():
    cause = "'training.align.coefficient' is now 'training.align.lambda' \\(rename the key\\)$"
    with pytest.raises(UnblindError, match=cause):
        load(MINI, {"training.align.coefficient": 0.5})
    with pytest.raises(UnblindError, match=r"'training\.align\.lambda_', did you mean 'lambda'"):
        load(MINI, {"training.align.lambda_": 0.5})


def test_keys_of_a_section_that_was_dissolved_are_named_with_the_new_ones():
    for old, new in (
        ("openvla.base", "base.source"),
        ("openvla.teacher", "training.align.teacher_weights"),
        ("openvla.temperature", "rollout.temperature"),
        ("openvla.clip", "training.clip"),
    ):
        with pytest.raises(UnblindError, match=f": '{old}' is now '{new}' \\(rename the key"):
            load(MINI, {old: None})
    with pytest.raises(UnblindError, match=r": 'openvla' is now 'base\.source' \(rename"):
        load(MINI, {"openvla": None})
