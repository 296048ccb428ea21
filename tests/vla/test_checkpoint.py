"""Checkpoints: OpenVLA's names and counts, and what is refused."""

import json
from collections import Counter

import models
import pytest
import torch
from safetensors.torch import load_file, save_file

from unblind import files
from unblind.errors import UnblindError
from unblind.vla import checkpoint
from unblind.vla.prismatic import Prismatic, PrismaticConfig

STATISTICS = models.STATISTICS.to_json()


def openvla_name(name):
    """LayerScale's weight has another name in the published files than in timm."""
    for layer in ("ls1", "ls2"):
        name = name.replace(f"{layer}.gamma", f"{layer}.scale_factor")
    return name


def test_the_published_model_has_982_tensors_of_7_5_billion_parameters():
    with torch.device("meta"):
        weights = Prismatic(PrismaticConfig(**models.OPENVLA)).state_dict()
    assert len(weights) == 982
    assert sum(tensor.numel() for tensor in weights.values()) == 7_541_237_184
    parts = Counter()
    for name, tensor in weights.items():
        parts[".".join(name.split(".")[: 2 if name.startswith("vision") else 1])] += tensor.numel()
    assert {part: round(count / 1e6, 1) for part, count in parts.items()} == {
        "vision_backbone.featurizer": 303.2,
        "vision_backbone.fused_featurizer": 427.7,
        "projector": 71.4,
        "language_model": 6738.9,
    }
    shapes = {name: tuple(weights[name].shape) for name in weights}
    assert shapes["vision_backbone.featurizer.pos_embed"] == (1, 256, 1024)
    assert shapes["projector.fc1.weight"] == (8704, 2176)
    assert shapes["language_model.lm_head.weight"] == (32064, 4096)


@pytest.fixture
def tiny(monkeypatch):
    """A model of OpenVLA's layout, and its weights as they would be published."""
    config = PrismaticConfig(**models.add_tiny_vits(monkeypatch))
    model = Prismatic(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.2, generator=generator)
            weight.copy_(weight.bfloat16())
    stored = {openvla_name(n): t.bfloat16().contiguous() for n, t in model.state_dict().items()}
    return model, stored


def test_a_file_with_openvlas_names_is_loaded_exactly(tiny, tmp_path):
    model, stored = tiny
    save_file(stored, tmp_path / "weights")
    assert "vision_backbone.featurizer.blocks.1.ls1.scale_factor" in stored
    parts = {name.split(".")[0] for name in stored}
    assert parts == {"vision_backbone", "projector", "language_model"}
    assert {n for n in stored if n.startswith("projector")} == {
        f"projector.fc{layer}.{kind}" for layer in (1, 2, 3) for kind in ("weight", "bias")
    }
    fresh = Prismatic(model.config)
    checkpoint.load_weights(fresh, tmp_path / "weights")
    wanted = model.state_dict()
    for name, tensor in fresh.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, wanted[name]), name


def test_every_difference_is_refused_and_the_first_are_named(tiny, tmp_path):
    model, stored = tiny
    place = tmp_path / "weights"
    norm = "language_model.model.norm.weight"

    def problem(tensors):
        save_file(tensors, place)
        with pytest.raises(UnblindError) as caught:
            checkpoint.load_weights(Prismatic(model.config), place)
        return str(caught.value)

    assert f"{norm} is missing" in problem({n: t for n, t in stored.items() if n != norm})
    assert "head.weight is unknown" in problem(stored | {"head.weight": torch.ones(2)})
    assert f"{norm} has shape (3,), not (32,)" in problem(stored | {norm: torch.ones(3)})
    vision = {n: t for n, t in stored.items() if not n.startswith("vision_backbone.fused")}
    text = problem(vision)
    assert text.count("is missing") == 3
    assert f"and {len(stored) - len(vision) - 3} more" in text


def test_a_refused_file_leaves_the_model_as_it_was(tiny, tmp_path):
    model, stored = tiny
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(dict(list(stored.items())[:-1]), tmp_path / "weights")
    with pytest.raises(UnblindError):
        checkpoint.load_weights(model, tmp_path / "weights")
    assert all(torch.equal(tensor, before[n]) for n, tensor in model.state_dict().items())


# ---- a folder ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path / "base", models.small(), models.VOCABULARY, STATISTICS)
    return tmp_path / "base"


def test_what_was_saved_is_loaded_in_half_precision(folder):
    loaded = checkpoint.load(folder)
    original = models.small()
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, original.state_dict()[name].half().float()), name
    assert loaded.sha256 == files.sha256(folder / checkpoint.WEIGHTS)
    assert loaded.vocabulary.actions == models.VOCABULARY.actions
    assert loaded.codec.normalizer == models.STATISTICS
    assert loaded.codec.tokenizer.ids == models.VOCABULARY.actions
    assert not loaded.model.training
    assert {t.dtype for t in load_file(folder / checkpoint.WEIGHTS).values()} == {torch.float16}


def test_saving_a_loaded_model_gives_the_same_bytes(folder, tmp_path):
    loaded = checkpoint.load(folder)
    checkpoint.save(tmp_path / "again", loaded.model, loaded.vocabulary, STATISTICS)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_openvlas_padding_stands_behind_the_action_ids():
    config = PrismaticConfig(**models.OPENVLA)
    assert checkpoint.make_codec(models.STATISTICS, config).tokenizer.ids == range(31744, 32000)


@pytest.mark.parametrize(
    "name", [checkpoint.CONFIG, checkpoint.WEIGHTS, checkpoint.TOKENIZER, checkpoint.STATISTICS]
)
def test_missing_and_truncated_files_are_named(folder, name):
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnblindError, match=name):
        checkpoint.load(folder)
    path.unlink()
    with pytest.raises(UnblindError, match=rf"no model in .*: {name} missing.*unblind base pull"):
        checkpoint.load(folder)


def test_a_configuration_of_another_model_is_refused(folder):
    values = json.loads((folder / checkpoint.CONFIG).read_text())
    files.write_json(folder / checkpoint.CONFIG, values | {"layers": 3})
    with pytest.raises(UnblindError, match=r"holds another model: language_model.model.layers.2"):
        checkpoint.load(folder)


def test_a_tokenizer_of_another_model_is_refused(folder):
    models.Vocabulary.build(["three more words"]).save(folder / checkpoint.TOKENIZER)
    with pytest.raises(UnblindError, match=r"tokenizer\.json"):
        checkpoint.load(folder)


def test_statistics_of_another_robot_are_refused(folder):
    short = {key: values[:5] for key, values in STATISTICS.items()}
    files.write_json(folder / checkpoint.STATISTICS, short)
    with pytest.raises(UnblindError, match=r"statistics\.json"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("q01", float("nan"), r"q01\[0\] is nan"),
        ("q99", -1.0, r"q01\[0\] is -0.02, above q99\[0\], -1.0"),
        ("mask", "False", r"mask\[0\] is 'False'"),
    ],
)
def test_impossible_statistics_are_refused(folder, key, value, said):
    wrong = STATISTICS | {key: [value, *STATISTICS[key][1:]]}
    (folder / checkpoint.STATISTICS).write_text(json.dumps(wrong))
    with pytest.raises(UnblindError, match=rf"statistics\.json cannot be used: {said}"):
        checkpoint.load(folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(folder, number):
    tensors = load_file(folder / checkpoint.WEIGHTS)
    tensors["projector.fc2.weight"][3, 1] = number
    save_file(tensors, folder / checkpoint.WEIGHTS)
    with pytest.raises(UnblindError, match=r"projector.fc2.weight holds numbers that are not fin"):
        checkpoint.load(folder)
