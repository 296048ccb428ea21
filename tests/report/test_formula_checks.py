"""The formulas of the paper's costs against results that were made here."""

from pathlib import Path

import models
import pytest
import synthetic

from unblind import files
from unblind.config import load
from unblind.report import formula_checks, scale_report
from unblind.report.paper_scale import decoder_adapters, decoder_parameters
from unblind.sim.conditions import CONDITIONS
from unblind.study import jobs, stages

CONFIGS = Path(__file__).parents[2] / "workflow" / "config"


@pytest.fixture
def study(tmp_path):
    changes = {"results": str(tmp_path), "rebuild_base": True, "seeds": [0, 1]}
    return load(CONFIGS / "smoke.yaml", changes)


def found(study):
    return {one.what: one for one in formula_checks.checks(study)}


def test_nothing_is_checked_by_nothing(study):
    assert formula_checks.checks(study) == []


def test_parameters_and_adapters_are_those_of_the_real_classes(study):
    from unblind.vla import checkpoint, lora

    base = jobs.rebuilt(study)
    statistics = models.STATISTICS.to_json()
    checkpoint.save(base, models.small(), models.VOCABULARY, statistics)
    run = next(name for name, run in study.runs.items() if run.method)
    folder = jobs.run_folder(study, run, study.seeds[0])
    adapted = lora.add_lora(models.small(), vision=True, seed=0, rank=study.training.rank)
    lora.save_adapter(adapted, folder, files.sha256(base / "model.safetensors"))
    checked = found(study)
    for what in (
        "parameters of the decoder",
        "parameters of the projector",
        f"weights of {run}'s adapters in the decoder",
    ):
        assert checked[what].formula == checked[what].measured > 1000
    # The header of a safetensors file comes on top of its numbers.
    assert 1 < checked["bytes of the base"].ratio < 1.2
    one = checked[f"bytes of one training of {run}"]
    assert one.formula == (study.training.snapshots + 1) * 2 * adapter_weights(folder)


def adapter_weights(folder):
    from safetensors.numpy import load_file

    return sum(w.size for w in load_file(folder / "adapter_model.safetensors").values())


def test_the_formulas_give_the_published_sizes():
    model = load(CONFIGS / "paper.yaml").base.model
    # Llama 2 with 64 more ids; of the released adapters, the decoder's and its head's.
    assert decoder_parameters(model, 32_064) == 6_738_415_616 + 2 * 64 * 4096
    assert decoder_adapters(model, 32_064, 32) == 79_953_920 + 1_157_120


def test_demonstrations_and_records_are_counted(study, tmp_path):
    synthetic.write_demos(study, jobs.demos_folder(study))
    for seed in study.seeds:
        synthetic.write_records(study, "noop", seed, tmp_path / "rollouts/noop" / str(seed), {})
    checked = found(study)
    frames = checked["frames of training demonstrations"]
    assert (frames.formula, frames.measured) == (31 * study.demos.successes, 4000)
    episodes = checked["episodes of the rollouts of noop"]
    each = sum(study.rollout.count(condition.name) for condition in CONDITIONS)
    assert episodes.formula == episodes.measured == 2 * each
    files = 2 * len(CONDITIONS)
    size = checked["bytes of the rollouts of noop"]
    assert size.formula == files * 9000 + 2 * each * 100
    # The files of this test have fewer columns, but pandas writes about them.
    assert 0.5 < size.ratio < 2
    assert "CPU-seconds of demos" in checked
    assert "CPU-seconds of rollouts of noop" in checked
    lines = scale_report._checked(study, checked.values()).splitlines()
    (line,) = [line for line in lines if line.startswith("frames of training")]
    assert line.split()[-2:] == ["4,000", f"{4000 / frames.formula:.2f}"]


def test_damaged_results_are_passed_over(study, tmp_path):
    synthetic.write_demos(study, jobs.demos_folder(study))
    (jobs.demos_folder(study) / stages.MANIFEST).write_text("{}")
    base = jobs.rebuilt(study)
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"vocab_size": "many"}')
    (base / "model.safetensors").write_bytes(b"no tensors")
    assert "parameters of the decoder" not in found(study)
    assert "frames of training demonstrations" not in found(study)
