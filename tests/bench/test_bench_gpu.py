"""The measurement on twins, as a CUDA image would run it, and its arithmetic."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from unblind.align.objective import Objective
from unblind.bench import __main__ as entry
from unblind.bench import gpu, synthetic
from unblind.errors import UnblindError
from unblind.teachers import networks
from unblind.teachers.registry import TEACHERS
from unblind.training import finetune, throughput
from unblind.training.feed import Inputs
from unblind.training.losses import Learner, TokenLoss
from unblind.vla import loading
from unblind.vla.batch import Turn, collate

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
#: What a CUDA image lacks of our requirements.
ABSENT = ("sapien", "mani_skill", "mplib", "open_clip", "trimesh", "snakemake", "dvc", "pyarrow")
_BLOCKED = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import runpy
sys.argv[0] = "bench-gpu"
runpy.run_module("unblind.bench", run_name="__main__")
"""


def call(folder, *words):
    """Run the command in a Python that lacks the packages of simulator and workflow."""
    return subprocess.run(
        [sys.executable, "-c", _BLOCKED, "bench-gpu", *words],
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


def test_every_figure_is_there(results):
    parts = dict.fromkeys(["decoding", "default", "align", "operators"], "done")
    assert results["parts"] == parts
    assert list(results["decoding"]) == ["1", "2", "4"]
    assert results["parameters"] == synthetic.parameters("twin")
    assert (results["batch"], results["tokens"]) == (2, 285)
    for method in gpu.METHODS:
        figures = results["training"][method]
        assert figures["mfu"] is None and figures["peak_memory_gib"] is None  # of a GPU alone
        assert figures["least_ms"] <= figures["step_ms"] <= figures["most_ms"]
        assert 0 < figures["loss"] < 100
    assert min(results["operators_ms"].values()) > 0


def test_cost_comes_first_and_the_table_last(called):
    folder, done = called
    first, *progress = done.stderr.splitlines()
    assert "0.00295 B random weights" in first and "at most 6." in first  # 0.9 of 7 minutes
    assert progress[0].startswith("bench-gpu: decoding: done, ")
    printed = (folder / "results" / "bench-gpu.md").read_text()
    assert done.stdout == printed + "results/bench-gpu.json\n"
    for words in ("Align / Default", "tokens a second", "aten::", "| 4 |"):
        assert words in printed
    files = {path.name for path in (folder / "results").iterdir()}
    assert files == {"bench-gpu.json", "bench-gpu.md"}


def test_ratios_follow_from_the_figures(results):
    default, align = (results["training"][method] for method in gpu.METHODS)
    for figures in (default, align):
        seconds = figures["step_ms"] / 1000
        assert figures["pictures_per_s"] == pytest.approx(2 / seconds, abs=0.006)  # two digits
        assert figures["tokens_per_s"] == pytest.approx(2 * 285 / seconds, abs=0.06, rel=0.001)
    ratio = align["step_ms"] / default["step_ms"]
    assert results["align_to_default"] == pytest.approx(ratio, rel=1e-3)
    assert default["operations"] < align["operations"]
    for width, row in results["decoding"].items():
        assert row["ms_a_picture"] == pytest.approx(row["ms"] / int(width), rel=0.01)


def test_the_table_tells_goal_utilisation_and_what_is_missing(results):
    told = json.loads(json.dumps(results))
    told |= {"align_to_default": 1.034, "size": "full"}
    told["training"]["align"] |= {"mfu": 0.412, "peak_memory_gib": 37.25}
    printed = gpu.markdown(told)
    assert "Align / Default: 1.034 (goal: at most 1.08)." in printed
    assert "| model FLOPs utilisation | - | 41.2% |" in printed
    assert "| peak memory, GiB | - | 37.2 |" in printed
    assert "Incomplete" not in printed
    told["parts"]["operators"] = "out of time"
    assert "**Incomplete**: operators out of time." in gpu.markdown(told)


def test_the_published_size_trains_without_memory(monkeypatch):
    """A step of Align at full size on the meta device, which computes shapes alone."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    training = synthetic.study("full").training.model_copy(update={"precision": "float32"})
    model = loading.blank(synthetic.settings("full").model)
    loading.restore_rotations(model, "meta")
    wrapped = finetune.adapt(model, vision=True, seed=0, training=training)
    model.to("meta")
    words = synthetic.model("twin", CPU, torch.float32, seed=0).vocabulary
    batch = collate([[Turn.of((0,) * 21, (0,) * 7)]]).to("meta")
    pictures = torch.empty(1, 6, 224, 224, device="meta")
    seen = Inputs(pictures, batch, torch.empty(1, 256, 1024, device="meta"))
    objective = Objective(training.align, 0, [2176, *[4096] * 32], 1024).to("meta")
    token_loss = TokenLoss(words, 0.0, 0.0)
    learner = Learner(model, lambda step, part: seen, token_loss, words, objective)
    counted = throughput.operations(lambda: learner(0, 0)[0], wrapped.parameters())
    projector = 4096 * 2048 + 2048 * 2048 + 2048 * 1024
    wanted = default_operations(training.rank) + 2 * 2 * 256 * projector
    assert counted == pytest.approx(wanted, rel=1e-6)


def default_operations(rank):
    """Return the operations of one picture in a step of Default, from the published dimensions."""

    def linear(inputs, outputs, positions, first=False):
        # Forward and the gradient of the input (not of the first one's); and that of the adapter.
        frozen = inputs * outputs * (1 if first else 2)
        return 2 * positions * (frozen + rank * (inputs * (2 if first else 3) + outputs * 3))

    def blocks(depth, positions, width, matrices):
        attention = 3 * 4 * positions**2 * width
        return depth * (attention + sum(linear(*sizes, positions) for sizes in matrices))

    total = 2 * 285 * 64  # angles of the rotary positions
    for width, hidden, depth, positions in ((1024, 4096, 24, 261), (1152, 4304, 27, 256)):
        total += linear(3 * 14 * 14, width, 256, first=True)
        sizes = [(width, 3 * width), (width, width), (width, hidden), (hidden, width)]
        total += blocks(depth - 1, positions, width, sizes)
    total += linear(2176, 8704, 256) + linear(8704, 4096, 256) + linear(4096, 4096, 256)
    sizes = [(4096, 4096)] * 4 + [(4096, 11008)] * 3
    return total + blocks(32, 285, 4096, sizes) + linear(4096, 32064, 8)


def test_a_step_of_default_has_the_operations_that_the_page_tells():
    assert 8 * default_operations(rank=32) == pytest.approx(68.15e12, rel=1e-3)


def test_the_full_size_is_that_of_the_publication():
    assert synthetic.parameters("full") == 7_541_237_184
    training = synthetic.study("full").training
    assert training.schedule.batch == 8 and gpu.WIDTHS["full"] == (1, 16, 64)
    with torch.device("meta"):
        net = networks.NETWORKS["radio"].build(TEACHERS[training.align.teacher].sizes)
    assert 3.0e8 < sum(weight.numel() for weight in net.parameters()) < 3.3e8


def test_prompts_of_a_batch_differ_in_length_as_in_a_run():
    loaded = synthetic.model("twin", CPU, torch.float32, seed=0)
    frames = synthetic.Frames(loaded, seed=0)
    lengths = {len(turn.prompt) for turn in frames.turns}
    assert len(lengths) > 1 and max(lengths) + 7 == frames.longest == 28
    assert {len(turn.answer) for turn in frames.turns} == {8}
    assert frames.rows([0, 5]) == [0, 1]
    assert synthetic.Frames(loaded, seed=0).turns == frames.turns


# ---- what goes wrong -----------------------------------------------------------------------------


def test_no_gpu_is_one_line(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = call(tmp_path, "--size", "twin")
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: cannot use device 'cuda'")


def test_what_does_not_fit_is_left_out_and_takes_nothing_with_it(tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    monkeypatch.setattr(gpu, "_SOFT", 0.0)
    with pytest.raises(UnblindError, match="incomplete: decoding out of time, default out of"):
        gpu.bench("twin", "cpu", out, 5, 0)
    assert json.loads(out.read_text())["parts"]["align"] == "out of time"

    def too_large():
        raise torch.OutOfMemoryError

    bench = gpu.Bench("twin", CPU, seed=0, end=time.monotonic() + 60)
    bench.decoding = too_large
    too_large.__name__ = "decoding"
    parts = gpu._measure(bench, out)["parts"]
    assert parts == {
        "decoding": "out of memory",
        "default": "needs decoding",
        "align": "needs default",
        "operators": "needs align",
    }


def test_the_command_ends_in_time_whatever_hangs(tmp_path):
    program = (
        "import time; from unblind.bench import gpu;"
        "gpu._measure = lambda *_: time.sleep(100);"
        "gpu.bench('twin', 'cpu', None, 0.1, 0)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1 and time.monotonic() - start < 60
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_in_one_line():
    with pytest.raises(SystemExit, match=r"cannot import no_such nor_this .*UNBLIND_PYTHON"):
        entry.check(("torch", "no_such", "nor_this"))
    entry.check()


def test_a_package_without_its_checkout_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(synthetic, "_CONFIGS", tmp_path / "workflow" / "config")
    with pytest.raises(UnblindError, match=r"no twin\.yaml .*installed alone \(clone the project"):
        synthetic.study("twin")
