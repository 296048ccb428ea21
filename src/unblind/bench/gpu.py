"""Speed and memory of the published sizes on one GPU, with random weights: nothing is fetched."""

import faulthandler
import importlib.metadata
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.profiler import profile

from unblind import files
from unblind.bench import synthetic
from unblind.bench.timing import turns
from unblind.errors import UnblindError
from unblind.training.meter import peak
from unblind.vla.loading import check_device

#: Align's step may take this many times as long as Default's.
GOAL = 1.08
METHODS = ("default", "align")
#: Pictures in a call of the policy; rounds of each figure; training steps in a round.
WIDTHS = {"full": (1, 16, 64), "twin": (1, 2, 4)}
_ROUNDS, _STEPS = {"full": 11, "twin": 2}, {"full": 3, "twin": 1}
_WARM_UP, _OPERATORS = 3, 12
#: Share of the time after which nothing new is begun.
_SOFT = 0.9
_PACKAGES = ("torch", "transformers", "timm", "peft", "numpy")


def bench(size: str, device: str, out: Path, minutes: float, seed: int) -> None:
    """Measure, write ``out`` (JSON) after each part and a table beside it (.md); print the table.

    Args:
        size: ``full`` or ``twin``.
        device: ``cuda`` or ``cpu``.
        out: JSON file.
        minutes: the process ends within this time, whatever hangs.
        seed: of random weights and pictures.

    Raises:
        UnblindError: there is no such device, results cannot be written, or not all parts could be
            measured (those that were stand in ``out``).
    """
    place, end = check_device(device), time.monotonic() + _SOFT * 60 * minutes
    if place.type == "cpu":
        torch.set_num_threads(1)  # more are slower by far where other programs run
    # What hangs inside a library cannot be asked to stop; results are on disk by then.
    faulthandler.dump_traceback_later(60 * minutes, exit=True)
    try:
        results = _measure(Bench(size, place, seed, end), out)
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(markdown(results), end="")
    print(out)
    if missing := _missing(results):
        raise UnblindError(
            f"bench-gpu is incomplete: {missing}",
            f"see {out} for what was measured; give it more --minutes or a larger GPU",
        )


def _measure(bench: "Bench", out: Path) -> dict[str, Any]:
    weights = f"{synthetic.parameters(bench.size) / 1e9:.3g} B random weights"
    seconds = max(0.0, bench.end - time.monotonic())
    _say(f"{weights} on {bench.name}, at most {seconds / 60:.1f} minutes; results in {out}")
    for part in (bench.decoding, bench.default, bench.align, bench.operators):
        start, state = time.monotonic(), "done"
        try:
            part() if start < bench.end else bench.out_of_time()
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            state = "out of memory"
        except _Unmeasured as reason:
            state = str(reason)
        _say(f"{part.__name__}: {state}, {time.monotonic() - start:.0f} s")
        bench.results["parts"][part.__name__] = state
        files.write_json(out, bench.results)
        files.write_text(out.with_suffix(".md"), markdown(bench.results))
    return bench.results


class _Unmeasured(Exception):
    """A part that cannot be measured, and why."""


class Bench:
    """The parts of the measurement, in order; each adds to the results what it finds.

    Args:
        size: ``full`` or ``twin``.
        device: where everything is made and runs.
        seed: of weights and pictures.
        end: by the clock `time.monotonic`, when nothing new is begun.

    Attributes:
        results: what is known so far.
        name: of the GPU, or ``cpu``.
    """

    def __init__(self, size: str, device: torch.device, seed: int, end: float) -> None:
        self.size, self.end = size, end
        self._device, self._seed, self._cuda = device, seed, device.type == "cuda"
        self.name = torch.cuda.get_device_name(device) if self._cuda else "cpu"
        self._study, self._loaded, self._trainee = synthetic.study(size), None, None
        versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
        self.results: dict[str, Any] = {
            "size": size,
            "seed": seed,
            "device": {"name": self.name, "peak_operations_per_s": peak(self.name)},
            "versions": {"python": platform.python_version(), **versions},
            "parts": {},
        }

    def decoding(self) -> None:
        """Make the model; measure the policy's calls, before there are adapters."""
        dtype = synthetic.precision(self._study)
        self._loaded = synthetic.model(self.size, self._device, dtype, self._seed)
        self.results["parameters"] = synthetic.parameters(self.size)
        figures = self.results["decoding"] = {}
        for width in WIDTHS[self.size]:
            call = synthetic.Decoding(self._loaded, width, self._seed)
            call()  # in which libraries choose their kernels
            took = turns({"call": call}, 1, _ROUNDS[self.size], self.end)["call"]
            figures[str(width)] = _spread(took) | {
                "ms_a_picture": round(statistics.median(took) / width, 3)
            }

    def default(self) -> None:
        """Put adapters on the model; measure Default alone, its memory too."""
        if self._loaded is None:
            raise _Unmeasured("needs decoding")
        trainee = synthetic.Trainee(self._study, self._loaded, self.size, self._device, self._seed)
        figures = self.results["training"] = {}
        self.results |= {"batch": trainee.batch, "tokens": trainee.tokens}
        self.results["trainable_parameters"] = trainee.weights
        figures["default"] = self._first_steps(trainee, "default")
        figures["default"] |= self._speed(trainee, {"default"})["default"]
        self._trainee = trainee

    def align(self) -> None:
        """Add Align; measure its memory, and both methods in turns."""
        if self._trainee is None:
            raise _Unmeasured("needs default")
        figures, trainee = self.results["training"], self._trainee
        self.results["teacher_parameters"] = trainee.add_align()
        figures["align"] = self._first_steps(trainee, "align")
        for method, speed in self._speed(trainee, METHODS).items():
            figures[method] |= speed
        default, align = (figures[method] for method in METHODS)
        self.results["align_to_default"] = round(align["step_ms"] / default["step_ms"], 4)
        ratio = align["operations"] / default["operations"]
        self.results["align_to_default_operations"] = round(ratio, 4)

    def operators(self) -> None:
        """Measure which of torch's operators take the time of a step of Align."""
        if "align_to_default" not in self.results:
            raise _Unmeasured("needs align")
        with profile() as profiler:
            self._trainee.step("align")
        key = f"self_{'device' if self._cuda else 'cpu'}_time_total"
        took = {event.key: getattr(event, key) / 1000 for event in profiler.key_averages()}
        longest = sorted(took.items(), key=lambda item: -item[1])[:_OPERATORS]
        self.results["operators_ms"] = {name: round(ms, 3) for name, ms in longest}

    def out_of_time(self) -> None:
        """Say that a part is not begun."""
        raise _Unmeasured("out of time")

    def _first_steps(self, trainee: synthetic.Trainee, method: str) -> dict[str, float | None]:
        """Return the loss and the peak of memory in GiB (on a GPU) of some steps."""
        trainee.step(method)
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
        for _ in range(_WARM_UP - 1):
            trainee.step(method)
        gib = torch.cuda.max_memory_allocated(self._device) / 2**30 if self._cuda else None
        return {"loss": round(trainee.loss(), 4), "peak_memory_gib": gib and round(gib, 2)}

    def _speed(
        self, trainee: synthetic.Trainee, methods: Iterable[str]
    ) -> dict[str, dict[str, Any]]:
        """Return speed by the median of rounds, in which the methods take turns.

        ``mfu``: the share of the device's peak in bfloat16; None where that is not known.
        """
        calls = {method: partial(trainee.step, method) for method in methods}
        timed = turns(calls, _STEPS[self.size], _ROUNDS[self.size], self.end)
        figures = {}
        for method, took in timed.items():
            seconds, operations = statistics.median(took) / 1000, trainee.operations(method)
            top = self.results["device"]["peak_operations_per_s"]
            spread = {
                f"{'step_' if key == 'ms' else ''}{key}": v for key, v in _spread(took).items()
            }
            figures[method] = spread | {
                "pictures_per_s": round(trainee.batch / seconds, 2),
                "tokens_per_s": round(trainee.batch * trainee.tokens / seconds, 1),
                "operations": operations,
                "mfu": top and round(operations / seconds / top, 4),
            }
        return figures


def _spread(took: list[float]) -> dict[str, float]:
    middle, least, most = statistics.median(took), min(took), max(took)
    rounded = {"ms": middle, "least_ms": least, "most_ms": most}
    return {key: round(ms, 2) for key, ms in rounded.items()} | {"rounds": len(took)}


def _missing(results: Mapping[str, Any]) -> str:
    states = results["parts"].items()
    return ", ".join(f"{name} {state}" for name, state in states if state != "done")


def _say(text: str) -> None:
    print(f"bench-gpu: {text}", file=sys.stderr, flush=True)


# ---- the table -----------------------------------------------------------------------------------

_ROWS = {
    "step_ms": ("milliseconds a step", ",.1f"),
    "tokens_per_s": ("tokens a second", ",.0f"),
    "pictures_per_s": ("pictures a second", ",.2f"),
    "mfu": ("model FLOPs utilisation", ".1%"),
    "peak_memory_gib": ("peak memory, GiB", ".1f"),
}


def markdown(results: Mapping[str, Any]) -> str:
    """Return the results as tables; what was not measured is a dash."""
    lines = [
        f"# OpenVLA on {results['device']['name']}, {results['size']} size, random weights",
        "",
    ]
    if missing := _missing(results):
        lines += [f"**Incomplete**: {missing}.", ""]
    training = results.get("training", {})
    methods = [method for method in METHODS if "step_ms" in training.get(method, {})]
    if methods:
        rows = [
            [name, *(_cell(training[method].get(key), form) for method in methods)]
            for key, (name, form) in _ROWS.items()
        ]
        lines += [f"A training step: {results['batch']} pictures, {results['tokens']} tokens each"]
        lines += ["", *_table(["", *(method.capitalize() for method in methods)], rows)]
    if "align_to_default" in results:
        # A twin's ratio says nothing.
        goal = f" (goal: at most {GOAL})" if results["size"] == "full" else ""
        lines += [f"Align / Default: {results['align_to_default']:.3f}{goal}.", ""]
    if decoding := results.get("decoding"):
        rows = [[w, f"{r['ms']:,.1f}", f"{r['ms_a_picture']:,.2f}"] for w, r in decoding.items()]
        lines += ["From camera pictures to seven action tokens, greedy", ""]
        lines += _table(["batch", "milliseconds", "a picture"], rows)
    if operators := results.get("operators_ms"):
        lines += ["Operators that take most of a step of Align", ""]
        rows = [[name, f"{ms:,.1f}"] for name, ms in operators.items()]
        lines += _table(["operator", "milliseconds"], rows)
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return "\n".join([*lines, f"{versions}.", ""])


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["--", *["--:"] * (len(head) - 1)], *rows]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
