"""A record of a fetched checkpoint tells whether its folder is still whole."""

import json

import pytest

from unblind import fetched
from unblind.errors import UnblindError


def test_a_file_that_lacks_or_has_another_size_is_named(tmp_path):
    weights, record = tmp_path / "model.safetensors", tmp_path / "record.json"
    weights.write_bytes(b"abc")
    files = fetched.described([weights])
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, "abc"
    assert files == {"model.safetensors": {"bytes": 3, "sha256": digest}}
    record.write_text(json.dumps({"files": files}))
    fetched.check(tmp_path, record, "fetch it")
    weights.write_bytes(b"ab")
    with pytest.raises(UnblindError, match="is not what") as caught:
        fetched.check(tmp_path, record, "fetch it")
    assert caught.value.remedy == "fetch it"
    record.write_text("{}")
    with pytest.raises(UnblindError, match="missing or unreadable"):
        fetched.check(tmp_path, record, "fetch it")
