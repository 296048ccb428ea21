import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from unblind.errors import UnblindError
from unblind.teachers import vit
from unblind.teachers.loading import load_teacher
from unblind.twin import teachers as twins

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path):
    twins.TEACHER_TWINS["radio"](tmp_path / "radio", 1)
    return tmp_path / "radio"


def load(folder, name="c-radiov3-l"):
    return load_teacher(name, str(folder))


def change(folder, function):
    tensors = load_file(folder / WEIGHTS)
    save_file(function(tensors) or tensors, folder / WEIGHTS)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for kind, make in twins.TEACHER_TWINS.items():
        for copy, seed in (("a", 1), ("b", 1), ("c", 2)):
            make(tmp_path / copy / kind, seed)
        first, again, other = ((tmp_path / copy / kind / WEIGHTS).read_bytes() for copy in "abc")
        assert first == again != other
        assert len(first) < 2**21


def test_another_familys_checkpoint_names_three_keys_and_the_code_that_is_not_run(folder):
    with pytest.raises(UnblindError) as caught:
        load(folder, "dinov2-large")
    text = str(caught.value)
    assert "embeddings.patch_embeddings.projection.weight is missing" in text
    assert text.count("is missing") == 3 and "more" in text
    assert "use the files of facebook/dinov2-large" in text and "auto_map" in text


def test_a_scaled_network_without_its_scales_is_refused(folder):
    # C-RADIOv3-L has LayerScale; without it the features would be wrong, not absent.
    change(folder, lambda t: {n: v for n, v in t.items() if "grandma" not in n})
    with pytest.raises(UnblindError, match=r"blocks.0.ls1.grandma is missing;.*and 1 more"):
        load(folder)


def test_scales_where_the_network_has_none_are_refused(folder):
    with pytest.raises(UnblindError, match=r"blocks.0.ls1.grandma is unknown"):
        load(folder, "c-radiov3-h")


def test_wrong_shapes_are_refused(folder):
    def narrow(tensors):
        name = "radio_model.model.blocks.1.mlp.fc1.weight"
        tensors[name] = tensors[name][:40].clone()

    change(folder, narrow)
    with pytest.raises(UnblindError, match=r"fc1.weight has shape \(40, 32\), not \(48, 32\)"):
        load(folder)


def test_another_normalisation_is_refused(folder):
    def other(tensors):
        tensors["radio_model.input_conditioner.norm_mean"] = torch.full((3, 1, 1), 0.5)

    change(folder, other)
    with pytest.raises(UnblindError, match=r"norm_mean is \[0.5, 0.5, 0.5\], not \[0.481"):
        load(folder)


def test_a_smaller_model_under_the_teachers_name_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["unblind_twin"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnblindError, match=r"blocks.2.norm1.weight is missing;.*and 336 more"):
        load(folder)


def test_a_head_count_that_no_tensor_shows_is_compared(tmp_path):
    twins.make("dinov2-large", tmp_path, 1)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["unblind_twin"]
    config |= {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnblindError, match="num_attention_heads 8, the teacher has 16"):
        load(tmp_path, "dinov2-large")


@pytest.mark.parametrize(
    "stated", [[], {"width": 32}, {"width": -1}, {"heads": 5}, {"depth": 10**9}, {"depth": True}]
)
def test_a_twin_without_sensible_sizes_is_refused(folder, stated):
    config = json.loads((folder / "config.json").read_text())
    whole = isinstance(stated, dict) and len(stated) == 1 and stated != {"width": 32}
    config["unblind_twin"] = config["unblind_twin"] | stated if whole else stated
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnblindError, match="states no sizes"):
        load(folder)


@pytest.mark.parametrize("text", [None, "{", "[1]", " " * (2**20 + 1)])
def test_a_config_that_cannot_be_read_is_refused(folder, text):
    if text is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(text)
    with pytest.raises(UnblindError, match=r"config.json is (missing|unreadable)"):
        load(folder)


def test_pickles_are_refused_unread(folder):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was run",))

    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnblindError, match=r"as pickles only \(pytorch_model.bin\)"):
        load(folder)


def test_unknown_teacher_and_unpinned_teacher():
    unknown = r"no teacher called 'radio', did you mean .*'c-radiov3-l'.*teachers: lite2, "
    for function in (load_teacher, vit.fetch):
        with pytest.raises(UnblindError, match=unknown):
            function("radio")
    with pytest.raises(UnblindError, match=r"no commit of theaiinstitute/theia-base.*is pinned"):
        load_teacher("theia-base-cddsv")


def test_the_tables_commit_is_what_is_fetched(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(vit.hub, "fetch", lambda *arguments: asked.append(arguments) or folder)
    teacher = load_teacher("c-radiov3-l")
    assert asked[0][:2] == ("nvidia/C-RADIOv3-L", "9d0413465e8a91e67bbf2c1ad342815478d1b906")
    assert teacher.describe(16)["source"] == "@".join(asked[0][:2])
    assert all(pattern.endswith((".json", ".safetensors")) for pattern in asked[0][2])
