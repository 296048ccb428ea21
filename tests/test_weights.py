import json

import pytest
import torch
from safetensors.torch import save_file

from unblind import weights
from unblind.errors import UnblindError

INDEX = "model.safetensors.index.json"


@pytest.fixture
def shards(tmp_path):
    """Two files of weights and their index."""
    parts = {"model-1.safetensors": ("a", "b"), "model-2.safetensors": ("c",)}
    for file, names in parts.items():
        save_file({name: torch.full((2, 3), float(ord(name))) for name in names}, tmp_path / file)
    table = {name: file for file, names in parts.items() for name in names}
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return tmp_path


def test_shards_are_read_as_one(shards):
    paths = weights.files(shards)
    assert [path.name for path in paths] == ["model-1.safetensors", "model-2.safetensors"]
    assert weights.shapes(paths) == dict.fromkeys("abc", (2, 3))
    found = dict(weights.tensors(paths))
    assert {name: int(tensor[0, 0]) for name, tensor in found.items()} == {
        name: ord(name) for name in "abc"
    }
    assert [name for name, _ in weights.tensors(paths, {"b", "c"})] == ["b", "c"]


def test_one_file_is_preferred_and_may_have_a_name(shards):
    save_file({"z": torch.zeros(1)}, shards / "model.safetensors")
    assert [path.name for path in weights.files(shards)] == ["model.safetensors"]
    save_file({"z": torch.zeros(1)}, shards / "adapter_model.safetensors")
    found = weights.files(shards, "adapter_model.safetensors")
    assert [path.name for path in found] == ["adapter_model.safetensors"]


def test_a_missing_shard_is_named_with_its_tensors(shards):
    (shards / "model-1.safetensors").unlink()
    with pytest.raises(UnblindError, match=r"1 of 2 files .*: model-1.safetensors, with a, b \("):
        weights.files(shards)


def test_a_truncated_shard_is_refused(shards):
    whole = (shards / "model-2.safetensors").read_bytes()
    (shards / "model-2.safetensors").write_bytes(whole[:-4])
    with pytest.raises(UnblindError, match=r"model-2.safetensors is no readable file of weights"):
        weights.shapes(weights.files(shards))


def test_a_name_in_two_shards_is_refused(shards):
    save_file({"a": torch.zeros(1)}, shards / "model-2.safetensors")
    with pytest.raises(UnblindError, match="a is twice"):
        weights.shapes(weights.files(shards))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": "../model.safetensors"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": [3]}}',
        '{"weight_map": {"a": ".."}}',
        '{"weight_map": {"a": "pytorch_model.bin"}}',
    ],
)
def test_an_index_that_makes_no_sense_is_refused(shards, text):
    (shards / INDEX).write_text(text)
    with pytest.raises(UnblindError, match=f"{INDEX} is unreadable"):
        weights.files(shards)


def test_a_huge_index_is_not_read(shards, monkeypatch):
    monkeypatch.setattr(weights, "_LARGEST_INDEX", 10)
    with pytest.raises(UnblindError, match="too large"):
        weights.files(shards)


def test_an_empty_folder_says_what_is_wanted(tmp_path):
    with pytest.raises(
        UnblindError, match=r"no model.safetensors in .*it must hold model.safetensors, or"
    ):
        weights.files(tmp_path)


def test_three_differences_are_named():
    wanted = {"a": (1,), "b": (2,), "c": (3,)}
    with pytest.raises(UnblindError) as caught:
        weights.check(wanted, {"c": (4,), "d": (1,), "e": (1,)}, "X", "mend it")
    assert str(caught.value) == (
        "X holds another model: a is missing; b is missing; d is unknown and 2 more (mend it)"
    )
    weights.check(wanted, wanted | {"head": (9,)}, "X", "", unused=lambda name: name == "head")


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_named(shards, kind, number):
    tensor = torch.arange(6).to(kind)
    save_file({"c": tensor, "empty": torch.zeros(0, 3)}, shards / "model-2.safetensors")
    assert len(list(weights.tensors(weights.files(shards)))) == 4
    tensor[5] = number
    save_file({"c": tensor}, shards / "model-2.safetensors")
    with pytest.raises(UnblindError, match=r"model-2.safetensors: c holds numbers .* not finite"):
        list(weights.tensors(weights.files(shards)))


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.bool, torch.float8_e5m2])
def test_quantised_tensors_are_refused_where_they_are_wanted(shards, kind):
    save_file({"c": torch.ones(3).to(kind)}, shards / "model-2.safetensors")
    paths = weights.files(shards)
    assert len(list(weights.tensors(paths, {"a", "b"}))) == 2
    with pytest.raises(UnblindError, match=rf"c is {str(kind)[6:]}, .*not quantised"):
        list(weights.tensors(paths, {"c"}))


def test_a_pointer_of_git_lfs_is_no_damaged_file(shards):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"
    (shards / "model-2.safetensors").write_text(text)
    with pytest.raises(UnblindError, match=r"model-2.safetensors is a Git LFS pointer.*lfs pull"):
        weights.shapes(weights.files(shards))


def test_an_index_belongs_to_the_file_that_it_is_named_after(shards):
    with pytest.raises(UnblindError, match=r"no adapter_model.safetensors in .*, only model-1"):
        weights.files(shards, "adapter_model.safetensors")


def test_what_is_saved_is_read_again_in_any_layout(tmp_path):
    tensors = {
        "strided": torch.arange(6.0).view(2, 3).T,
        "last": torch.rand(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "half": torch.ones(2, dtype=torch.bfloat16, requires_grad=True),
    }
    weights.save(tmp_path / "deep" / "a.safetensors", tensors, weights.TORCH)
    for name, tensor in weights.tensors([tmp_path / "deep" / "a.safetensors"]):
        assert torch.equal(tensor, tensors[name]) and tensor.dtype == tensors[name].dtype
