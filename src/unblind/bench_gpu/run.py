"""The whole measurement: what is measured in which order, and how long it may take."""

import importlib.metadata
import platform
import statistics
from pathlib import Path
from typing import Any

import torch

from unblind.bench_gpu import decoding, made, training
from unblind.bench_gpu.budget import Budget, OutOfTime
from unblind.bench_gpu.session import Session, say
from unblind.bench_gpu.timeline import Clock
from unblind.finetune import throughput

#: Parts in order, and the most seconds of each.
SECONDS = {"model": 90, "decoding": 90, "default": 60, "align": 90, "breakdown": 45}
_PACKAGES = ("torch", "transformers", "timm", "peft", "accelerate", "numpy")


def bench(size: str, device: torch.device, out: Path, seed: int, budget: Budget) -> dict[str, Any]:
    """Measure and write ``out`` (JSON) and a table beside it (.md); return the results.

    Args:
        size: key of `made.SIZES`.
        device: where everything is made and runs.
        out: JSON file.
        seed: of weights and pictures.
        budget: of all parts; what does not fit is left out.

    Raises:
        UnblindError: results cannot be written, or not all parts could be measured.
    """
    if device.type == "cpu":
        torch.set_num_threads(1)  # more are slower by far where other programs run
    session = Session(out, budget, SECONDS, {"size": size, "seed": seed, **_facts(device)})
    parts = _Parts(session.results, size, device, seed)
    say(
        f"{parts.cost} on {training.device_name(device)}, nothing is fetched; at most "
        f"{budget.left / 60:.1f} minutes; {out} is rewritten after each part"
    )
    session.do("model", parts.model)
    session.do("decoding", parts.decoding, needs=("model",))
    session.do("default", parts.default, needs=("model",))
    session.do("align", parts.align, needs=("default",))
    session.do("breakdown", parts.breakdown, needs=("align",))
    return session.finish()


class _Parts:
    """What each part does: it adds to the results as soon as something is known."""

    def __init__(self, results: dict[str, Any], size: str, device: torch.device, seed: int) -> None:
        self._results, self._size, self._device, self._seed = results, size, device, seed

    @property
    def cost(self) -> str:
        """The model's size in words."""
        weights = made.parameters(self._size)
        gib = weights * made.SIZES[self._size].precision.itemsize / 2**30
        return f"{weights / 1e9:.3g} B random weights ({gib:.2g} GiB)"

    def model(self, budget: Budget) -> None:
        """Make the model."""
        self._loaded = made.model(self._size, self._device, self._seed)
        precision = str(made.SIZES[self._size].precision).removeprefix("torch.")
        weights = made.parameters(self._size)
        self._results["model"] = {"parameters": weights, "precision": precision}

    def decoding(self, budget: Budget) -> None:
        """Measure decoding, before there are adapters."""
        size, clock = made.SIZES[self._size], Clock(self._device)
        found = self._results["decoding"] = {}
        for width, row in decoding.measure(self._loaded, size, clock, budget, self._seed):
            found[str(width)] = row
        if len(found) < len(size.widths):
            raise OutOfTime

    def default(self, budget: Budget) -> None:
        """Put adapters on the model; measure Default alone, its memory too."""
        self._bench = bench = training.Bench(self._loaded, self._size, self._device, self._seed)
        self._results["model"]["trainable_parameters"] = bench.trainable
        shape = {"visual": bench.shape.visual, "text": bench.shape.text}
        self._results["shape"] = {"batch": bench.batch, **shape, "tokens": bench.shape.tokens}
        self._results["training"] = {"default": bench.warm_up("default")}
        self._add(bench.turns(budget))

    def align(self, budget: Budget) -> None:
        """Add Align; measure its memory, and both methods in turns."""
        bench, found = self._bench, self._results["training"]
        teacher = bench.add_align()
        self._results["model"] |= {"teacher": made.TEACHER, "teacher_parameters": teacher}
        found["align"] = bench.warm_up("align")
        took = bench.turns(budget)
        self._add(took)
        pairs = zip(took["align"], took["default"], strict=True)
        ratio = statistics.median(align / default for align, default in pairs)
        operations = bench.operations["align"] / bench.operations["default"]
        found["align_to_default"] = round(ratio, 4)
        found["align_to_default_operations"] = round(operations, 4)
        if self._size == "full":  # a twin's ratio says nothing
            found |= {"goal": training.GOAL, "goal_met": ratio <= training.GOAL}

    def breakdown(self, budget: Budget) -> None:
        """Measure where the time of a step goes."""
        found = self._results["training"]
        found["default"]["parts_ms"] = self._bench.breakdown(
            "default", budget.part(budget.left / 2)
        )
        found["align"]["parts_ms"] = self._bench.breakdown("align", budget)

    def _add(self, took: dict[str, list[float]]) -> None:
        for method, times in took.items():
            self._results["training"][method] |= self._bench.figures(method, times)


def _facts(device: torch.device) -> dict[str, Any]:
    """Return what is known of the device and of the packages."""
    name = training.device_name(device)
    found = {"kind": device.type, "name": name, "peak_operations_per_s": throughput.peak(name)}
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        found |= {"memory_gib": round(memory / 2**30, 1), "cuda": torch.version.cuda}
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"device": found, "versions": {"python": platform.python_version(), **versions}}
