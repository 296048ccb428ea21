import models
import pytest
import torch

from unblind.bench import training as bench
from unblind.config import load
from unblind.errors import UnblindError
from unblind.vla import checkpoint


@pytest.fixture
def config(request):
    return load(request.config.rootpath / "workflow" / "config" / "smoke.yaml")


def test_every_method_is_measured_and_the_model_stays_as_it_is(
    config, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)  # where no base has been pulled
    base, weights = bench.loaded_model(config)
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    found = bench.bench(config, base, steps=3, rounds=1)
    assert set(found) == {
        "default_samples_per_cpu_s",
        "freeze_samples_per_cpu_s",
        "align_samples_per_cpu_s",
        "freeze_to_default_time",
        "align_to_default_time",
    }
    assert min(found.values()) > 0
    time_ratio = found["default_samples_per_cpu_s"] / found["align_samples_per_cpu_s"]
    assert found["align_to_default_time"] == pytest.approx(time_ratio, abs=0.02)
    after = base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert weights == "random weights" and capsys.readouterr().err == ""


def test_methods_train_what_they_should(config):
    base, _ = bench.loaded_model(config)
    names = {m: set(bench._Run(config, m, base)._parameters) for m in ("default", "freeze")}
    assert names["freeze"] < names["default"]
    assert all("vision_backbone" in name for name in names["default"] - names["freeze"])


def test_the_base_is_measured_where_there_is_one(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "results" / "base"
    checkpoint.save(place, models.small(), models.VOCABULARY, models.STATISTICS.to_json())
    base, weights = bench.loaded_model(config)
    assert weights == "base" and base.model.config.hidden_size == models.SMALL["hidden_size"]
    (place / checkpoint.WEIGHTS).write_bytes(b"broken")
    with pytest.raises(UnblindError, match="no readable file of weights"):
        bench.loaded_model(config)
