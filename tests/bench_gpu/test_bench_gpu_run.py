"""The measurement on twins, as a CUDA image would run it, and its arithmetic."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from unblind.config_openvla import Augmentation
from unblind.finetune import step as steps
from unblind.finetune import throughput
from unblind.finetune.learner import Learner, texts

from unblind.align.objective import Objective
from unblind.bench_gpu import made, report, training
from unblind.bench_gpu.parts import PARTS
from unblind.config.files import read
from unblind.errors import UnblindError
from unblind.teachers import networks, registry
from unblind.vla import loading
from unblind.vla.lora import ALPHA, RANK
from unblind.vla.tokens import ActionTokenizer

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
#: What a CUDA image lacks of our requirements.
ABSENT = ("sapien", "mani_skill", "mplib", "pydantic", "pydantic_core", "open_clip", "trimesh")
ABSENT += ("snakemake", "dvc", "typer")
_BLOCKED = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import runpy
sys.argv[0] = "bench-gpu"
runpy.run_module("unblind.bench_gpu", run_name="__main__")
"""


def call(folder, *words):
    """Run the command in a Python that lacks the simulator's packages and pydantic."""
    return subprocess.run(
        [sys.executable, "-c", _BLOCKED, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return folder, call(folder, "--device", "cpu", "--size", "twin", "--minutes", "7")


@pytest.fixture(scope="module")
def results(called):
    folder, done = called
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results" / "bench-gpu.json").read_text())


@pytest.fixture(scope="module")
def bench():
    found = training.Bench(made.model("twin", CPU, seed=0), "twin", CPU, seed=0)
    found.add_align()
    return found


def test_every_figure_is_there(results):
    assert results["complete"]
    assert list(results["parts"]) == sorted(["model", "decoding", "default", "align", "breakdown"])
    assert {part["state"] for part in results["parts"].values()} == {"done"}
    assert list(results["decoding"]) == ["1", "2", "4"]
    assert results["model"]["parameters"] == made.parameters("twin")
    assert results["shape"] == {"batch": 2, "visual": 256, "text": 28, "tokens": 285}
    for method in ("default", "align"):
        figures = results["training"][method]
        assert figures["mfu"] is None and figures["peak_memory_gib"] is None  # of a GPU alone
        assert figures["least_ms"] <= figures["step_ms"] <= figures["most_ms"]
        assert 0 < figures["loss"] < 100


def test_cost_comes_first_and_the_table_last(called):
    folder, done = called
    first, *progress = done.stderr.splitlines()
    assert "0.00295 B random weights" in first and "at most 6." in first  # 0.9 of 7 minutes
    assert any(line.startswith("bench-gpu: decoding: at most") for line in progress)
    printed = (folder / "results" / "bench-gpu.md").read_text()
    assert done.stdout == printed + "results/bench-gpu.json\n"
    for words in ("Align / Default", "tokens a second", "towers backward", "| 4 |"):
        assert words in printed
    assert {path.name for path in (folder / "results").iterdir()} == {
        "bench-gpu.json",
        "bench-gpu.md",
    }


def test_ratios_follow_from_the_figures(results):
    found, tokens = results["training"], results["shape"]["tokens"]
    for method in ("default", "align"):
        figures = found[method]
        seconds = figures["step_ms"] / 1000
        assert figures["pictures_per_s"] == pytest.approx(2 / seconds, abs=0.006)  # two digits
        assert figures["tokens_per_s"] == pytest.approx(2 * tokens / seconds, abs=0.06, rel=0.001)
        assert figures["operations_per_s"] == pytest.approx(
            figures["operations"] / seconds, rel=0.01
        )
    least = found["align"]["least_ms"] / found["default"]["most_ms"]
    most = found["align"]["most_ms"] / found["default"]["least_ms"]
    assert least <= found["align_to_default"] <= most
    assert "goal" not in found and training.GOAL == 1.08  # a twin's ratio says nothing
    operations = [found[method]["operations"] for method in ("align", "default")]
    assert found["align_to_default_operations"] == pytest.approx(
        operations[0] / operations[1], 1e-3
    )
    for width, row in results["decoding"].items():
        assert row["ms_a_picture"] == pytest.approx(row["ms"] / int(width), rel=0.01)


def test_all_time_of_a_step_belongs_to_a_part(results):
    default, align = (results["training"][name]["parts_ms"] for name in ("default", "align"))
    own = {"teacher", "alignment forward", "alignment backward"}
    assert set(align) == set(PARTS) and set(default) == set(PARTS) - own
    assert min(*default.values(), *align.values()) > 0


def test_operations_are_those_that_torch_counts(bench):
    # The fused attention of a CPU is not counted; the plain one is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        bench.step("align")
    # The formula leaves out the rotary positions alone: 9,120 operations.
    assert bench.operations["align"] == pytest.approx(counter.get_total_flops(), rel=2e-6)
    assert bench.operations["default"] < bench.operations["align"]


def linear(inputs, outputs, positions, first=False):
    """Return the operations of a frozen matrix and its adapter in a training step.

    Forward and the gradient of the input (not of the ``first`` one's); and the gradient of the
    adapter's weights.
    """
    frozen = inputs * outputs * (1 if first else 2)
    return 2 * positions * (frozen + RANK * (inputs * (2 if first else 3) + outputs * 3))


def blocks(depth, positions, width, matrices):
    """Return the operations of attention and matrices (inputs, outputs) of so many blocks."""
    attention = 3 * 4 * positions**2 * width
    return depth * (attention + sum(linear(*sizes, positions) for sizes in matrices))


def test_operations_of_the_published_size_from_its_dimensions():
    wanted = 0
    for width, hidden, depth, positions in ((1024, 4096, 24, 261), (1152, 4304, 27, 256)):
        wanted += linear(3 * 14 * 14, width, 256, first=True)
        sizes = [(width, 3 * width), (width, width), (width, hidden), (hidden, width)]
        wanted += blocks(depth - 1, positions, width, sizes)
    wanted += linear(2176, 8704, 256) + linear(8704, 4096, 256) + linear(4096, 4096, 256)
    sizes = [(4096, 4096)] * 4 + [(4096, 11008)] * 3
    wanted += blocks(32, 285, 4096, sizes) + linear(4096, 32064, 8)
    model = loading.blank(made.settings("full").model)
    shape = throughput.Shape(visual=256, text=28, answers=8)
    assert throughput.training(model, shape, RANK, vision=True) == wanted
    assert 8 * wanted == pytest.approx(68.15e12, rel=1e-3)


def test_the_published_size_trains_without_memory(monkeypatch):
    """A step of Align at full size on the meta device, which computes shapes alone."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    model = loading.blank(made.settings("full").model)
    loading.restore_rotations(model, "meta")
    steps.adapt(
        model,
        vision=True,
        seed=0,
        rank=RANK,
        alpha=ALPHA,
        recipe="corrected",
        precision=torch.float32,
        checkpointing=False,
    )
    batch = texts([(0,) * 21], np.zeros((1, 8), int), 21).to("meta")
    with torch.device("meta"):
        objective = Objective(training.Alignment(), 0, 32, 4096, 1024)
        learner = Learner(model, ActionTokenizer(32000), objective, torch.float32).to("meta")
        answers = torch.zeros(1, 8, dtype=int)
        pictures, teacher = torch.empty(1, 6, 224, 224), torch.empty(1, 256, 1024)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            learner(pictures, batch, answers, teacher)[0].backward()
    projector = 4096 * 2048 + 2048 * 2048 + 2048 * 1024
    wanted = 8_518_786_830_336 + 2 * 2 * 256 * projector
    assert counter.get_total_flops() == pytest.approx(wanted, rel=1e-8)


def test_utilisation_is_the_share_of_the_peak(bench, monkeypatch):
    monkeypatch.setattr(throughput, "peak", lambda name: 1e12)
    figures = bench.figures("default", [30.0, 20.0, 10.0])
    assert figures["step_ms"] == 20 and figures["rounds"] == 3
    assert figures["mfu"] == pytest.approx(bench.operations["default"] / 0.02 / 1e12, abs=1e-4)


def test_the_table_tells_the_goal_and_the_utilisation(results):
    found = json.loads(json.dumps(results))
    found["training"] |= {"align_to_default": 1.034, "goal": 1.08, "goal_met": True}
    found["training"]["align"] |= {"mfu": 0.412, "peak_memory_gib": 37.25}
    printed = report.markdown(found)
    assert "Align / Default: 1.034 (goal: at most 1.08, met)." in printed
    assert "| model FLOPs utilisation | - | 41.2% |" in printed
    assert "| peak memory, GiB | - | 37.2 |" in printed
    assert "Incomplete" not in printed


def test_the_full_size_is_that_of_the_publication():
    assert made.parameters("full") == 7_541_237_184
    assert made.SIZES["full"].batch == 8 and made.SIZES["full"].widths == (1, 16, 64)
    with torch.device("meta"):
        net = networks.NETWORKS["radio"].build(registry.TEACHERS[made.TEACHER].sizes)
    assert 3.0e8 < sum(weight.numel() for weight in net.parameters()) < 3.3e8


def test_it_measures_what_the_paper_configuration_trains():
    values = read(ROOT / "workflow" / "config" / "paper.yaml")
    schedule, align = values["training"]["schedule"], values["training"]["align"]
    assert schedule["batch"] == made.SIZES["full"].batch
    assert (schedule["rate"], schedule["weight_decay"]) == (training.RATE, training.WEIGHT_DECAY)
    assert (values["training"]["rank"], values["training"]["alpha"]) == (RANK, ALPHA)
    assert (align["teacher"], align["layers"]) == (made.TEACHER, [training.LAYER])
    ours = values["openvla"]
    assert ours["betas"] == list(training.BETAS) and ours["recipe"] == "corrected"
    released = Augmentation(**ours["augmentation"])
    assert all(getattr(training.Augmentation(), key) == value for key, value in released)


def test_prompts_of_a_batch_differ_in_length_as_in_a_run(bench):
    frames = bench._feed.frames
    rows = frames.rows(3, 4, 0, 1)
    assert rows.pictures.shape == (4, 224, 224, 3) and rows.answers.shape == (4, 8)
    lengths = [len(prompt) for prompt in rows.prompts]
    assert len(set(lengths)) > 1 and max(lengths) <= frames.longest == 21
    again = made.Frames(bench._loaded, seed=0).rows(3, 4, 0, 1)
    assert (rows.pictures == again.pictures).all() and (rows.answers == again.answers).all()


def test_no_gpu_is_one_line(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = call(tmp_path, "--size", "twin")
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: cannot use device 'cuda'")


def test_what_does_not_fit_is_left_out(tmp_path):
    from unblind.bench_gpu import run
    from unblind.bench_gpu.budget import Budget

    out = tmp_path / "out.json"
    with pytest.raises(UnblindError, match="incomplete: model out of time, decoding needs model"):
        run.bench("twin", CPU, out, 0, Budget(0))
    assert json.loads(out.read_text())["complete"] is False
