"""The lines of a training's log: means of the terms, speed, memory, utilisation."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unblind.finetune.throughput import peak
from unblind.provenance import peak_memory_mib

if TYPE_CHECKING:
    from accelerate import Accelerator


class Meter:
    """Sums numbers on the device, so that a step waits for nothing.

    Args:
        team: the processes.
        batch: pictures a step, of all processes.
        tokens: of a sequence.
        operations: of one picture in a step (`throughput.picture_operations`).
    """

    def __init__(self, team: "Accelerator", batch: int, tokens: int, operations: int) -> None:
        self._team, self._batch, self._tokens, self._operations = team, batch, tokens, operations
        self._gpu = team.device.type == "cuda"
        name = torch.cuda.get_device_name(team.device) if self._gpu else "cpu"
        one = peak(name)
        self._peak = one and one * team.num_processes
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps, self._start = 0, time.monotonic()

    def add(self, numbers: Mapping[str, Tensor]) -> None:
        """Count a step and this process's numbers."""
        self._steps += 1
        for name, number in numbers.items():
            self._sums[name] = self._sums.get(name, 0) + number

    def means(self) -> dict[str, float]:
        """Return the means since the last line over steps and processes (waits for the device)."""
        values = torch.stack([one.float() for one in self._sums.values()]) / self._steps
        values = self._team.reduce(values, "mean")
        return dict(zip(self._sums, values.tolist(), strict=True))

    def line(self, step: int, rate: float) -> dict[str, float | None]:
        """Return a line of the log and start over.

        ``memory_gib`` is the peak of the GPU so far, without one that of the process;
        ``mfu`` the share of the GPUs' peak in bfloat16, None where that is not known.
        """
        means = {name: round(value, 5) for name, value in self.means().items()}
        seconds = time.monotonic() - self._start
        pictures = self._steps * self._batch / seconds
        memory = peak_memory_mib() * 2**20
        if self._gpu:
            memory = torch.cuda.max_memory_allocated(self._team.device)
        share = self._peak and round(pictures * self._operations / self._peak, 4)
        self._reset()
        return {
            "step": step,
            "rate": rate,
            **means,
            "step_s": round(self._batch / pictures, 4),
            "pictures_per_s": round(pictures, 3),
            "tokens_per_s": round(pictures * self._tokens, 1),
            "memory_gib": round(memory / 2**30, 3),
            "mfu": share,
        }
