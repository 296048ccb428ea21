"""Tables 9 and 14: published settings, ours beside them, and every difference explained."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from unblind.config import load
from unblind.errors import UnblindError
from unblind.report.hyperparameters import SOURCE, hyperparameters, lines, load_settings

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"


def shown(number, name="mini", **changes):
    found = lines(load(CONFIGS / f"{name}.yaml", changes), load_settings()[number])
    return {line.name: line for line in found}


def test_published_values_of_table_9():
    found = {name: line.published for name, line in shown("9").items()}
    table = [name for name, line in shown("9").items() if line.location.startswith("Table 9")]
    assert [found[name] for name in table] == [
        *("60,000", "8", "1", "0.0005", "32", "0.2", "MLP Ln&D", "2,048", "yes"),
        *("Backbone2Enc", "16", "alig"),
    ]
    assert (found["LoRA alpha"], found["Weight decay"]) == ("16", "0.01")


def test_every_difference_at_mini_is_explained():
    found = shown("9").values()
    differing = [line for line in found if line.state == "differs"]
    steps = shown("9")["Training steps"]
    mini = load(CONFIGS / "mini.yaml").training.schedule.steps
    assert (steps.ours, steps.state) == (f"{mini:,}", "differs")
    assert shown("9")["Aligned layer"].ours == "3"
    for line in differing:
        assert line.note and line.note != "Chosen in this configuration.", line.name
    for line in found:
        assert line in differing or line.note == ""


def test_the_paper_scale_has_the_papers_settings():
    for line in shown("9", "paper").values():
        if line.location.startswith("Table 9"):
            assert line.state == "same", line.name


def test_the_paper_scale_trains_as_released_but_for_the_number_format_and_seeds():
    found = shown("9", "paper").values()
    differing = {line.name: line for line in found if line.state != "same"}
    assert set(differing) == {"Number format of the adapters", "Training seeds"}
    assert differing["Number format of the adapters"].ours == "corrected"
    released = shown("9", "paper", **{"training.recipe": "released"})
    assert released["Number format of the adapters"].ours == "bfloat16"
    changes = {"training.clip": 1.0, "training.augmentation": None, "training.betas": [0.9, 0.95]}
    changed = shown("9", "paper", **changes)
    assert changed["Gradient clipping"].ours == "1"
    assert changed["Augmentation of pictures"].ours == "none"
    assert changed["Betas of AdamW"].ours == "0.9, 0.95"


def test_a_changed_setting_is_marked():
    assert shown("9")["LoRA rank"].state == "same"
    changed = shown("9", **{"training.rank": 16})["LoRA rank"]
    assert (changed.ours, changed.state) == ("16", "differs")
    assert changed.note == "Chosen in this configuration."


def test_fixed_values_are_what_the_code_does():
    from unblind.training import finetune
    from unblind.vla import lora

    fixed = shown("9")
    training = load(CONFIGS / "mini.yaml").training
    schedule = finetune.schedule(training, training.schedule)
    assert fixed["Betas of AdamW"].ours == ", ".join(f"{beta:g}" for beta in schedule.betas)
    assert fixed["Gradient clipping"].ours == f"{schedule.clip:g}"
    assert fixed["Rate at the end, as a share"].ours == f"{schedule.last:g}"
    assert (lora.RANK, lora.ALPHA) == (32, 16)


def test_the_probe_is_the_papers_but_for_what_it_does_not_tell():
    found = shown("14")
    assert [line.published for line in found.values()] == [
        *("SGD", "0.9", "0.1", "0", "40", "128", "top-1 accuracy", "the same for all models"),
        "not told",
    ]
    *told, standardised = found.values()
    assert {line.state for line in told} == {"same"}
    assert (standardised.ours, standardised.state) == ("yes", "differs")
    assert standardised.note


def with_probe(**probe):
    return SimpleNamespace(model_dump=lambda mode: {"scale": "mini", "probe": probe})


def test_a_probe_in_the_configuration_fills_table_14():
    settings = {"optimizer": "sgd", "momentum": 0.9, "rate": 0.1, "weight_decay": 0.0}
    settings |= {"standardised": True}
    probe = with_probe(**settings, epochs=40, batch=64)
    found = {line.name: line for line in lines(probe, load_settings()["14"])}
    assert [found[name].state for name in ("Optimiser", "Momentum", "Weight decay")] == ["same"] * 3
    assert (found["Batch size"].ours, found["Batch size"].state) == ("64", "differs")
    assert found["Measure"].state == "same"
    with pytest.raises(UnblindError, match=r"no key 'probe\.batch'"):
        lines(with_probe(**settings, epochs=40), load_settings()["14"])


def test_files_are_the_same_twice_and_quote_their_settings(tmp_path):
    config = load(CONFIGS / "mini.yaml")
    first = {path: path.read_bytes() for path in hyperparameters(config, "9", tmp_path / "table9")}
    assert [path.suffix for path in first] == [".md", ".tex"]
    again = hyperparameters(config, "9", tmp_path / "table9")
    assert {path: path.read_bytes() for path in again} == first
    markdown, tex = (text.decode() for text in first.values())
    steps = config.training.schedule.steps
    assert f"| Training steps | 60,000 | **{steps:,}** | **differs** | training." in markdown
    assert r"LoRA rank & 32 & 32 &  \\" in tex
    assert r"MLP Ln\&D" in tex
    meta = json.loads((tmp_path / "table9.md.meta.json").read_text())
    assert meta["config"]["training.schedule.steps"] == steps


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keys": "seeds"}, "keys"),
        ({"fixed": 1}, "both a key and a fixed value"),
        ({"key": None, "why": None}, "does not say why"),
        ({"published": {"a": 1}}, "published"),
    ],
)
def test_a_malformed_row_is_refused(tmp_path, change, words):
    values = yaml.safe_load(SOURCE.read_text())
    values["9"]["rows"][0] |= change
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UnblindError, match=words):
        load_settings(path)


def test_missing_large_or_foreign_files_are_refused(tmp_path):
    path = tmp_path / "settings.yaml"
    with pytest.raises(UnblindError, match="cannot read"):
        load_settings(path)
    path.write_text("'10': {}\n")
    with pytest.raises(UnblindError, match="bad published settings"):
        load_settings(path)
    path.write_text("#" * 300_000)
    with pytest.raises(UnblindError, match="too large"):
        load_settings(path)


def test_a_misspelt_key_writes_nothing(tmp_path, monkeypatch):
    values = yaml.safe_load(SOURCE.read_text())
    values["9"]["rows"][0]["key"] = "training.schedule.stepz"
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(values))
    monkeypatch.setattr("unblind.report.hyperparameters.load_settings", lambda: load_settings(path))
    with pytest.raises(UnblindError, match=r"no key 'training\.schedule\.stepz'"):
        hyperparameters(load(CONFIGS / "mini.yaml"), "9", tmp_path / "out" / "table9")
    assert not (tmp_path / "out").exists()
