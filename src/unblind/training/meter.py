"""The lines of a training's log: means of the terms, speed, memory, utilisation."""

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from unblind.errors import UnblindError
from unblind.machine.usage import peak_memory_mib
from unblind.training.team import Team

#: Dense bfloat16 operations a second by a part of the device's name (NVIDIA's data sheets).
PEAKS = {
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "L40S": 362e12,
}


def peak(device: str) -> float | None:
    """Return the peak of a device, operations a second; None where it is not known."""
    return next((value for name, value in PEAKS.items() if name in device), None)


class Meter:
    """Sums numbers on the device, so that a step waits for nothing.

    Args:
        team: the processes.
        batch: pictures a step, of all parts.
        tokens: of a sequence; None where sequences differ in length.
        operations: of one picture in a step (`throughput.operations`); None where they are unknown.
    """

    def __init__(
        self, team: Team, batch: int, tokens: int | None = None, operations: int | None = None
    ) -> None:
        self._team, self._batch, self._tokens, self._operations = team, batch, tokens, operations
        self._gpu = team.device.type == "cuda"
        peak_of_one = peak(torch.cuda.get_device_name(team.device) if self._gpu else "cpu")
        self._peak = peak_of_one and peak_of_one * team.size
        #: Step, loss and gradient norm that were not looked at yet.
        self._unchecked: list[tuple[int, Tensor]] = []
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps, self._start, self._cpu = 0, time.monotonic(), time.process_time()

    def add(self, numbers: Mapping[str, Tensor]) -> None:
        """Count numbers of a part of a batch, scalars; NaN says that there is none."""
        for name, number in numbers.items():
            number = number.double()
            pair = torch.stack([number.nan_to_num(0.0), (~number.isnan()).double()])
            self._sums[name] = self._sums.get(name, 0) + pair

    def step(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Count a step with the loss and the gradient's norm of the whole batch."""
        self._steps += 1
        self.add({"gradient_norm": norm})
        self._unchecked.append((step, torch.stack([loss.double(), norm.double()])))

    def check(self) -> None:
        """Look at all losses since the last check (waits for the device).

        Raises:
            UnblindError: a loss or a gradient is not finite.
        """
        steps, pairs = zip(*self._unchecked, strict=True)
        self._unchecked = []
        for step, (loss, norm) in zip(steps, torch.stack(pairs).tolist(), strict=True):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise UnblindError(
                    f"the loss of step {step} is {loss} or has no finite gradient", "lower the rate"
                )

    def means(self) -> dict[str, float]:
        """Return the means since the last line over steps, parts and processes."""
        sums = torch.stack(list(self._sums.values())).tolist()
        mine = dict(zip(self._sums, sums, strict=True))
        gathered = self._team.gather(mine)
        totals = {
            name: [sum(column) for column in zip(*(sums[name] for sums in gathered), strict=True)]
            for name in mine
        }
        return {name: total / count for name, (total, count) in totals.items() if count}

    def line(self, step: int, rate: float) -> dict[str, float | None]:
        """Return a line of the log and start over.

        ``memory_gib`` is the peak of the GPU so far, without one that of the process;
        ``mfu`` the share of the GPUs' peak in bfloat16, None where that is not known.
        """
        means = {name: round(mean, 5) for name, mean in self.means().items()}
        seconds = time.monotonic() - self._start
        pictures = self._steps * self._batch / seconds
        memory = peak_memory_mib() * 2**20
        if self._gpu:
            memory = torch.cuda.max_memory_allocated(self._team.device)
        line = {
            "step": step,
            "rate": rate,
            **means,
            "step_s": round(self._batch / pictures, 4),
            "cpu_s": round(time.process_time() - self._cpu, 1),
            "pictures_per_s": round(pictures, 3),
            "memory_gib": round(memory / 2**30, 3),
        }
        if self._tokens is not None:
            line["tokens_per_s"] = round(pictures * self._tokens, 1)
        if self._operations is not None:
            line["mfu"] = self._peak and round(pictures * self._operations / self._peak, 4)
        self._reset()
        return line
