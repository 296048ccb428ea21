"""What is refused of a checkpoint, in one line each."""

import json
import shutil

import pytest
import torch

from unblind import twin, weights
from unblind.answerers import loading, model
from unblind.answerers.families import FAMILIES
from unblind.errors import UnblindError

CPU = torch.device("cpu")


@pytest.fixture
def copy(folders, tmp_path):
    """A twin of Qwen2.5-VL that may be changed."""
    return shutil.copytree(folders["qwen2_5_vl"], tmp_path / "copy")


def refused(folder, family="qwen2_5_vl"):
    with pytest.raises(UnblindError) as caught:
        model.load(folder, family, CPU, torch.float32)
    assert "\n" not in str(caught.value) and caught.value.remedy
    return str(caught.value)


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_name_without_a_commit_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnblindError, match=r"Qwen2\.5-VL-7B-Instruct names no commit") as caught:
        loading.place("Qwen/Qwen2.5-VL-7B-Instruct")
    assert "write Qwen/Qwen2.5-VL-7B-Instruct@COMMIT" in caught.value.remedy
    with pytest.raises(UnblindError, match="at 'main': a branch or a tag may move"):
        loading.place("Qwen/Qwen2.5-VL-7B-Instruct@main")
    with pytest.raises(UnblindError, match="no folder prism"):
        loading.place("prism")


def test_a_folder_that_holds_no_model(tmp_path, copy):
    assert "config.json is missing" in refused(tmp_path)
    (copy / weights.SINGLE).unlink()
    assert f"no {weights.SINGLE} in" in refused(copy)
    (copy / "pytorch_model.bin").write_bytes(b"x")
    assert "holds weights as pickles only" in refused(copy)


def test_another_family_and_a_model_without_vision(copy):
    assert "is of model_type 'qwen2_5_vl', not 'paligemma'" in refused(copy, "paligemma")
    change(copy, model_type="llama")
    assert "is of model_type 'llama', which takes no pictures" in refused(copy)


def test_what_transformers_lacks_is_said(copy):
    assert "Ovis2.5 cannot be asked: transformers has no class for Ovis2.5" in refused(
        copy, "ovis2_5"
    )


def test_missing_weights_and_missing_small_files(copy):
    path = copy / weights.SINGLE
    tensors = dict(weights.tensors([path]))
    name = next(name for name in sorted(tensors) if "q_proj" in name)
    weights.save(path, {key: t for key, t in tensors.items() if key != name}, weights.TORCH)
    assert "lacks 1 weights of Qwen2.5-VL" in refused(copy)
    for small in ("tokenizer.json", "processor_config.json"):
        (copy / small).unlink()
    assert "cannot read Qwen2.5-VL in" in refused(copy)


def test_a_record_names_all_files_and_notices_another_one(copy, tmp_path):
    content = loading.describe(copy, FAMILIES["qwen2_5_vl"])
    assert {"config.json", weights.SINGLE, "tokenizer.json"} <= content["files"].keys()
    assert content["tensors"] == len(weights.shapes([copy / weights.SINGLE]))
    record = tmp_path / "model.json"
    record.write_text(json.dumps(content))
    loading.check(copy, record)
    change(copy, further=1)
    with pytest.raises(UnblindError, match=r"config\.json is not what"):
        loading.check(copy, record)


def test_twins_have_the_same_bytes_for_the_same_seed(folders, tmp_path):
    again = twin.make("qwen2.5-vl", tmp_path / "again")
    other = twin.make("qwen2.5-vl", tmp_path / "other", seed=1)
    sums = [
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (folders["qwen2_5_vl"], again, other)
    ]
    assert sums[0] == sums[1]
    assert sums[0][weights.SINGLE] != sums[2][weights.SINGLE]
