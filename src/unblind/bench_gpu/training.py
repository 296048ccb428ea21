"""Steps of Default and Align on one model: the trainer's own step on frames that are made up."""

import dataclasses
import math
import statistics
from typing import Any

import torch
from accelerate import Accelerator

from unblind.align.objective import Objective
from unblind.bench_gpu import made, parts
from unblind.bench_gpu.budget import Budget
from unblind.bench_gpu.timeline import Clock, Timeline
from unblind.finetune import step as steps
from unblind.finetune import throughput
from unblind.finetune.feed import Feed
from unblind.finetune.learner import ANSWER, Learner
from unblind.vla.checkpoint import Checkpoint
from unblind.vla.lora import ALPHA, RANK, trainable_parameters

#: Align's step may take this many times as long as Default's.
GOAL = 1.08
#: Decoder layer whose visual tokens are aligned, and AdamW's settings (paper, table 9, and the
#: release's defaults); the augmentation is the release's.
LAYER, RATE, BETAS, WEIGHT_DECAY = 16, 5e-4, (0.9, 0.999), 0.01
_WARM_UP = 3


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The released changes of pictures; see `unblind.config_openvla.Augmentation`."""

    crop_area: float = 0.9
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.05


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The paper's alignment (table 9); see `unblind.config.Alignment`."""

    layers: tuple[int, ...] = (LAYER,)
    lambda_: float = 0.2
    projector: str = "mlp"
    projector_width: int = 2048
    frozen: bool = True
    loss: str = "cosine"


class Bench:
    """One model with adapters, and what the methods do with it.

    The methods train the same adapters, so that they share the optimiser's memory; Align's teacher
    and projector come with :meth:`add_align`, so that the memory of Default can be told before.

    Args:
        loaded: the model; adapters are put on it.
        size: key of `made.SIZES`.
        device: where it lies.
        seed: of adapters and frames.
    """

    def __init__(self, loaded: Checkpoint, size: str, device: torch.device, seed: int) -> None:
        self._loaded, self._device, self._seed = loaded, device, seed
        self._size, self._sizes = size, made.SIZES[size]
        self.batch, precision = self._sizes.batch, self._sizes.precision
        self._team, self.clock = Accelerator(cpu=device.type == "cpu"), Clock(device)
        frames, sizes = made.Frames(loaded, seed), loaded.model.config
        self.shape = throughput.Shape(sizes.grid**2, frames.longest + ANSWER - 1, ANSWER)
        #: Operations of a step by method.
        self.operations = {
            "default": self.batch * throughput.training(loaded.model, self.shape, RANK, vision=True)
        }
        wrapped = steps.adapt(
            loaded.model,
            vision=True,
            seed=seed,
            rank=RANK,
            alpha=ALPHA,
            recipe="corrected",
            precision=precision,
            checkpointing=False,
        )
        self.trainable = trainable_parameters(wrapped)
        self._optimizer = steps.make_optimizer(
            [weight for weight in wrapped.parameters() if weight.requires_grad],
            rate=RATE,
            betas=BETAS,
            weight_decay=WEIGHT_DECAY,
            device=device,
        )
        self._feed = Feed(
            frames=frames,
            pixels=loaded.pixels,
            teacher=None,
            grid=sizes.grid,
            seed=seed,
            augmentation=Augmentation(),
            diagonal=False,
            device=device,
            precision=precision,
            part=0,
            parts=1,
            batch=self.batch,
        )
        self._methods = {"default": (self._learner(None), self._feed)}
        self._done = 0

    def _learner(self, objective: Objective | None) -> Learner:
        tokenizer = self._loaded.codec().tokenizer
        learner = Learner(self._loaded.model, tokenizer, objective, self._sizes.precision)
        return self._team.prepare(learner.to(self._device).train())

    def add_align(self) -> int:
        """Make the teacher and the projector; return the teacher's number of weights."""
        teacher = made.teacher(self._size, self._device, self._seed)
        sizes = self._loaded.model.config
        align = Alignment(projector_width=sizes.hidden_size // 2)
        objective = Objective(align, self._seed, sizes.layers, sizes.hidden_size, teacher.width)
        learner = self._learner(objective)
        self._methods["align"] = learner, dataclasses.replace(self._feed, teacher=teacher)
        more = throughput.alignment(objective, teacher, self.shape.visual)
        self.operations["align"] = self.operations["default"] + self.batch * more
        return sum(weight.numel() for weight in teacher.parameters())

    def step(self, method: str) -> dict[str, Any]:
        """Do one step; return the numbers of its log."""
        learner, feed = self._methods[method]
        return self._step(self._team, learner, feed)

    def _step(self, team: Any, learner: Any, feed: Feed) -> dict[str, Any]:
        self._done += 1
        arguments = feed(self._done)
        return steps.step(team, learner, self._optimizer, arguments, RATE, math.inf)

    def warm_up(self, method: str) -> dict[str, Any]:
        """Do the first steps; return the last loss and, on a GPU, the peak of memory in GiB.

        Raises:
            torch.OutOfMemoryError: the device is too small.
        """
        gpu = self._device.type == "cuda"
        self.step(method)
        if gpu:
            torch.cuda.reset_peak_memory_stats(self._device)
        for _ in range(_WARM_UP - 1):
            loss = self.step(method)["loss"]
        peak = torch.cuda.max_memory_allocated(self._device) / 2**30 if gpu else None
        return {"loss": round(float(loss), 4), "peak_memory_gib": peak and round(peak, 2)}

    def turns(self, budget: Budget) -> dict[str, list[float]]:
        """Return milliseconds of a step, one number a round; the methods take turns."""
        took: dict[str, list[float]] = {method: [] for method in self._methods}
        for _ in budget.rounds(self._sizes.rounds):
            for method, times in took.items():
                times.append(self.clock.timed(lambda: self.step(method), self._sizes.steps))  # noqa: B023
        return took

    def figures(self, method: str, took: list[float]) -> dict[str, Any]:
        """Return speed by the median of some rounds.

        ``mfu``: the share of the device's peak in bfloat16; None where that is not known.
        """
        seconds = statistics.median(took) / 1000
        rate = self.operations[method] / seconds
        peak = throughput.peak(device_name(self._device))
        return {
            "step_ms": round(1000 * seconds, 2),
            "least_ms": round(min(took), 2),
            "most_ms": round(max(took), 2),
            "rounds": len(took),
            "pictures_per_s": round(self.batch / seconds, 2),
            "tokens_per_s": round(self.batch * self.shape.tokens / seconds, 1),
            "operations": self.operations[method],
            "operations_per_s": round(rate),
            "mfu": peak and round(rate / peak, 4),
        }

    def breakdown(self, method: str, budget: Budget) -> dict[str, float]:
        """Return milliseconds by part of a step (`parts.PARTS`), medians over marked steps."""
        timeline = Timeline(self.clock)
        learner, feed = self._methods[method]
        if feed.teacher is not None:
            feed = dataclasses.replace(feed, teacher=parts.MarkedTeacher(feed.teacher, timeline))
        team = parts.MarkedTeam(self._team, timeline)
        with parts.marked(learner, timeline):
            for _ in budget.rounds(self._sizes.rounds):
                for _ in range(self._sizes.steps):  # in a row, so that the device never idles
                    timeline.mark("pictures")
                    self._step(team, learner, feed)
                    timeline.end_step()
                self.clock.wait()
        rows = timeline.milliseconds()
        present = [part for part in parts.PARTS if part in rows[0]]
        return {part: round(statistics.median(row[part] for row in rows), 3) for part in present}


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
